"""Self-chat of two purposes, with probes on branches that the dialogue never sees (arXiv 2402.10962).

Side a opens with a topic opener; then b1, a2, b2, ... Right after each of its utterances a side is asked its probes
on a fork of its session: the trunk goes on without them, and the fork costs only the probe's own tokens. Every
dialogue submits its next request as soon as a reply is there, so the engine's batch stays full.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from telic.episodes import Answer, Branch, Episode, Turn
from telic.judges import Judge, Score
from telic.models import Control, Model, Reply, Request, Sampling, Session

__all__ = ["Plan", "Probe", "Protocol", "Side", "play"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A question asked aside, and who judges the answer."""

    name: str
    family: str
    ask: str
    judge: Judge


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two who talk."""

    name: str
    system: str
    probes: tuple[Probe, ...] = ()
    family: str = "own"
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """One dialogue to be played."""

    id: str
    seed: int
    a: Side
    b: Side
    opener: str


@dataclass(frozen=True, slots=True)
class Protocol:
    """How dialogues are played and probed."""

    rounds: int
    samples: int
    utterance: Sampling
    answer: Sampling
    readings: frozenset[str] = frozenset()
    concurrency: int = 32
    """Dialogues under way at once: enough to keep a batch full, few enough for their caches to fit in memory."""


@dataclass(slots=True)
class _Asked:
    """A branch under way."""

    branch: Branch
    probe: Probe
    answers: list[Answer | None] = field(default_factory=list)


Reaction = Callable[[Reply], Iterable["Task"]]
Task = tuple[Request, Reaction]


def play(
    model: Model,
    plans: Sequence[Plan],
    protocol: Protocol,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
) -> None:
    """Play dialogues, `protocol.concurrency` of them at once.

    Args:
        model: plays both sides.
        plans: the dialogues.
        protocol: how they are played.
        on_episode: gets each dialogue as it ends.
        on_reply: hears of every reply.
    """
    waiting = iter(plans)
    reactions: list[Reaction] = []

    def begin() -> list[Task]:
        """Start the next dialogue, and whichever follow it if it has nothing to do."""
        for plan in waiting:
            if tasks := _Dialogue(model, plan, protocol, on_episode, begin).start():
                return tasks
        return []

    def enlist(tasks: Iterable[Task]) -> list[Request]:
        requests = []
        for request, reaction in tasks:
            requests.append(request)
            reactions.append(reaction)
        return requests

    def react(index: int, reply: Reply) -> list[Request]:
        if on_reply is not None:
            on_reply(reply)
        return enlist(reactions[index](reply))

    model.generate(enlist(task for _ in range(protocol.concurrency) for task in begin()), react)


class _Dialogue:
    """One dialogue: a state machine over replies."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        protocol: Protocol,
        on_episode: Callable[[Episode], None],
        begin_next: Callable[[], list[Task]],
    ) -> None:
        self.plan, self.protocol, self.on_episode, self.begin_next = plan, protocol, on_episode, begin_next
        self.sides = {"a": plan.a, "b": plan.b}
        self.sessions = {role: model.session(side.system) for role, side in self.sides.items()}
        self.fold_opener = not _opens(model)
        self.under_way = 0
        self.asked: list[_Asked] = []
        self.episode = Episode(
            id=plan.id,
            kind="selfchat",
            seed=plan.seed,
            roles={
                role: {"name": side.name, "system": side.system, "family": side.family}
                for role, side in self.sides.items()
            },
            metadata={"rounds": protocol.rounds},
        )

    def start(self) -> list[Task]:
        """Round 0: both sides are probed before anything is said; then the opener."""
        tasks = [*self._probes("a", 0), *self._probes("b", 0)]
        opener = self.plan.opener
        self.episode.turns.append(Turn(role="a", round=1, text=opener, finish="given"))
        if self.protocol.rounds:
            tasks += self._said("a", opener, 1)
        if not tasks:
            self._close()
        return tasks

    def _said(self, role: str, text: str, round_: int) -> list[Task]:
        """After an utterance: the speaker is probed, and the other side answers, or the dialogue is over."""
        other = "b" if role == "a" else "a"
        opening = role == "a" and round_ == 1
        if not (opening and self.fold_opener):
            self.sessions[role].assistant(text)
        heard = text
        if self.fold_opener and role == "b" and round_ == 1:
            # The template lets no assistant speak first: side a reads its own opener with the first answer to it.
            heard = f'(You opened the conversation with: "{self.plan.opener}")\n\n{text}'
        tasks = self._trunk(other, heard, round_ + (role == "b"))
        return [*tasks, *self._probes(role, round_)]

    def _trunk(self, role: str, heard: str, round_: int) -> list[Task]:
        session = self.sessions[role]
        session.user(heard)
        if round_ > self.protocol.rounds:
            return []
        request = session.request(
            controls=self.sides[role].controls,
            readings=tuple(self.protocol.readings),
            sampling=self.protocol.utterance,
            seed=_seed(self.plan.seed, role, round_),
        )

        def reaction(reply: Reply) -> list[Task]:
            return self._replied(role, round_, reply)

        return [self._task(request, reaction)]

    def _replied(self, role: str, round_: int, reply: Reply) -> list[Task]:
        if reply.finish in ("error", "context") and not reply.text:
            side = f"side {role} in round {round_}"
            self.episode.error = (
                f"context: {side} has no room for a reply after {reply.prompt_tokens} tokens"
                if reply.finish == "context"
                else f"model: {side}: {reply.error}"
            )
            return []
        turn = Turn(
            role=role,
            round=round_,
            text=reply.text,
            finish=reply.finish,
            tokens=reply.new_tokens,
            prompt_tokens=reply.prompt_tokens,
            readings=_readings(reply),
        )
        self.episode.turns.append(turn)
        return self._said(role, reply.text, round_)

    def _probes(self, role: str, round_: int) -> list[Task]:
        tasks = []
        for probe in self.sides[role].probes:
            branch = Branch(
                role=role, round=round_, probe=probe.name, family=probe.family, question=probe.ask,
                prompt_tokens=0, answers=[],
            )  # fmt: skip
            asked = _Asked(branch, probe, [None] * self.protocol.samples)
            self.asked.append(asked)
            fork = self._fork_for(role, round_, probe.ask)
            for sample in range(self.protocol.samples):
                tasks.append(self._task(*self._ask(fork, asked, role, sample)))
        return tasks

    def _fork_for(self, role: str, round_: int, question: str) -> Session:
        fork = self.sessions[role].fork()
        if role == "a" and round_ == 1 and self.fold_opener:
            question = f'(You opened the conversation with: "{self.plan.opener}")\n\n{question}'
        return fork.user(question)

    def _ask(self, fork: Session, asked: _Asked, role: str, sample: int) -> Task:
        branch = asked.branch
        request = fork.request(
            controls=self.sides[role].controls,
            readings=tuple(self.protocol.readings),
            keep=False,
            sampling=self.protocol.answer,
            seed=_seed(self.plan.seed, role, branch.round, branch.probe, sample),
        )

        def reaction(reply: Reply) -> list[Task]:
            branch.prompt_tokens = max(branch.prompt_tokens, reply.prompt_tokens)
            score = _judge(asked.probe, reply)
            asked.answers[sample] = Answer(
                text=reply.text,
                finish=reply.finish,
                score=score.value,
                reason=score.reason,
                readings=_readings(reply),
            )
            return []

        return request, reaction

    def _task(self, request: Request, reaction: Reaction) -> Task:
        """Count what is under way: the episode ends with the last of it."""
        self.under_way += 1

        def counted(reply: Reply) -> Iterable[Task]:
            self.under_way -= 1
            further = list(reaction(reply))
            if not self.under_way:
                self._close()
                further += self.begin_next()
            return further

        return request, counted

    def _close(self) -> None:
        for asked in sorted(self.asked, key=lambda asked: (asked.branch.round, asked.branch.role)):
            asked.branch.answers = [answer for answer in asked.answers if answer is not None]
            self.episode.branches.append(asked.branch)
        self.on_episode(self.episode)


def _opens(model: Model) -> bool:
    """Whether the model's template lets the assistant speak first; a model without one is taken to."""
    template = getattr(model, "template", None)
    return template is None or bool(template.takes_assistant_first)


def _judge(probe: Probe, reply: Reply) -> Score:
    if reply.finish == "error":
        return Score.missing(f"model error: {reply.error}")
    if reply.finish == "context" and not reply.text:
        return Score.missing("context: no room for an answer")
    return probe.judge.judge(reply.text, probe.ask)


def _readings(reply: Reply) -> dict[str, Any]:
    if reply.attention is None:
        return {}
    return {"attention": [round(float(mass), 6) for mass in reply.attention]}


def _seed(*parts: object) -> int:
    """A seed for one reply, the same on every machine and in every order of play."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:6], "big")
