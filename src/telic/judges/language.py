"""The language of an answer, identified offline by py3langid, whose model ships in its wheel."""

from __future__ import annotations

import re
from functools import cached_property, lru_cache
from typing import Any

from pydantic import Field
from pydantic.dataclasses import dataclass

from telic.errors import JudgeError
from telic.judges.base import STRICT, Score, registry

__all__ = ["COMMON", "Language", "identify"]

COMMON = (
    *("ar", "bg", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu", "id"),
    *("it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sv", "th", "tr", "uk", "vi"),
    "zh",
)
"""The languages told apart by default. Among all 139 that py3langid knows, a short answer is easily mistaken for a
rare language ("Hello there" for Sotho)."""

_MIN_WORDS, _MIN_LETTERS = 3, 10
# Scripts that write no spaces: each letter counts as a word.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@registry.register("language")
@dataclass(frozen=True, config=STRICT)
class Language:
    """The answer is in this language: `{ language = "fr" }`, or in one of several: `["fr", "nl"]`.

    The score is missing if the answer has fewer than 3 words and 10 letters, or if no language is likely enough.
    """

    argument: str | list[str]
    """ISO 639 code or codes, such as "fr"."""
    options: list[str] | None = None
    """The languages that are told apart; by default those of `COMMON`. The argument's are always among them."""
    confidence: float = Field(default=0.5, ge=0, le=1)
    """Share of the probability, among these languages, that the first one must have."""

    def __post_init__(self) -> None:
        wanted, among = self.wanted, self.among
        # The identifier takes a second to load, so it is asked only about languages outside the default list.
        unknown = sorted(among - set(COMMON))
        unknown = [code for code in unknown if code not in _identifier().labels] if unknown else []
        if unknown or not wanted:
            given = unknown[0] if unknown else self.argument
            raise JudgeError(f"{given!r} is not a known language; expected an ISO 639 code, such as 'fr'")
        if among == wanted:
            raise JudgeError(f"options name no language besides {self.argument!r}; add one to tell it apart from")

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The languages that score 1."""
        return frozenset([self.argument] if isinstance(self.argument, str) else self.argument)

    @cached_property
    def among(self) -> frozenset[str]:
        """All languages that are told apart."""
        return self.wanted | frozenset(COMMON if self.options is None else self.options)

    def judge(self, answer: str, question: str = "") -> Score:  # noqa: ARG002
        """1 if the likeliest language is (one of) the wanted, 0 if another, missing if it cannot be told."""
        words = len(re.findall(r"[^\W\d_]+", answer)) + len(_UNSPACED.findall(answer))
        letters = sum(char.isalpha() for char in answer)
        if words < _MIN_WORDS and letters < _MIN_LETTERS:
            return Score.missing(f"too short to identify its language: {answer.strip()[:40]!r}")
        found, share = identify(answer, self.among)[0]
        if share < self.confidence:
            return Score.missing(f"no language is likely enough; the first is {found!r} with {share:.2f}")
        return Score.of(found in self.wanted, f"identified as {found!r} with {share:.2f}")


def identify(text: str, among: frozenset[str] | None = None) -> list[tuple[str, float]]:
    """Return languages and their probabilities (summing to 1) for `text`, the likeliest first.

    `among` restricts the languages; None takes all that py3langid knows.
    """
    ranked = [(code, share) for code, share in _identifier().rank(text) if among is None or code in among]
    total = sum(share for _, share in ranked) or 1.0
    return [(code, share / total) for code, share in ranked]


@lru_cache(maxsize=1)
def _identifier() -> Any:
    # All judges share this instance, so nobody may call its `set_languages`.
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
