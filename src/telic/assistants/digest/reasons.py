"""Reasons: why an item is in the digest, in words."""

from __future__ import annotations

import re

from telic.assistants.digest.evidence import DAY
from telic.assistants.digest.items import DigestItem
from telic.assistants.digest.ranking import RankedStory
from telic.memory.words import stem

__all__ = ["age_text", "reasons_for"]

TOLD = 0.04
"""Share of the score from which a reason is told."""
UNSURE = 0.9
"""Doubt from which an item is of a topic that the user never reacted to."""
MOST_WORDS = 4
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")


def reasons_for(ranked: RankedStory, now: float, *, learnt: bool) -> tuple[str, ...]:
    """Return the reasons, the strongest first.

    Args:
        ranked: the story.
        now: seconds since 1970.
        learnt: whether anything is known of the user.
    """
    told = []
    if ranked.asked:
        told.append(f"it asks for you: “{ranked.asked}”")
    raised = [(one, part) for one, part in ranked.interest.evidence if part >= TOLD]
    lowered = [(one, part) for one, part in ranked.interest.evidence if part <= -TOLD]
    for evidence, _ in raised[:2]:
        told.append(evidence.label)
    if raised and (words := _words(ranked, 1)):
        told.append(f"words: {words}")
    if lowered:
        told.append(f"lower, because {lowered[0][0].label}")
    if learnt and not raised and not ranked.asked and ranked.interest.doubt >= UNSURE:
        told.append("outside what you reacted to so far")
    if not told or ranked.scores.recency >= 0.1:
        told.append(age_text(ranked.story.item, now))
    if len(ranked.story.sources) > 1:
        told.append(f"{len(ranked.story.sources)} sources have it")
    return tuple(told)


def age_text(item: DigestItem, now: float) -> str:
    """Return how old an item is: `3 hours old`."""
    if item.time is None:
        return "without a date"
    hours = max(0.0, now - item.time) / 3600
    if hours < 1:
        return "less than an hour old"
    number, unit = (int(hours), "hour") if hours < 36 else (round(hours * 3600 / DAY), "day")
    return f"{number} {unit}{'s' if number != 1 else ''} old"


def _words(ranked: RankedStory, sign: int) -> str:
    """Return the item's own words behind the stems that count most."""
    own = {stem(word): word for word in reversed(_WORD.findall(f"{ranked.story.item.title} {ranked.story.item.text}"))}
    found = [own[name] for name, share in ranked.interest.words if share * sign >= TOLD / 4 and name in own]
    return ", ".join(found[:MOST_WORDS])
