"""Evidence of what a user cares about: reactions, what was shown without one, and what they said in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args
from uuid import uuid4

from telic.assistants.digest.config import DigestConfig
from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.text import plain, shortened
from telic.errors import ConfigError
from telic.memory import Memory, MemoryEvent, new_event
from telic.registry import suggest

__all__ = [
    "REACTIONS",
    "InterestEvidence",
    "Reaction",
    "ShownItem",
    "collect_evidence",
    "reaction_event",
    "shown_event",
]

Reaction = Literal["opened", "more", "less", "never"]
REACTIONS: tuple[Reaction, ...] = get_args(Reaction)
SOURCE = "digest"
"""What events of the log name as their source."""
EXCERPT = 400
"""Characters of an item's text that the log keeps, to learn from."""
DAY = 86_400.0

TARGETS: dict[Reaction, tuple[float, float]] = {
    "opened": (0.7, 1.0),
    "more": (1.0, 2.0),
    "less": (-1.0, 2.0),
    "never": (-1.0, 6.0),
}
"""By reaction: the interest that it shows, -1 to 1, and the observations that it counts for."""
IGNORED = (-0.15, 0.25)
"""The same for an item that was shown and not reacted to: it says little, because nobody reacts to everything."""
STATED = 1.5
"""Observations that words of the user's own count for."""


@dataclass(frozen=True, slots=True)
class InterestEvidence:
    """One thing that says what the user cares about."""

    text: str
    """What it is about."""
    target: float
    """The interest that it shows, from -1 to 1."""
    weight: float
    """Observations that it counts for, decayed."""
    label: str
    """How a reason tells it: `you wanted more of "Night trains return"`."""
    event: str | None = None
    """The event of the log; None for the purpose file."""
    never: bool = False
    """Whether the user never wants to see such items."""


@dataclass(frozen=True, slots=True)
class ShownItem:
    """An item that a digest has shown."""

    id: str
    digest: str
    time: float
    number: int
    """Its place in the digest, from 1."""
    title: str
    text: str
    link: str | None
    origin: str


def shown_event(item: DigestItem, digest: str, number: int, time: float) -> MemoryEvent:
    """Make the log's entry for an item that is shown. Its text is a quotation: no claim is made of it."""
    text = f"{item.title}\n{shortened(plain(item.text), EXCERPT)}"
    data = {"item": item.id, "number": number, "origin": item.source, "link": item.link}
    return MemoryEvent(f"shown:{digest}:{item.id}", time, "shown", SOURCE, "system", text, data)


def reaction_event(shown: ShownItem, reaction: str, time: float) -> MemoryEvent:
    """Make the log's entry for a reaction.

    Raises:
        ConfigError: there is no such reaction.
    """
    if reaction not in REACTIONS:
        raise ConfigError(f"unknown reaction {reaction!r}{suggest(reaction, list(REACTIONS))}")
    data = {"item": shown.id, "reaction": reaction, "origin": shown.origin}
    return new_event("reaction", f"{shown.title}\n{shown.text}", SOURCE, time=time, **data)


def new_digest_id() -> str:
    """Return an id for a digest."""
    return uuid4().hex[:12]


def shown_items(events: Iterable[MemoryEvent]) -> list[ShownItem]:
    """Return what was shown, in the order of the log. Of what was forgotten only the id and the time are left."""
    found = []
    for event in events:
        if event.kind == "shown" and event.id.count(":") == 2:
            _, digest, item = event.id.split(":")
            title, _, text = event.text.partition("\n")
            number, link = event.data.get("number"), event.data.get("link")
            found.append(
                ShownItem(
                    item, digest, event.time, number if isinstance(number, int) else 0, title, text,
                    link if isinstance(link, str) else None, str(event.data.get("origin", "")),
                )
            )  # fmt: skip
    return found


def collect_evidence(memory: Memory, config: DigestConfig, now: float) -> list[InterestEvidence]:
    """Collect all evidence, weighted by its age.

    Args:
        memory: the log and the profile of the user.
        config: topics, and the half-life of a reaction.
        now: seconds since 1970.
    """
    return [*_stated(memory, config, now), *_reactions(memory.events, config, now)]


def _stated(memory: Memory, config: DigestConfig, now: float) -> Iterator[InterestEvidence]:
    for words, target in [(words, 1.0) for words in config.topics] + [(words, -1.0) for words in config.avoid]:
        name = "topics" if target > 0 else "avoid"
        yield InterestEvidence(words, target, STATED, f"{words!r} is in `{name}`")
    for fact in memory.profile.of_slot("taste"):
        positive, negative = fact.counts_at(now)
        weight = max(positive, negative)
        if fact.scope.kind == "general" and weight > 0:
            told = "like" if fact.polarity > 0 else "dislike"
            yield InterestEvidence(
                fact.value, float(fact.polarity), STATED * min(weight, 2.0),
                f"you said that you {told} {fact.value!r}", fact.evidence[-1].evidence.event,
            )  # fmt: skip


def _reactions(events: Sequence[MemoryEvent], config: DigestConfig, now: float) -> Iterator[InterestEvidence]:
    latest: dict[str, MemoryEvent] = {}
    for event in events:
        if event.kind == "reaction" and event.text and isinstance(event.data.get("item"), str):
            earlier = latest.get(event.data["item"])
            if not (event.data.get("reaction") == "opened" and earlier is not None):  # opening takes nothing back
                latest[event.data["item"]] = event
    for event in latest.values():
        reaction = event.data.get("reaction")
        if reaction in TARGETS:
            target, weight = TARGETS[reaction]
            yield InterestEvidence(
                event.text, target, weight * _decay(event.time, config, now), _label(reaction, event), event.id,
                never=reaction == "never",
            )  # fmt: skip
    for event in events:
        if event.kind == "shown" and event.text and event.data.get("item") not in latest:
            target, weight = IGNORED
            decayed = weight * _decay(event.time, config, now)
            yield InterestEvidence(event.text, target, decayed, f"you passed over {_quoted(event)}", event.id)


def _decay(time: float, config: DigestConfig, now: float) -> float:
    return float(0.5 ** (max(0.0, now - time) / (config.half_life_days * DAY)))


def _label(reaction: Reaction, event: MemoryEvent) -> str:
    said = {
        "opened": "you opened", "more": "you wanted more of", "less": "you wanted less of",
        "never": "you never want to see",
    }  # fmt: skip
    return f"{said[reaction]} {_quoted(event)}"


def _quoted(event: MemoryEvent) -> str:
    return f"“{shortened(event.text.partition(chr(10))[0], 60)}”"
