"""Self-chat of two purposes, with probes on branches that the dialogue never sees (arXiv 2402.10962).

Side a opens with a topic opener; then b1, a2, b2, ... Right after each of its utterances a side is asked its probes
on a fork of its session: the trunk goes on without them, and the fork costs only the probe's own tokens. Every
dialogue makes its next requests as soon as a reply is there, so the engine's batch stays full.

Rules judge an answer at once. A judge that asks a model must not do so in the middle of another model's batch (or of
an event loop), so dialogues with such a judge are played in waves, and judged between them.

A plan with a recorded trunk is read instead of played (`telic.stability.recorded_chat`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby

from telic.agents.defender import DefendedReply
from telic.agents.player import seed_of
from telic.episodes import Branch, Episode, Turn
from telic.models import Model, Reply, Request, Session
from telic.models.capabilities import HasTemplate
from telic.models.request import Speaker
from telic.models.requesting import ModelRequest, RequestGenerator, ask
from telic.progress import Deadline
from telic.rollouts.admission import Admission
from telic.rollouts.driver import drive
from telic.stability.judging import DeferredAnswer, judge_answers, judge_deferred
from telic.stability.opening import after_opener, lets_assistant_open
from telic.stability.plan import DialoguePlan, SelfChatProtocol, replies_of
from telic.stability.probing import BranchProbes, readings_of, reason_line
from telic.stability.recorded_chat import RecordedChat

__all__ = ["play_dialogues"]


def play_dialogues(
    model: Model,
    plans: Sequence[DialoguePlan],
    protocol: SelfChatProtocol,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
    deadline: Deadline | None = None,
    on_branch: Callable[[Episode, Branch], None] | None = None,
    on_start: Callable[[int], None] | None = None,
) -> None:
    """Play dialogues, `protocol.concurrency` of them at once.

    A dialogue that fails or outgrows the model's context ends there: its episode has what was played, and the failure.
    The others go on.

    Args:
        model: plays both sides.
        plans: the dialogues.
        protocol: how they are played.
        on_episode: called with each dialogue as it ends (with a judge that asks a model: as its wave ends).
        on_reply: called with every reply, except those of a judge's model.
        deadline: when no group of dialogues is started any more that would not end in time. The first group is always
            played.
        on_branch: called with a branch and its episode once all answers of the branch are there. Answers that a model
            judges have no scores yet.
        on_start: called with the number of replies of each dialogue that starts.
    """
    size = protocol.concurrency if any(map(_asks_judge_model, plans)) else len(plans)
    admission = Admission(
        deadline or Deadline(),
        [len(list(group)) for _, group in groupby(plans, key=lambda plan: plan.group or plan.id)],
        [replies_of(plan, protocol) for plan in plans],
        on_start,
    )
    while admission.admits():
        wave = plans[admission.started : admission.started + size]
        _play_wave(model, wave, protocol, on_episode, on_reply, admission, on_branch)


def _play_wave(
    model: Model,
    plans: Sequence[DialoguePlan],
    protocol: SelfChatProtocol,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None,
    admission: Admission,
    on_branch: Callable[[Episode, Branch], None] | None,
) -> None:
    held_back = {plan.id for plan in plans if _asks_judge_model(plan)}
    unjudged: list[Episode] = []
    deferred: list[DeferredAnswer] = []

    def ended(episode: Episode) -> None:
        if episode.id in held_back:
            unjudged.append(episode)
        else:
            on_episode(episode)

    drive(
        (_dialogue(model, plan, protocol, deferred, on_branch).play() for plan in plans),
        [model],
        concurrency=protocol.concurrency,
        on_episode=ended,
        on_reply=on_reply,
        admission=admission,
    )
    judge_deferred(deferred)
    for episode in unjudged:
        on_episode(episode)


def _dialogue(
    model: Model,
    plan: DialoguePlan,
    protocol: SelfChatProtocol,
    deferred: list[DeferredAnswer],
    on_branch: Callable[[Episode, Branch], None] | None,
) -> _SelfChat | RecordedChat:
    kind = _SelfChat if plan.trunk is None else RecordedChat
    return kind(model, plan, protocol, deferred, on_branch)


def _asks_judge_model(plan: DialoguePlan) -> bool:
    """Whether a model judges some of the dialogue's answers."""
    return any(probe.asks_model for side in (plan.a, plan.b) for probe in side.probes)


class _SelfChat:
    """One dialogue, as it is played."""

    def __init__(
        self,
        model: Model,
        plan: DialoguePlan,
        protocol: SelfChatProtocol,
        deferred: list[DeferredAnswer],
        on_branch: Callable[[Episode, Branch], None] | None,
    ) -> None:
        self.model, self.plan, self.protocol = model, plan, protocol
        self.sides = {"a": plan.a, "b": plan.b}
        self.speakers: dict[str, Speaker] = {
            role: "user" if side.scene is not None and isinstance(model, HasTemplate) else "assistant"
            for role, side in self.sides.items()
        }
        systems = {
            role: side.scene if side.scene is not None and self.speakers[role] == "user" else side.system
            for role, side in self.sides.items()
        }
        self.sessions = {role: model.session(system) for role, system in systems.items()}
        self.tools = {role: side.tools.begin() for role, side in self.sides.items() if side.tools is not None}
        for role, tools in self.tools.items():
            self.sessions[role].tools = tools.toolbox.definitions
        self.fold_opener = self.speakers["a"] == "assistant" and not lets_assistant_open(model)
        self.episode = Episode(
            id=plan.id,
            kind="selfchat",
            seed=plan.seed,
            roles={
                role: {"name": side.name, "system": systems[role], "family": side.family}
                | ({"demand": side.demand} if side.demand else {})
                for role, side in self.sides.items()
            },
            metadata={"rounds": protocol.rounds},
        )
        self.probes = BranchProbes(model, plan.seed, protocol, self.episode, deferred, on_branch)

    def play(self) -> RequestGenerator[Episode]:
        """Probe both sides before anything is said, let them talk, and wait for the last answers to probes."""
        self._ask_probes("a", 0)
        self._ask_probes("b", 0)
        self.episode.turns.append(Turn(role="a", round=1, text=self.plan.opener, finish="given"))
        if self.protocol.rounds:
            yield from self._talk()
        yield from self.probes.wait()
        return self.episode

    def _talk(self) -> RequestGenerator[None]:
        """Let the sides speak in turn, and probe each after its utterance, until the last round or a failure."""
        role, round_, text = "a", 1, self.plan.opener
        while True:
            other, next_round = ("b", round_) if role == "a" else ("a", round_ + 1)
            self._exchange(role, round_, text)
            going_on = next_round <= self.protocol.rounds
            utterance = self._utterance(other, next_round) if going_on else None
            asked = self._queue(next(utterance)) if utterance is not None else []
            self._ask_probes(role, round_)
            if utterance is None:
                return
            defended = yield from self._wait_for(utterance, asked)
            role, round_, text = other, next_round, defended.reply.text
            self.sessions[role].add(*defended.messages)
            if not self._add_utterance(role, round_, defended):
                return

    def _queue(self, requests: Sequence[ModelRequest]) -> Sequence[ModelRequest]:
        self.probes.unsent += requests
        return requests

    def _wait_for(
        self, utterance: RequestGenerator[DefendedReply], asked: Sequence[ModelRequest]
    ) -> RequestGenerator[DefendedReply]:
        """Wait for an utterance; answers to probes may come before its replies."""
        while True:
            answered = yield self.probes.take_unsent()
            if answered[0] not in asked:
                self.probes.add_answer(*answered)
                continue
            try:
                asked = self._queue(utterance.send(answered))
            except StopIteration as end:
                made: DefendedReply = end.value
                return made

    def _exchange(self, role: str, round_: int, text: str) -> None:
        """Put an utterance into the views of both sides."""
        opening, answers_opener = (role, round_) == ("a", 1), (role, round_) == ("b", 1)
        if not (opening and self.fold_opener):
            self._add_message(role, text, own=True)
        heard = after_opener(self.plan.opener, text) if answers_opener and self.fold_opener else text
        self._add_message("b" if role == "a" else "a", heard, own=False)

    def _add_message(self, role: str, text: str, *, own: bool) -> None:
        """Add a message to a side's view, in which a plain user is the user and every other side the assistant."""
        session = self.sessions[role]
        if own == (self.speakers[role] == "assistant"):
            session.assistant(text)
        else:
            session.user(text)

    def _utterance(self, role: str, round_: int) -> RequestGenerator[DefendedReply]:
        """Make an utterance, with the calls of tools before it."""
        request = self.sessions[role].request(
            controls=self.sides[role].controls,
            readings=tuple(self.protocol.readings),
            sampling=self.sides[role].utterance or self.protocol.utterance,
            speaker=self.speakers[role],
            seed=seed_of(self.plan.seed, role, round_),
        )

        def reply(one: Request) -> RequestGenerator[DefendedReply]:
            made = yield from ask(self.model, one)
            return DefendedReply(made, new_tokens=made.new_tokens)

        if role not in self.tools:
            return (yield from reply(request))
        return (yield from self.tools[role].play(replace(request, tools=()), reply))

    def _add_utterance(self, role: str, round_: int, defended: DefendedReply) -> bool:
        """Record an utterance; return whether the dialogue goes on."""
        reply = defended.reply
        failed = reply.failure is not None
        if reply.failure is not None:
            # The first line is a reason that many episodes may share, the second says where it happened.
            where = f"side {role} in round {round_}, after {reply.prompt_tokens} tokens"
            detail = (
                "no room for a reply" if reply.failure.kind == "context_full" else reason_line(reply.failure.detail)
            )
            self.episode.failure = replace(reply.failure, detail=f"{detail}\n{where}")
            if not reply.text:
                return False
        turn = Turn(
            role=role,
            round=round_,
            text=reply.text,
            finish=reply.finish,
            tokens=defended.new_tokens,
            prompt_tokens=reply.prompt_tokens,
            readings=readings_of(reply),
            steps=list(defended.messages),
            scores={} if failed else self._scores(role, reply.text),
        )
        self.episode.turns.append(turn)
        return not failed

    def _scores(self, role: str, text: str) -> dict[str, float]:
        """Score an utterance by the probes that judge every reply; missing scores are left out."""
        scores = {
            probe.name: judge_answers(probe.judge, [(text, "")])[0].value
            for probe in self.sides[role].probes
            if probe.every_reply
        }
        return {name: value for name, value in scores.items() if value is not None}

    def _ask_probes(self, role: str, round_: int) -> None:
        if round_ % self.protocol.probe_every and round_ != self.protocol.rounds:
            return
        side = self.sides[role]
        for probe in side.probes:
            self.probes.ask(side, role, round_, probe, self._fork_for(role, round_, probe.ask))

    def _fork_for(self, role: str, round_: int, question: str) -> Session:
        fork = self.sessions[role].fork()
        if (role, round_) == ("a", 1) and self.fold_opener:
            question = after_opener(self.plan.opener, question)
        return fork.user(question)
