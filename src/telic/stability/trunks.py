"""Recorded dialogues as trunks: what people really said, from which probes branch off at chosen rounds."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from telic.dialogue import Dialogue, Message
from telic.errors import ModelError
from telic.models import Model
from telic.models.capabilities import HasTemplate
from telic.stability.opening import after_opener, lets_assistant_open

__all__ = ["NamedDialogue", "RecordedRound", "RecordedSide", "Trunk", "TrunkCounts", "TrunkReader", "trunk_messages"]

RecordedSide = Literal["assistant", "user"]
NamedDialogue = tuple[str, Dialogue]
"""A recorded dialogue with a name for messages about it."""
CHARACTERS_PER_TOKEN = 4
"""Estimate where the model's tokenizer is not known."""
SHOWN = 5
"""Names that a sentence lists; it counts the others."""
BETWEEN = "\n\n"
"""What stands between messages of one side that follow each other."""


@dataclass(frozen=True, slots=True)
class RecordedRound:
    """One round: what the other side said, and what the side under test answered."""

    heard: str
    said: str


@dataclass(frozen=True, slots=True)
class Trunk:
    """A recorded dialogue, or several joined."""

    names: tuple[str, ...]
    """Of the recorded dialogues."""
    opening: str
    """What the side under test said first; empty where the other side opens."""
    rounds: tuple[RecordedRound, ...]
    lengths: tuple[int, ...] = (0,)
    """Tokens of the dialogue after 0, 1, 2, ... rounds, without the system prompt."""

    def cut(self, tokens: int) -> Trunk:
        """Return the trunk with as many whole rounds as fit into so many tokens."""
        rounds = bisect_right(self.lengths, tokens) - 1
        return replace(self, rounds=self.rounds[:rounds], lengths=self.lengths[: rounds + 1])

    def probed(self, every: int, tokens: int | None) -> tuple[int, ...]:
        """List the rounds after which the probes are asked: 0, the last, and those between.

        Args:
            every: every so many rounds.
            tokens: instead, the first round's end after each multiple of so many tokens.
        """
        last = len(self.rounds)
        if tokens is None:
            return tuple(sorted({*range(0, last + 1, every), last}))
        found, due = {0, last}, tokens
        for number, length in enumerate(self.lengths):
            if length >= due:
                found.add(number)
                due = (length // tokens + 1) * tokens
        return tuple(sorted(found))


@dataclass
class TrunkCounts:
    """What became of the recorded dialogues."""

    dialogues: int = 0
    """Dialogues that were read."""
    messages: dict[str, int] = field(default_factory=dict)
    """Messages that were left out, replaced or joined, by what was done."""
    left_out: dict[str, list[str]] = field(default_factory=dict)
    """Names of dialogues that are not used, or not wholly, by the reason."""

    def count(self, what: str, number: int = 1) -> None:
        """Count messages."""
        if number:
            self.messages[what] = self.messages.get(what, 0) + number

    def leave_out(self, reason: str, *names: str) -> None:
        """Note dialogues."""
        if names:
            self.left_out.setdefault(reason, []).extend(names)

    def sentences(self) -> list[str]:
        """Say it, a sentence for each reason."""
        said = [f"{len(names)} {reason}: {_listed(names)}" for reason, names in self.left_out.items()]
        return said + [f"{number} {what}" for what, number in self.messages.items()]


@dataclass(frozen=True)
class TrunkReader:
    """Turns recorded dialogues into trunks."""

    model: Model
    """Its chat template counts the tokens; without one they are estimated from the characters."""
    side: RecordedSide = "assistant"
    """Whose place the purpose takes."""
    reserved: int = 0
    """Tokens of the longest system prompt and probe, and of an answer."""
    max_tokens: int | None = None
    """Where a trunk ends."""
    join: int | None = None
    """Tokens that dialogues are joined into; None leaves each alone."""
    counts: TrunkCounts = field(default_factory=TrunkCounts)
    """What became of the dialogues so far."""

    @property
    def estimates(self) -> bool:
        """Whether lengths are estimated."""
        return not isinstance(self.model, HasTemplate)

    def read(self, dialogues: Iterable[NamedDialogue]) -> Iterator[Trunk]:
        """Yield trunks, reading no more dialogues than they take."""
        part: list[Trunk] = []
        for name, dialogue in dialogues:
            self.counts.dialogues += 1
            read = _trunk_of(name, dialogue, self.side, self.counts)
            measured = self._measured(read) if read is not None else None
            if measured is None:
                continue
            part.append(measured)
            whole = measured if self.join is None else self._join(part)
            if whole is not None:
                part = []
                fitted = self._fit(whole)
                if fitted is not None:
                    yield fitted
        rest = [name for trunk in part for name in trunk.names]
        self.counts.leave_out(f"left over, together shorter than {self.join} tokens", *rest)

    def _measured(self, trunk: Trunk) -> Trunk | None:
        """Return a trunk with its lengths; None, and a note of the reason, if it cannot be used."""
        try:
            return replace(trunk, lengths=token_lengths(self.model, trunk))
        except ModelError as error:
            self.counts.leave_out(f"refused by the model's chat template ({error})", *trunk.names)
            return None

    def _join(self, part: Sequence[Trunk]) -> Trunk | None:
        """Join dialogues, cut where they are long enough; None as long as they are not."""
        assert self.join is not None
        if sum(one.lengths[-1] for one in part) < self.join:
            return None
        whole = self._measured(_joined(part))
        if whole is None or whole.lengths[-1] < self.join:
            return None
        return whole.cut(next(length for length in whole.lengths if length >= self.join))

    def _fit(self, trunk: Trunk) -> Trunk | None:
        """Cut a trunk at the limit that was asked for, and at that of the model's context."""
        context = getattr(self.model, "context_length", None)
        limits = [self.max_tokens, None if context is None else context - self.reserved]
        asked, room = (trunk.lengths[-1] if limit is None else max(0, limit) for limit in limits)
        fitted = trunk.cut(min(asked, room))
        if not fitted.rounds:
            self.counts.leave_out("not used, because the first round alone is too long", *trunk.names)
            return None
        if room < min(asked, trunk.lengths[-1]):
            self.counts.leave_out(f"too long for the model's context of {context} tokens, and cut", *trunk.names)
        elif asked < trunk.lengths[-1]:
            self.counts.count(f"trunks cut at {asked} tokens")
        return fitted


def _trunk_of(name: str, dialogue: Dialogue, side: RecordedSide, counts: TrunkCounts) -> Trunk | None:
    """Take the words of both sides out of a dialogue; None, and a note of the reason, without a whole round."""
    counts.count("system prompts replaced by the purpose's", int(dialogue.system is not None))
    merged: list[list[str]] = []  # role, text
    for message in dialogue.turns():
        if message.role in ("system", "tool"):
            place = "system messages inside dialogues" if message.role == "system" else "messages of tools"
            counts.count(f"{place} left out")
        elif not message.content.strip():
            counts.count("messages of tools left out" if message.tool_calls else "empty messages left out")
        elif merged and merged[-1][0] == message.role:
            counts.count("messages joined with the one before, which is of the same side")
            merged[-1][1] += BETWEEN + message.content
        else:
            merged.append([message.role, message.content])
    opening = merged.pop(0)[1] if merged and merged[0][0] == side else ""
    counts.count("last messages without a reply left out", len(merged) % 2)
    rounds = tuple(
        RecordedRound(heard, said) for (_, heard), (_, said) in zip(merged[0::2], merged[1::2], strict=False)
    )
    if not rounds:
        counts.leave_out("too short: no message with a reply", name)
        return None
    return Trunk((name,), opening, rounds)


def _joined(trunks: Sequence[Trunk]) -> Trunk:
    """Put dialogues one after another. An opening follows on what its own side said last."""
    rounds: list[RecordedRound] = []
    for trunk in trunks:
        if trunk.opening and rounds:
            rounds[-1] = replace(rounds[-1], said=rounds[-1].said + BETWEEN + trunk.opening)
        rounds += trunk.rounds
    return Trunk(tuple(name for trunk in trunks for name in trunk.names), trunks[0].opening, tuple(rounds))


def trunk_messages(model: Model, trunk: Trunk) -> list[tuple[Message, ...]]:
    """Return the messages of each round as the side under test sees them; its opening comes with the first round."""
    rounds: list[tuple[Message, ...]] = [
        (Message(role="user", content=one.heard), Message(role="assistant", content=one.said)) for one in trunk.rounds
    ]
    opening = trunk.opening
    if opening and rounds and lets_assistant_open(model):
        rounds[0] = (Message(role="assistant", content=opening), *rounds[0])
    elif opening and rounds:
        rounds[0] = (Message(role="user", content=after_opener(opening, trunk.rounds[0].heard)), rounds[0][1])
    return rounds


def token_lengths(model: Model, trunk: Trunk) -> tuple[int, ...]:
    """Count the tokens of a trunk after 0, 1, 2, ... rounds.

    Raises:
        ModelError: the chat template refuses the messages.
    """
    rounds = trunk_messages(model, trunk)
    if not isinstance(model, HasTemplate):
        counts = [sum(len(message.content) for message in one) // CHARACTERS_PER_TOKEN for one in rounds]
        return tuple(sum(counts[:number]) for number in range(len(rounds) + 1))
    before = Message(role="system", content=".")  # so that the template inserts none of its own
    rendering = model.render([before, *(message for one in rounds for message in one)], reply=False)
    ends, number = [rendering.turns[0].end], 0
    for one in rounds:
        number += len(one)
        ends.append(rendering.turns[number].end)
    return tuple(end - ends[0] for end in ends)


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
