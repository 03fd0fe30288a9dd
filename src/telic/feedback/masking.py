"""Masking personal data in exports.

The built-in masker finds e-mail addresses, numbers of phones, of payment cards (with a valid check digit) and of bank
accounts (IBAN, with valid check digits), IP addresses, and addresses of web pages with a query or a user in them. It
misses names, postal addresses, dates of birth, numbers of passports and of national registers, user names inside a
text, everything that is spelt out in words, and numbers that are broken by other characters. Presidio (the extra
`privacy`) finds names, places and numbers of many countries as well, and misses some of them too. Masked data are still
data about people.
"""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

from telic.errors import ConfigError, MissingExtraError
from telic.registry import suggest

__all__ = ["Masker", "PatternMasker", "make_masker", "mask_rows"]

KEPT_KEYS = frozenset(
    {
        "id",
        "kind",
        "setup",
        "setups",
        "digest",
        "parent",
        "role",
        "finish",
        "source",
        "cue",
        "scope",
        "label",
        "version",
    }
)
"""Keys of a row whose texts are Telic's own, such as the ids of conversations."""
USER_KEYS = frozenset({"user"})
"""Keys of a row that name a user."""
BYTE = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
DIGITS_OF_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
PRESIDIO_LANGUAGE = "en"


class Masker(Protocol):
    """Replaces personal data in a text."""

    def __call__(self, text: str) -> str:
        """Return the text with a label such as `<EMAIL>` in each place."""
        ...


class PatternMasker:
    """Finds personal data that has a form of its own; see the module for what it misses."""

    def __init__(self) -> None:
        self._patterns: list[tuple[str, re.Pattern[str], Callable[[str], bool]]] = [
            ("EMAIL", re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+"), _always),
            ("URL", re.compile(r"\bhttps?://(?:[^\s/@]+@\S+|\S+\?\S+)"), _always),
            ("IBAN", DIGITS_OF_IBAN, is_iban),
            ("CARD", re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])"), is_card),
            ("IP", re.compile(rf"(?<![\w.])(?:{BYTE}\.){{3}}{BYTE}(?![\w.])"), _always),
            ("PHONE", re.compile(r"(?<![\w.,/-])(?:\+|00)?\(?\d(?:[ ()./-]{0,2}\d){6,14}(?![\w%])"), is_phone),
        ]

    def __call__(self, text: str) -> str:
        """Return the text with a label in each place."""
        for label, pattern, holds in self._patterns:
            text = pattern.sub(partial(_label_if, label, holds), text)
        return text


class _PresidioMasker:
    """Finds what Microsoft's Presidio finds in English texts, and what the built-in masker finds."""

    def __init__(self) -> None:
        from presidio_analyzer import AnalyzerEngine

        self._analyzer, self._patterns = AnalyzerEngine(), PatternMasker()

    def __call__(self, text: str) -> str:
        text = self._patterns(text)
        found = self._analyzer.analyze(text=text, language=PRESIDIO_LANGUAGE)
        taken = len(text)
        for one in sorted(found, key=lambda one: (-one.start, -one.score)):
            if one.end <= taken:
                text, taken = f"{text[: one.start]}<{one.entity_type}>{text[one.end :]}", one.start
        return text


def make_masker(name: str) -> Masker:
    """Make a masker by its name: `patterns` or `presidio`.

    Raises:
        ConfigError: there is no masker of this name, or Presidio lacks its language model.
        MissingExtraError: Presidio is not installed.
    """
    if name == "patterns":
        return PatternMasker()
    if name != "presidio":
        raise ConfigError(f"unknown masker {name!r}{suggest(name, ['patterns', 'presidio'])}")
    if importlib.util.find_spec("presidio_analyzer") is None:
        raise MissingExtraError("masking with Presidio", "privacy")
    try:
        return _PresidioMasker()
    except (OSError, SystemExit, ValueError) as error:  # it tries to download a model of spaCy, and may exit
        raise ConfigError(
            f"Presidio cannot load its language model: {error}. Install it with: python -m spacy download "
            "en_core_web_lg, or use --masker patterns"
        ) from None


def mask_rows(rows: Iterator[dict[str, Any]], masker: Masker) -> Iterator[dict[str, Any]]:
    """Mask the texts of the rows of an export. A user gets another name, the same one in all rows."""
    salt = secrets.token_bytes(16)

    def name_of(user: str) -> str:
        return f"user-{hmac.digest(salt, user.encode('utf-8', 'surrogatepass'), hashlib.sha256).hex()[:12]}"

    for row in rows:
        user = str((row.get("metadata") or {}).get("user") or "")
        masked: dict[str, Any] = _masked(row, masker, name_of)
        if user:
            for role in (masked.get("roles") or {}).values():
                if role.get("name"):
                    role["name"] = name_of(user) if role["name"] == masker(user) else role["name"]
        yield masked


def _masked(value: Any, masker: Masker, name_of: Callable[[str], str], key: str = "") -> Any:
    if isinstance(value, Mapping):
        return {name: _masked(item, masker, name_of, name) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_masked(item, masker, name_of, key) for item in value]
    if not isinstance(value, str) or key in KEPT_KEYS or not value:
        return value
    return name_of(value) if key in USER_KEYS else masker(value)


def is_card(text: str) -> bool:
    """Return whether a number has 13 to 19 digits and passes Luhn's check."""
    digits = [int(one) for one in text if one.isdecimal()]
    doubled = [2 * one if index % 2 else one for index, one in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(one - 9 if one > 9 else one for one in doubled) % 10 == 0


def is_iban(text: str) -> bool:
    """Return whether a text is an IBAN (ISO 13616): its check digits are right."""
    plain = text.replace(" ", "")
    turned = plain[4:] + plain[:4]
    return 15 <= len(plain) <= 34 and int("".join(str(int(one, 36)) for one in turned)) % 97 == 1


def is_phone(text: str) -> bool:
    """Return whether a number looks like that of a phone, and not like a date, a price or a count."""
    digits = sum(one.isdecimal() for one in text)
    international = text.startswith(("+", "00"))
    grouped = re.search(r"\d[ ()/-]+\d", text) is not None
    is_date = re.fullmatch(r"\d{1,4}[-./]\d{1,2}[-./]\d{1,4}(?:[ T]\d{1,2})?", text.strip()) is not None
    return digits <= 15 and not is_date and (international or (grouped and digits >= 8) or 10 <= digits <= 11)


def _label_if(label: str, holds: Callable[[str], bool], found: re.Match[str]) -> str:
    return f"<{label}>" if holds(found[0]) else found[0]


def _always(_text: str) -> bool:
    return True
