"""Self-chat of two purposes, with probes on branches that the dialogue never sees (arXiv 2402.10962).

Side a opens with a topic opener; then b1, a2, b2, ... Right after each of its utterances a side is asked its probes
on a fork of its session: the trunk goes on without them, and the fork costs only the probe's own tokens. Every
dialogue submits its next request as soon as a reply is there, so the engine's batch stays full.

Rules judge an answer at once. A judge that asks a model must not do so in the middle of another model's batch (or of
an event loop), so that dialogues with such a judge are played in waves, and judged between them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from telic.agents.player import seed_of
from telic.episodes import Answer, Branch, Episode, Turn
from telic.errors import ConfigError, TelicError
from telic.judges import Judge, Score
from telic.judges.base import judge_all, model_judges
from telic.models import Control, Model, Reply, Request, Sampling, Session

__all__ = ["Plan", "Probe", "Protocol", "Side", "play"]


@dataclass(frozen=True, slots=True)
class Probe:
    """A question asked aside, and who judges the answer.

    Raises:
        ConfigError: every reply is to be judged, and the judge asks a model.
    """

    name: str
    family: str
    ask: str
    judge: Judge
    every_reply: bool = False
    """Whether the utterances of the dialogue are judged too; by rule, as they are said."""

    def __post_init__(self) -> None:
        if self.every_reply and model_judges(self.judge):
            raise ConfigError(
                f"probe {self.name!r}: every_reply needs a judge by rule, since every utterance is judged as it is "
                "said; this one asks a model"
            )


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two who talk."""

    name: str
    system: str
    probes: tuple[Probe, ...] = ()
    family: str = "own"
    controls: tuple[Control, ...] = ()
    utterance: Sampling | None = None
    """How its utterances are drawn; None for the protocol's way."""
    answer: Sampling | None = None
    """How its answers to probes are drawn; None for the protocol's way."""


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
    probe_every: int = 1
    """Probes are asked in the multiples of this, and in the last round."""
    concurrency: int = 32
    """Dialogues under way at once: enough to keep a batch full, few enough for their caches to fit in memory."""


@dataclass(slots=True)
class _Asked:
    """A branch under way."""

    branch: Branch
    probe: Probe
    answers: list[Answer | None] = field(default_factory=list)
    later: bool = False
    """Whether its judge asks a model, which waits until the dialogues are played."""


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

    A dialogue that fails or outgrows the model's context ends there: its episode has what was played, says why in
    `error`, and does not take the others with it.

    Args:
        model: plays both sides.
        plans: the dialogues.
        protocol: how they are played.
        on_episode: gets each dialogue as it ends (with a judge that asks a model: as its wave ends).
        on_reply: hears of every reply, but not of those of a judge's model.
    """
    size = len(plans)
    if any(model_judges(probe.judge) for plan in plans for side in (plan.a, plan.b) for probe in side.probes):
        size = protocol.concurrency
    for start in range(0, len(plans), max(size, 1)):
        _play_wave(model, plans[start : start + size], protocol, on_episode, on_reply)


def _play_wave(
    model: Model,
    plans: Sequence[Plan],
    protocol: Protocol,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None,
) -> None:
    waiting = iter(plans)
    reactions: list[Reaction] = []
    unjudged: list[_Dialogue] = []

    def ended(dialogue: _Dialogue) -> list[Task]:
        if any(asked.later for asked in dialogue.asked):
            unjudged.append(dialogue)
        else:
            on_episode(dialogue.record())
        return begin()

    def begin() -> list[Task]:
        """Start the next dialogue, if there is one."""
        plan = next(waiting, None)
        return [] if plan is None else _Dialogue(model, plan, protocol, ended).start()

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
    _judge_later([asked for dialogue in unjudged for asked in dialogue.asked if asked.later])
    for dialogue in unjudged:
        on_episode(dialogue.record())


class _Dialogue:
    """One dialogue: a state machine over replies."""

    def __init__(
        self,
        model: Model,
        plan: Plan,
        protocol: Protocol,
        on_end: Callable[[_Dialogue], list[Task]],
    ) -> None:
        self.plan, self.protocol, self.on_end = plan, protocol, on_end
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
        return tasks or self.on_end(self)

    def record(self) -> Episode:
        """The episode, once all is said; what order the replies came in leaves no trace in it."""
        for asked in sorted(self.asked, key=lambda asked: (asked.branch.round, asked.branch.role)):
            asked.branch.answers = [answer for answer in asked.answers if answer is not None]
            self.episode.branches.append(asked.branch)
        return self.episode

    def _said(self, role: str, text: str, round_: int) -> list[Task]:
        """After an utterance: the speaker is probed, and the other side answers, or the dialogue is over."""
        other = "b" if role == "a" else "a"
        opening = role == "a" and round_ == 1
        if not (opening and self.fold_opener):
            self.sessions[role].assistant(text)
        heard = text
        if self.fold_opener and role == "b" and round_ == 1:
            heard = self._after_opener(text)
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
            sampling=self.sides[role].utterance or self.protocol.utterance,
            seed=seed_of(self.plan.seed, role, round_),
        )

        def reaction(reply: Reply) -> list[Task]:
            return self._replied(role, round_, reply)

        return [self._task(request, reaction)]

    def _replied(self, role: str, round_: int, reply: Reply) -> list[Task]:
        failed = reply.failure is not None
        if reply.failure is not None:
            # The first line is a reason that many episodes may share, the second says where it struck.
            where = f"side {role} in round {round_}, after {reply.prompt_tokens} tokens"
            detail = "no room for a reply" if reply.failure.kind == "context_full" else _line(reply.failure.detail)
            self.episode.failure = replace(reply.failure, detail=f"{detail}\n{where}")
            if not reply.text:
                return []
        turn = Turn(
            role=role,
            round=round_,
            text=reply.text,
            finish=reply.finish,
            tokens=reply.new_tokens,
            prompt_tokens=reply.prompt_tokens,
            readings=_readings(reply),
            scores={} if failed else self._scores(role, reply.text),
        )
        self.episode.turns.append(turn)
        return [] if failed else self._said(role, reply.text, round_)

    def _scores(self, role: str, text: str) -> dict[str, float]:
        """How an utterance keeps what binds every reply; what cannot be decided is left out."""
        found = {
            probe.name: _guarded(probe.judge, [(text, "")])[0].value
            for probe in self.sides[role].probes
            if probe.every_reply
        }
        return {name: value for name, value in found.items() if value is not None}

    def _probes(self, role: str, round_: int) -> list[Task]:
        if round_ % self.protocol.probe_every and round_ != self.protocol.rounds:
            return []
        tasks = []
        for probe in self.sides[role].probes:
            branch = Branch(
                role=role, round=round_, probe=probe.name, family=probe.family, question=probe.ask,
                prompt_tokens=0, answers=[],
            )  # fmt: skip
            asked = _Asked(branch, probe, [None] * self.protocol.samples, bool(model_judges(probe.judge)))
            self.asked.append(asked)
            fork = self._fork_for(role, round_, probe.ask)
            for sample in range(self.protocol.samples):
                tasks.append(self._task(*self._ask(fork, asked, role, sample)))
        return tasks

    def _fork_for(self, role: str, round_: int, question: str) -> Session:
        fork = self.sessions[role].fork()
        if role == "a" and round_ == 1 and self.fold_opener:
            question = self._after_opener(question)
        return fork.user(question)

    def _after_opener(self, text: str) -> str:
        """What side a hears next, where the template lets no assistant speak first: its own opener comes with it."""
        return f'(You opened the conversation with: "{self.plan.opener}")\n\n{text}'

    def _ask(self, fork: Session, asked: _Asked, role: str, sample: int) -> Task:
        branch = asked.branch
        request = fork.request(
            controls=self.sides[role].controls,
            readings=tuple(self.protocol.readings),
            keep=False,
            sampling=self.sides[role].answer or self.protocol.answer,
            seed=seed_of(self.plan.seed, role, branch.round, branch.probe, sample),
        )

        def reaction(reply: Reply) -> list[Task]:
            branch.prompt_tokens = max(branch.prompt_tokens, reply.prompt_tokens)
            score = _judge(asked, reply)
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
                further += self.on_end(self)
            return further

        return request, counted


def _opens(model: Model) -> bool:
    """Whether the model's template lets the assistant speak first. Of one that cannot be seen, nobody knows."""
    template = getattr(model, "template", None)
    return template is not None and bool(template.takes_assistant_first)


def _judge(asked: _Asked, reply: Reply) -> Score:
    if reply.failure is not None and reply.failure.kind == "context_full":
        return Score.missing("no room for an answer in the context")
    if reply.failure is not None:
        return Score.missing(f"the model failed: {_line(reply.failure.detail)}")
    if asked.later:
        return _LATER
    return _guarded(asked.probe.judge, [(reply.text, asked.probe.ask)])[0]


def _judge_later(waiting: Sequence[_Asked]) -> None:
    """Ask each judge for all of its verdicts at once."""
    by_judge: dict[int, list[tuple[_Asked, Answer]]] = {}
    for asked in waiting:
        for answer in asked.answers:
            if answer is not None and answer.score is None and answer.reason == _LATER.reason:
                by_judge.setdefault(id(asked.probe.judge), []).append((asked, answer))
    for items in by_judge.values():
        judge = items[0][0].probe.judge
        scores = _guarded(judge, [(answer.text, asked.probe.ask) for asked, answer in items])
        for (_, answer), score in zip(items, scores, strict=True):
            answer.score, answer.reason = score.value, score.reason


def _guarded(judge: Judge, items: Sequence[tuple[str, str]]) -> list[Score]:
    """The judge's verdicts; a plug-in that raises has not decided, and a run is not lost for it."""
    try:
        return judge_all(judge, items)
    except TelicError:  # such as a judge's model that cannot be loaded: no verdict will ever come
        raise
    except Exception as error:
        return [Score.missing(f"the judge failed: {error!r}")] * len(items)


_LATER = Score.missing("not judged yet")


def _line(text: str | None) -> str:
    return " ".join((text or "no reason given").split())


def _readings(reply: Reply) -> dict[str, Any]:
    if reply.attention is None:
        return {}
    return {"attention": [round(float(mass), 6) for mass in reply.attention]}
