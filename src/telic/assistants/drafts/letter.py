"""The parts of a letter: greeting, opening line, points, ending line, closing and name."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["GAP", "Letter", "parse_letter", "render_letter"]

GAP = re.compile(r"\[[^\[\]\n]{0,300}→[^\[\]\n]{0,300}\]")
"""Something that only the user knows: `[Dana: "Does Tuesday work?" → yes / no]`."""
LONGEST_NAME = 4
"""Words of a name or a closing line."""
EMOJI = "[\U0001f300-\U0001faff\u2600-\u27bf\u2b50]\ufe0f?"

_GREETING = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening)|greetings|hiya|howdy)\b[^.?!\n]{0,60}[,!:.]?|[A-Z][\w'’-]+(?: [A-Z][\w'’.-]+){0,2}[,:]",
)  # fmt: skip
_GREETING_ANY = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|afternoon|evening))\b[^.?!\n]{0,60}[,!:.]?", re.IGNORECASE
)
_CLOSING = re.compile(
    r"(?:(?:many |kind |best |warm |kindest |warmest )?(?:thanks|regards|wishes)|thank you|best|cheers|sincerely|yours(?: sincerely| truly| faithfully)?|"
    r"sincerely yours|all the best|take care|love|see you|talk soon|ciao|greetings|respectfully|with (?:thanks|regards|gratitude)|xx+|xoxo|ttyl|"
    r"thanks (?:again|so much|a lot))[,.!]?",
    re.IGNORECASE,
)
_SIGNATURE = re.compile(r"[^\W\d_][\w'’.-]{0,30}(?: [^\W\d_][\w'’.-]{0,30}){0,3}")
_BULLET = re.compile(r"\s*(?:[-*•]|\d{1,2}[.)])\s+")
_SENTENCE = re.compile(rf"(?<=[.!?…])(?:\s*{EMOJI})?\s+(?=[\"'“(\[]?[A-Z0-9])")
_OPENING = re.compile(
    r"(?:many thanks|thanks|thank you|great to hear|good to hear|nice to hear|lovely to hear|(?:i )?hope (?:you|this|all)|i appreciate)\b",
    re.IGNORECASE,
)
_ENDING = re.compile(
    r"(?:please )?(?:let me know|let us know|don't hesitate|do not hesitate|feel free)\b.{0,60}(?:question|anything|need|help|thought|look)|"
    r"(?:i(?:'m| am)? |we(?:'re| are)? )?look(?:ing)? forward\b|have a (?:great|nice|lovely|good)\b|enjoy (?:the|your) \w+|"
    r"(?:if you have )?any (?:other )?questions\b|talk (?:to you )?soon|speak soon|see you soon|please do not hesitate",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter, taken apart. A missing part is empty."""

    greeting: str = ""
    opening: str = ""
    """A first sentence that only is polite: `Thank you for your message.`"""
    points: tuple[str, ...] = ()
    """What it says: sentences, items of a list, and gaps."""
    ending: str = ""
    """A last sentence that only is polite: `Let me know if you have questions.`"""
    closing: str = ""
    """`Best regards,`"""
    name: str = ""
    bullets: bool = False
    """Whether the points are a list."""
    emoji: str = ""
    """What follows the last sentence."""


def parse_letter(text: str) -> Letter:
    """Take a letter apart. Every word of it is in one of the parts."""
    lines = [line.rstrip() for line in text.strip().split("\n")]
    greeting = ""
    first = lines[0].strip() if lines else ""
    if _GREETING.fullmatch(first) or _GREETING_ANY.fullmatch(first):
        greeting, lines = first, lines[1:]
    closing, name, lines = _closing(lines)
    bullets = sum(1 for line in lines if _BULLET.match(line)) >= 2
    points = _points(lines)
    emoji = ""
    if points and (match := re.search(rf"\s*({EMOJI})\s*$", points[-1])):
        emoji, points[-1] = match[1], points[-1][: match.start()]
        points = [point for point in points if point]
    opening = points.pop(0) if len(points) > 1 and _OPENING.match(points[0]) and len(points[0].split()) <= 16 else ""
    ending = points.pop() if len(points) > 1 and _ENDING.match(points[-1]) and len(points[-1].split()) <= 16 else ""
    return Letter(greeting, opening, tuple(points), ending, closing, name, bullets, emoji)


def render_letter(letter: Letter) -> str:
    """Write a letter."""
    points = list(letter.points)
    last = [letter.ending] if letter.ending else []
    if letter.emoji and last:
        last[-1] += f" {letter.emoji}"
    elif letter.emoji and points:
        points[-1] += f" {letter.emoji}"
    if letter.bullets and len(points) > 1:
        body = [letter.opening, "\n".join(f"- {point}" for point in points), *last]
    else:
        body = _paragraphs([*filter(None, [letter.opening]), *points, *last])
    signed = "\n".join(filter(None, [letter.closing, letter.name]))
    return "\n\n".join(filter(None, [letter.greeting, *body, signed])) + "\n"


def _paragraphs(points: list[str]) -> list[str]:
    """Join sentences to a paragraph; a gap has a line of its own."""
    found: list[str] = []
    fresh = True
    for point in points:
        if GAP.fullmatch(point):
            found.append(point)
            fresh = True
        elif fresh:
            found.append(point)
            fresh = False
        else:
            found[-1] += f" {point}"
    return found


def _closing(lines: list[str]) -> tuple[str, str, list[str]]:
    """Take the closing and the name off the end."""
    lines = list(lines)
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        return "", "", lines
    last = lines[-1].strip()
    if _CLOSING.fullmatch(last):
        return last, "", lines[:-1]
    together = re.fullmatch(rf"({_CLOSING.pattern}) ({_SIGNATURE.pattern})", last, re.IGNORECASE)
    if together and together[1].endswith((",", ".", "!")):
        return together[1], together[2], lines[:-1]
    before = [line for line in lines[:-1] if line.strip()]
    if _SIGNATURE.fullmatch(last) and len(last.split()) <= LONGEST_NAME and before:
        if _CLOSING.fullmatch(before[-1].strip()):
            cut = max(index for index, line in enumerate(lines[:-1]) if line.strip())
            return before[-1].strip(), last, lines[:cut]
        if len(lines) > 1 and not lines[-2].strip() and last[0].isupper():
            return "", last, lines[:-1]
    return "", "", lines


def _points(lines: list[str]) -> list[str]:
    """Split the body into sentences, items and gaps."""
    found: list[str] = []
    paragraph: list[str] = []

    def flush() -> None:
        text = " ".join(" ".join(paragraph).split())
        paragraph.clear()
        start = 0
        for gap in GAP.finditer(text):
            found.extend(_sentences(text[start : gap.start()]))
            found.append(gap[0])
            start = gap.end()
        found.extend(_sentences(text[start:]))

    for line in lines:
        item = _BULLET.match(line)
        if item or not line.strip():
            flush()
        if item:
            found.append(" ".join(line[item.end() :].split()))
        elif line.strip():
            paragraph.append(line)
    flush()
    return found


def _sentences(text: str) -> list[str]:
    pieces, start = [], 0
    for match in _SENTENCE.finditer(text):
        emoji = re.match(rf"\s*{EMOJI}", match[0])
        end = match.start() + (emoji.end() if emoji else 0)
        pieces.append(text[start:end])
        start = match.end()
    return [piece.strip() for piece in [*pieces, text[start:]] if piece.strip()]
