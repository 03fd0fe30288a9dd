"""Style: ten features of a letter that can be measured and applied, one at a time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from telic.assistants.drafts.letter import EMOJI, GAP, Letter, parse_letter
from telic.assistants.drafts.phrasing import contracted, contracts, expanded, in_person, person_of
from telic.assistants.drafts.recipients import Recipient

__all__ = ["DEFAULT_STYLE", "FEATURES", "Style", "apply_style", "restyled", "style_features", "usual_style"]

Style: TypeAlias = Mapping[str, str]
"""Values by feature. A feature without a value stays as it is."""

FEATURES = (
    "greeting", "opening", "bullets", "person", "contractions", "exclamation", "ending", "emoji", "closing", "name",
)  # fmt: skip
"""`greeting`, `closing`, `name`, `opening`, `ending`, `emoji`: what is written there, empty for nothing; a greeting has
the tokens `{first}`, `{last}`, `{full}`, `{title}`. `bullets`, `contractions`, `exclamation`: `yes` or `no`. `person`:
`I` or `we`."""
DEFAULT_STYLE: Style = {
    "greeting": "Hello {first},", "opening": "Thank you for your message.", "bullets": "no", "exclamation": "no",
    "ending": "", "emoji": "", "closing": "Best regards,",
}  # fmt: skip
LEAST_LETTERS = 2
"""Letters to a kind of recipient from which a usual style is measured."""
_TITLE = re.compile(r"\b(?:Mr|Mrs|Ms|Mx|Dr|Prof)\b\.?")


def style_features(letter: Letter, recipient: Recipient | None = None) -> dict[str, str]:
    """Measure the features of a letter; a feature that it does not show is left out.

    Args:
        letter: what was written.
        recipient: whom it is for, so that their name in the greeting becomes a token.
    """
    said = " ".join(GAP.sub("", point) for point in (letter.opening, *letter.points, letter.ending))
    found = {
        "greeting": _with_tokens(letter.greeting, recipient), "opening": letter.opening, "ending": letter.ending,
        "closing": letter.closing, "name": letter.name, "emoji": letter.emoji or _first_emoji(said),
        "exclamation": "yes" if "!" in said else "no",
    }  # fmt: skip
    if len(letter.points) > 1:
        found["bullets"] = "yes" if letter.bullets else "no"
    if (person := person_of(said)) is not None:
        found["person"] = person
    if (short := contracts(said)) is not None:
        found["contractions"] = "yes" if short else "no"
    return found


def usual_style(texts: Iterable[str]) -> dict[str, str]:
    """Measure how somebody usually writes: the value of each feature in most of their letters.

    A greeting loses its name. An opening counts only where it says nothing about its letter, so that
    no old letter is quoted in a new one.

    Args:
        texts: letters, without quotations.
    """
    measured = [style_features(parse_letter(text)) for text in texts if text.strip()]
    if len(measured) < LEAST_LETTERS:
        return {}
    style = {}
    for feature in FEATURES:
        values = [one[feature] for one in measured if feature in one]
        if feature == "greeting":
            values = [_without_name(value) for value in values]
        if feature in ("opening", "ending"):
            counts = Counter(values)
            value, count = counts.most_common(1)[0] if counts else ("", 0)
            thanks = sum(bool(value) for value in values) * 2 > len(values)
            generic = "Thank you for your message." if feature == "opening" and thanks else ""
            style[feature] = value if value and count >= LEAST_LETTERS else generic
        elif values:
            value, count = Counter(values).most_common(1)[0]
            if 2 * count >= len(values):
                style[feature] = value
    return style


def restyled(letter: Letter, feature: str, value: str, recipient: Recipient) -> Letter:
    """Return a letter with another value of one feature. Gaps keep their words."""
    if feature == "greeting":
        return replace(letter, greeting=_with_name(value, recipient))
    if feature in ("opening", "ending", "closing", "name", "emoji"):
        return _with_part(letter, feature, value)
    if feature == "bullets":
        return replace(letter, bullets=value == "yes")
    if feature == "exclamation":
        return _exclaiming(letter) if value == "yes" else _each(letter, lambda text: text.replace("!", "."))
    if feature == "person":
        return _each(letter, lambda text: in_person(text, value))
    return _each(letter, contracted if value == "yes" else expanded)


def apply_style(letter: Letter, style: Style, recipient: Recipient) -> Letter:
    """Return a letter in a style."""
    for feature in FEATURES:
        if feature in style:
            letter = restyled(letter, feature, style[feature], recipient)
    return letter


def _with_part(letter: Letter, part: str, text: str) -> Letter:
    changes: dict[str, Any] = {part: text}
    return replace(letter, **changes)


def _each(letter: Letter, change: Callable[[str], str]) -> Letter:
    """Change the sentences, but not what is quoted in gaps."""
    points = tuple(point if GAP.search(point) else change(point) for point in letter.points)
    return replace(letter, opening=change(letter.opening), points=points, ending=change(letter.ending))


def _exclaiming(letter: Letter) -> Letter:
    if "!" in " ".join((letter.opening, *letter.points, letter.ending)):
        return letter
    for part in ("opening", "ending"):
        text = getattr(letter, part)
        if text.endswith("."):
            return _with_part(letter, part, f"{text[:-1]}!")
    points = list(letter.points)
    if points and points[0].endswith(".") and not GAP.search(points[0]):
        points[0] = f"{points[0][:-1]}!"
    return replace(letter, points=tuple(points))


def _first_emoji(text: str) -> str:
    match = re.search(EMOJI, text)
    return match[0] if match else ""


def _with_tokens(greeting: str, recipient: Recipient | None) -> str:
    """Replace the recipient's name in a greeting by tokens."""
    if recipient is None or not recipient.words:
        return greeting
    full = " ".join(recipient.words)
    if recipient.last:
        greeting = greeting.replace(full, "{full}")
        greeting = re.sub(rf"{_TITLE.pattern} {re.escape(recipient.last)}\b", "{title} {last}", greeting)
        greeting = re.sub(rf"\b{re.escape(recipient.last)}\b", "{last}", greeting)
    return re.sub(rf"\b{re.escape(recipient.first)}\b", "{first}", greeting)


def _without_name(greeting: str) -> str:
    """Replace whatever name a greeting has by a token."""
    words = greeting.split()
    kept = [word for word in words if not (word[:1].isupper() and word is not words[0])]
    if len(kept) == len(words):
        return greeting if words and words[0][:1].isupper() and len(words) > 1 else "{first}," if words else ""
    mark = greeting[-1] if greeting[-1] in ",!:." else ""
    token = "{title} {last}" if _TITLE.search(greeting) else "{full}" if len(words) - len(kept) > 1 else "{first}"
    return f"{' '.join(kept)} {token}{mark}"


def _with_name(template: str, recipient: Recipient) -> str:
    """Fill in a greeting. Without the name that it needs, it takes the nearest, or goes without."""
    full = " ".join(recipient.words)
    if "{title}" in template and not (recipient.title and recipient.last):
        template = template.replace("{title} {last}", "{full}").replace("{title} ", "")
    if "{last}" in template and not recipient.last:
        template = template.replace("{last}", "{full}")
    values = {"title": recipient.title, "last": recipient.last, "full": full, "first": recipient.first}
    text = re.sub(r"\{(title|last|full|first)\}", lambda match: values[match[1]], template)
    return re.sub(r"\s+(?=[,!:.]|$)", "", " ".join(text.split())) if re.search(r"\w", text) else ""
