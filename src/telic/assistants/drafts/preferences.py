"""Preferences: how the user changes drafts for a kind of recipient, kept only while they save work on other edits.

The task is PRELUDE's (arXiv 2404.15269): the cost of a draft is the word-level distance to what the user makes of it.
As in PROSE, a preference is verified before it is used. Here that needs no model: a preference is a measured feature
of edits, and it is tried on the drafts of other edits.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rapidfuzz.distance import Levenshtein

from telic.assistants.drafts.letter import Letter, parse_letter, render_letter
from telic.assistants.drafts.recipients import Recipient
from telic.assistants.drafts.style import FEATURES, Style, apply_style, style_features
from telic.assistants.mail.addresses import Address
from telic.memory import MemoryEvent

__all__ = [
    "REVOKED",
    "Edit",
    "Preference",
    "edit_distance",
    "edits_of",
    "learn_preferences",
    "revocations_of",
    "style_for",
]

WINDOW = 12
"""Latest edits of a kind of recipient that count, so that a change of mind is followed."""
AGREEING = 3
"""Kinds of recipients that have to share a preference before it is used for one without edits of its own."""
LEAST = 2
"""Edits that have to show a preference: each is verified on the others."""
REVOKED = "draft style"
"""The slot of events with which the user revokes a preference."""

Revocations: TypeAlias = Mapping[tuple[str, str, str], float]
"""When the user revoked a preference, by kind, feature and value."""


@dataclass(frozen=True, slots=True)
class Edit:
    """What the user made of a draft."""

    event: str
    time: float
    recipient: Recipient
    neutral: str
    """The draft as it would have been without preferences."""
    edited: str

    @property
    def kind(self) -> str:
        """The context: the kind of recipient."""
        return self.recipient.kind


@dataclass(frozen=True, slots=True)
class Preference:
    """One feature that the user wants in drafts for a kind of recipient."""

    kind: str
    feature: str
    value: str
    saved: float
    """Words that it saves the user per draft, on the mean of the edits that it was tried on."""
    tried: int
    """Edits that it was tried on; none of them is the only one that shows it."""
    evidence: tuple[str, ...]
    """Events of the memory that show it."""
    shared_by: tuple[str, ...] = ()
    """For a preference that was taken over: the kinds of recipients that agree on it."""

    def as_dict(self) -> dict[str, Any]:
        """Return the preference as JSON types."""
        return {
            "kind": self.kind, "feature": self.feature, "value": self.value, "words_saved": round(self.saved, 2),
            "tried_on": self.tried, "evidence": list(self.evidence), "shared_by": list(self.shared_by),
        }  # fmt: skip


def edit_distance(before: str, after: str) -> int:
    """Return how many words have to be inserted, deleted or replaced."""
    return int(Levenshtein.distance(before.split(), after.split()))


def learn_preferences(edits: Iterable[Edit], revoked: Revocations | None = None) -> list[Preference]:
    """Find the preferences of each kind of recipient. The same edits give the same preferences.

    A value of a feature is a candidate if two edits of the kind show it, so that each of these edits is a test of what
    the others show. It is kept if it brings the drafts nearer to what the user made of them, beside the other features.
    A revoked one needs two new edits.

    Returns:
        The preferences by kind; those that a kind shares with all others are not repeated here (`style_for`).
    """
    by_kind: dict[str, list[Edit]] = {}
    for edit in edits:
        by_kind.setdefault(edit.kind, []).append(edit)
    found: list[Preference] = []
    for kind, own in by_kind.items():
        found += _of_kind(kind, own[-WINDOW:], revoked or {})
    return found


def style_for(kind: str, preferences: Sequence[Preference], edits: Iterable[Edit]) -> list[Preference]:
    """Return the preferences for a kind of recipient: its own, and those that several kinds agree on.

    What one kind of recipient shows is never used for another one. Only where at least three kinds agree on a value,
    and no kind with edits disagrees, a kind without edits of its own takes it over.
    """
    own = [one for one in preferences if one.kind == kind]
    counts: dict[str, int] = {}
    for edit in edits:
        counts[edit.kind] = counts.get(edit.kind, 0) + 1
    if counts.get(kind, 0) >= LEAST:
        return own
    settled = {one.feature for one in own}
    known = {name for name, count in counts.items() if count >= LEAST}
    for feature in FEATURES:
        holders = [one for one in preferences if one.feature == feature and one.kind != kind]
        if feature in settled or len(holders) < AGREEING or {one.kind for one in holders} != known - {kind}:
            continue
        if len({one.value for one in holders}) == 1:
            saved = sum(one.saved for one in holders) / len(holders)
            evidence = tuple(event for one in holders for event in one.evidence)
            names = tuple(one.kind for one in holders)
            tried = sum(one.tried for one in holders)
            own.append(Preference(kind, feature, holders[0].value, saved, tried, evidence, names))
    return own


def edits_of(events: Iterable[MemoryEvent]) -> list[Edit]:
    """Read the edits of drafts in a memory's log; what was forgotten or undone is left out."""
    events = list(events)
    removed = {name for event in events if event.kind in ("forget", "undo") for name in event.data.get("events", ())}
    found: dict[str, Edit] = {}  # by draft: the latest edit of a draft replaces those before it
    for event in events:
        data = event.data
        kind, draft = data.get("recipient_kind"), data.get("neutral", data.get("draft"))
        if event.kind != "edit" or event.id in removed or not (isinstance(kind, str) and isinstance(draft, str)):
            continue
        words = tuple(word for word in str(data.get("recipient_name", "")).split() if word)
        recipient = Recipient(Address("", ""), kind, title=str(data.get("recipient_title", "")), words=words)
        name = str(data.get("draft_id", event.id))
        found.pop(name, None)
        found[name] = Edit(event.id, event.time, recipient, draft, event.text)
    return list(found.values())


def revocations_of(events: Iterable[MemoryEvent]) -> dict[tuple[str, str, str], float]:
    """Read which preferences the user revoked, and when."""
    found = {}
    for event in events:
        data = event.data
        if event.kind == "choice" and data.get("slot") == REVOKED and not data.get("taken", True):
            key = (str(data.get("recipient_kind")), str(data.get("feature")), str(data.get("value")))
            found[key] = event.time
    return found


def _of_kind(kind: str, edits: list[Edit], revoked: Revocations) -> list[Preference]:
    """Start with every value that two edits show, and drop those without which the drafts would be no worse.

    Features depend on each other (`I am` becomes `We're` by two of them), so that each is judged beside the others.
    """
    letters = [parse_letter(edit.neutral) for edit in edits]
    shown = _shown(kind, edits, revoked)
    style = {feature: value for feature, (value, _) in shown.items()}
    while style:
        cost = _costs(letters, edits, style)
        gains = {feature: _gains(letters, edits, style, feature, cost) for feature in style}
        worst = min(gains, key=lambda feature: sum(gains[feature]))
        helped, hurt = sum(gain > 0 for gain in gains[worst]), sum(gain < 0 for gain in gains[worst])
        if sum(gains[worst]) > 0 and helped >= LEAST and helped > hurt:
            return [
                Preference(
                    kind, feature, style[feature], sum(gains[feature]) / len(edits), len(edits), shown[feature][1]
                )
                for feature in style
            ]
        del style[worst]
    return []


def _shown(kind: str, edits: list[Edit], revoked: Revocations) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return, by feature, the value that most edits show, and which ones; at least two."""
    found: dict[str, dict[str, list[str]]] = {feature: {} for feature in FEATURES}
    for edit in edits:
        for feature, value in style_features(parse_letter(edit.edited), edit.recipient).items():
            if edit.time > revoked.get((kind, feature, value), float("-inf")):
                found[feature].setdefault(value, []).append(edit.event)
    best = {feature: max(values.items(), key=lambda one: len(one[1])) for feature, values in found.items() if values}
    return {feature: (value, tuple(events)) for feature, (value, events) in best.items() if len(events) >= LEAST}


def _gains(letters: list[Letter], edits: list[Edit], style: Style, feature: str, cost: list[int]) -> list[int]:
    """Return how many words of each edit a feature saves beside the others."""
    without = {name: value for name, value in style.items() if name != feature}
    return [more - less for more, less in zip(_costs(letters, edits, without), cost, strict=True)]


def _costs(letters: list[Letter], edits: list[Edit], style: Style) -> list[int]:
    return [
        edit_distance(render_letter(apply_style(letter, style, edit.recipient)), edit.edited)
        for letter, edit in zip(letters, edits, strict=True)
    ]
