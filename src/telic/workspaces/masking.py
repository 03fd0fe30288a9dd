"""Masking secrets in what the model reads: known forms of keys, values of secret files, and texts that look random."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable

__all__ = ["SecretMask", "secret_values"]

MASK = "<SECRET>"
KNOWN = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{16,}"  # GitHub, GitLab
    r"|\bsk-[A-Za-z0-9_-]{16,}|\bhf_[A-Za-z0-9]{20,}"  # OpenAI and others, Hugging Face
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[\w-]{30,}|\bxox[abprs]-[\w-]{10,}"  # AWS, Google, Slack
    r"|\beyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # JSON web tokens
    r"|(?<=://)[^\s/:@]+:[^\s/@]{6,}(?=@(?!example))",  # user and password in an address
    re.DOTALL,
)
ASSIGNED = re.compile(
    r"""(?ix) (?P<name> (?:secret|token|passw(?:or)?d|api_?key|access_?key|private_?key) [\w.-]{0,40} ["']? \s? [:=] \s?
    ["']? ) (?P<value> [A-Za-z0-9+/_=.-]{16,} )"""
)
"""A value with a telling name, such as `API_KEY = "..."`."""
LONG = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{32,}={0,2}(?![\w+/-])")
SHORTEST_VALUE = 8
RANDOM_BITS = 4.3
"""Bits of entropy per character above which a long mixed text counts as random. Names in code stay below; 32 random
characters of base64 have 4.7 on average."""
ASSIGNED_BITS = 3.0


class SecretMask:
    """Replaces secrets in texts with `<SECRET>`.

    Args:
        values: secrets that are known, such as the values in a file `.env`.
    """

    def __init__(self, values: Iterable[str] = ()) -> None:
        known = sorted({value for value in values if len(value) >= SHORTEST_VALUE}, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, known))) if known else None

    def __call__(self, text: str) -> str:
        """Return the text with its secrets masked."""
        if self._values:
            text = self._values.sub(MASK, text)
        text = KNOWN.sub(MASK, text)
        text = ASSIGNED.sub(_mask_assigned, text)
        return LONG.sub(lambda match: MASK if _looks_random(match[0]) else match[0], text)


def secret_values(text: str) -> list[str]:
    """Return the values of a file of settings: what follows `=`, `:` or a blank on each line."""
    found = []
    for line in text.splitlines():
        if not line.lstrip().startswith("#"):
            value = re.split(r"[=:]\s*|\s+", line.strip(), maxsplit=1)[-1]
            found.append(value.strip().strip("\"'"))
    return found


def _mask_assigned(match: re.Match[str]) -> str:
    value = match["value"]
    if entropy(value) < ASSIGNED_BITS or not re.search(r"\d", value) or not re.search("[A-Za-z]", value):
        return match[0]
    return f"{match['name']}{MASK}"


def _looks_random(text: str) -> bool:
    kinds = sum(bool(re.search(kind, text)) for kind in ("[a-z]", "[A-Z]", r"\d"))
    return kinds == 3 and entropy(text) >= RANDOM_BITS


def entropy(text: str) -> float:
    """Return the Shannon entropy of a text's characters, in bits per character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())
