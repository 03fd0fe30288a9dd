"""Edit differences: how a user changes drafts, as features that can be measured (arXiv 2404.15269)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Literal

from telic.memory.claims import GENERAL, Claim, ClaimScope, EvidenceSpan
from telic.memory.config import MemoryConfig
from telic.memory.events import MemoryEvent

__all__ = ["EditDifferences"]

SHORTER, LONGER = 0.75, 1.33
"""Ratios of words after and before an edit from which it says something about length."""
LEAST_WORDS = 8
"""Words of the longer text below which length says nothing."""

_EMOJI = re.compile("[\U0001f300-\U0001faff\u2600-\u27bf]")
_BULLET = re.compile(r"^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_GREETING = re.compile(r"^\W*(?:hi|hello|hey|dear|good (?:morning|evening|afternoon))\b", re.IGNORECASE)
_CLOSING = re.compile(r"\b(?:regards|best wishes|sincerely|cheers|yours)\b[\w\s,.]{0,40}$", re.IGNORECASE)
_FEATURES: dict[str, Callable[[str], int]] = {
    "emoji": lambda text: len(_EMOJI.findall(text)),
    "bullet points": lambda text: len(_BULLET.findall(text)),
    "exclamation marks": lambda text: text.count("!"),
    "a greeting": lambda text: int(_GREETING.search(text) is not None),
    "a closing": lambda text: int(_CLOSING.search(text) is not None),
}


class EditDifferences:
    """Reads preferences off edited drafts. One edit is weak evidence; several of the same kind count together.

    Where the edit names a `scope`, such as `mail to customers`, what it shows holds there only.
    """

    name = "edits"

    def __init__(self, _config: MemoryConfig) -> None:
        pass

    def extract(self, event: MemoryEvent) -> Iterator[Claim]:
        """Yield a claim for each measured difference between a draft and what the user made of it."""
        draft = event.data.get("draft")
        if event.kind != "edit" or not isinstance(draft, str) or not draft.strip() or not event.text.strip():
            return
        before, after = len(draft.split()), len(event.text.split())
        if max(before, after) >= LEAST_WORDS:
            if after <= SHORTER * before:
                yield self._claim(event, "short replies", 1)
            elif after >= LONGER * before:
                yield self._claim(event, "short replies", -1)
        for feature, count in _FEATURES.items():
            was, is_ = count(draft), count(event.text)
            if bool(was) != bool(is_):
                yield self._claim(event, feature, 1 if is_ else -1)

    def _claim(self, event: MemoryEvent, feature: str, polarity: Literal[1, -1]) -> Claim:
        span = EvidenceSpan(event.id, 0, len(event.text))
        words = event.data.get("scope")
        scope = ClaimScope("context", words) if isinstance(words, str) and words else GENERAL
        return Claim("reply style", feature, span, self.name, polarity, scope, time=event.time, weight=0.5)
