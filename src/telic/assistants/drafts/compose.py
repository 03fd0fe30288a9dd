"""Composing a draft: what the user wants to say, gaps for what only the user knows, in the user's style."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from telic.assistants.drafts.actions import ActionItem
from telic.assistants.drafts.intent import sentences_of
from telic.assistants.drafts.letter import Letter, render_letter
from telic.assistants.drafts.recipients import Recipient
from telic.assistants.drafts.style import Style, apply_style
from telic.memory.words import content_stems, is_instruction, one_line

__all__ = ["Draft", "compose", "gap_for"]

LONGEST_QUOTE = 140
"""Characters of a request that a gap quotes."""
MOST_GAPS = 6
_LINK = re.compile(r"(?:https?://|www\.)\S+|\S+@\S+\.\w+", re.IGNORECASE)
_YES_NO = re.compile(
    r"(?:\b(?:can|could|would|will|do|does|did|have|has|is|are|may|should)\s+(?:you|we|i|it|that|this|the|there|your)\b)|\b(?:if|whether)\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"\b(?:what|which|who|where|how|why|when)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Draft:
    """A draft, and the style it was written in."""

    text: str
    style: Style
    gaps: int
    """What is left to the user to fill in."""
    written_by: str = "rules"
    say: str = ""
    """What the user wanted to say."""


def compose(items: Sequence[ActionItem], say: str, style: Style, recipient: Recipient) -> Draft:
    """Write a draft by rules. It says what the user said, and nothing else; what they did not answer stays as a gap.

    Args:
        items: what the message asks for.
        say: what the user wants to say; empty: nothing yet.
        style: features of the letter.
        recipient: whom it is for.
    """
    said = sentences_of(say, recipient.first)
    stems = set(content_stems(say))
    # The user's words answer the only question there is; of several, those that they share words with.
    open_items = [one for one in items if not said or (len(items) > 1 and not stems & set(content_stems(one.text)))]
    letter = apply_style(Letter(points=tuple(said)), style, recipient)
    gaps = [gap_for(item, recipient) for item in open_items[:MOST_GAPS]]
    if not said and not gaps:
        gaps = ["[what do you want to say? → …]"]
    letter = replace(letter, points=(*letter.points, *gaps))
    return Draft(render_letter(letter), style, len(gaps))


def gap_for(item: ActionItem, recipient: Recipient) -> str:
    """Write a gap: who asks for what, and the choices. The words of others are quoted as data, without links."""
    name = recipient.first or "asked"
    words = one_line(_LINK.sub("(link)", item.text), LONGEST_QUOTE).replace("→", "-")
    choices = "done / I will do it by … / I cannot"
    if item.kind == "answer":
        choices = "yes / no / …" if _YES_NO.search(item.text) and not _OPEN.search(item.text) else "…"
    if is_instruction(_LINK.sub("", item.text)):
        return "[they ask for something; read the message → …]"
    return f"[{name}: '{words}' → {choices}]"
