"""What an analysis keeps of each labelled conversation: a few numbers, and the words of what was praised or blamed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telic.episodes import Episode, Feedback, Quotation, Turn, assistant_role
from telic.feedback.combination import OBSERVED
from telic.feedback.labelling import SATISFACTION

__all__ = ["Conclusion", "Moment", "conclude"]

LONGEST_QUOTE = 300
"""Characters of a message that a report quotes."""
NOTABLE = 0.3
"""Reward from which a reply counts as praised, or as blamed."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A reply that was praised or blamed, with what was said around it. All texts are data from users."""

    conversation: str
    turn: int
    reward: float
    request: str
    """What the user had asked."""
    reply: str
    answer: str
    """What the user said to the reply."""
    evidence: tuple[str, ...]
    """What the reward rests on: `praise.thanks: Thank you`."""

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON types."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Conclusion:
    """A labelled conversation in short."""

    group: str
    """Its user, or the conversation if the user is unknown: what intervals resample."""
    time: float | None
    """When it began, in seconds since 1970."""
    version: str
    """The setup of its last reply."""
    satisfaction: float
    """Mean over its replies."""
    replies: int
    counts: Mapping[str, int]
    """Number of pieces of evidence by source and cue."""
    moments: tuple[Moment, ...]


def conclude(episode: Episode) -> Conclusion | None:
    """Return the conclusion of a labelled episode; None if it has no reply."""
    role = assistant_role(episode)
    replies = [index for index, turn in enumerate(episode.turns) if SATISFACTION in turn.scores and turn.role == role]
    if not replies:
        return None
    by_reply: dict[int, list[Feedback]] = {}
    counts: dict[str, int] = {}
    for one in episode.feedback:
        by_reply.setdefault(one.turn, []).append(one)
        name = f"{one.source}.{one.cue}" if one.cue else one.source
        counts[name] = counts.get(name, 0) + 1
    turns = episode.turns
    moments = [
        _moment(episode, index, role, by_reply.get(index, []))
        for index in replies
        if abs(turns[index].reward.get(role, 0.0)) >= NOTABLE
    ]
    return Conclusion(
        group=str(episode.metadata.get("user") or episode.id),
        time=_began(episode),
        version=_version(episode, turns[replies[-1]]),
        satisfaction=sum(turns[index].scores[SATISFACTION] for index in replies) / len(replies),
        replies=len(replies),
        counts=counts,
        moments=tuple(moments),
    )


def _moment(episode: Episode, index: int, role: str, evidence: list[Feedback]) -> Moment:
    turns = episode.turns
    before = next((turn for turn in reversed(turns[:index]) if turn.role != "tool" and not turn.tool_calls), None)
    return Moment(
        conversation=episode.id,
        turn=index,
        reward=round(turns[index].reward.get(role, 0.0), 3),
        request=_quote(before.text if before is not None and before.role != role else ""),
        reply=_quote(turns[index].text),
        answer=_quote(turns[index + 1].text if index + 1 < len(turns) and turns[index + 1].role != role else ""),
        evidence=tuple(_named(one) for one in evidence if one.source not in OBSERVED),
    )


def _named(one: Feedback) -> str:
    name = f"{one.source}.{one.cue}" if one.cue else one.source
    words = one.evidence.text if isinstance(one.evidence, Quotation) else ""
    return f"{name}: {_quote(words)}" if words else name


def _quote(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= LONGEST_QUOTE else f"{words[: LONGEST_QUOTE - 1]}…"


def _began(episode: Episode) -> float | None:
    created = episode.metadata.get("created")
    first = episode.turns[0].origin.get("time") if episode.turns else None
    return next((float(one) for one in (first, created) if isinstance(one, int | float)), None)


def _version(episode: Episode, turn: Turn) -> str:
    """Name the setup of a reply: its version, model and controls; two that differ elsewhere keep their digest."""
    digest = str(turn.origin.get("setup") or "")
    setups = episode.metadata.get("setups") or {}
    content = setups.get(digest) if isinstance(setups, dict) else None
    if not isinstance(content, dict):
        return digest or "unknown"
    controls = [str(one.get("name")) for one in content.get("controls") or () if isinstance(one, dict)]
    words = [str(content.get("version") or ""), str(content.get("model") or ""), "+".join(controls)]
    return " ".join(filter(None, words)) + (f" [{digest[:6]}]" if len(digest) == 64 else "")
