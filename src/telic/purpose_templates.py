"""Commented purpose files to start from: a general one, and one for each of a few kinds of chatbots."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from importlib import resources

import tomlkit

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["KINDS", "PurposeTemplate"]

KINDS: dict[str, tuple[str, str]] = {
    "travel": ("Mia", "Blue Door Travel"),
    "support": ("Sam", "Brightkettle"),
    "intake": ("Robin", "Harbour Counselling Service"),
    "assistant": ("Alva", ""),
}
"""By kind: what the chatbot of the file is called, and whom it works for (empty: nobody)."""
GENERAL = ("Mia", "a travel agent", "to plan a trip")
"""What the chatbot of the general file is called, what it is, and what users want of it."""
PLACEHOLDER = "my-agent"
"""The purpose's name in the files."""


@dataclass(frozen=True, slots=True)
class PurposeTemplate:
    """A purpose file to start from."""

    kind: str | None
    """One of `KINDS`; None for the general file."""
    persona: str
    """What the chatbot is called."""
    organisation: str
    """Whom it works for; empty if nobody."""
    role: str
    """What it is, in the general file."""
    users_want: str
    """What users want of it, in the general file."""
    source: str
    """The text of the file."""

    @classmethod
    def load(cls, kind: str | None = None) -> PurposeTemplate:
        """Read a bundled file.

        Raises:
            ConfigError: there is no such kind.
        """
        if kind is not None and kind not in KINDS:
            raise ConfigError(f"unknown kind {kind!r}{suggest(kind, list(KINDS))}")
        persona, organisation = KINDS[kind] if kind else (GENERAL[0], "")
        source = (resources.files("telic") / "data" / f"{kind or 'purpose'}.toml").read_text(encoding="utf-8")
        return cls(kind, persona, organisation, GENERAL[1], GENERAL[2], source)

    def called(self, persona: str) -> PurposeTemplate:
        """Give the chatbot another name: in the system prompt, the rules and the probes."""
        return replace(self._with(self.persona, persona), persona=persona)

    def working_for(self, organisation: str) -> PurposeTemplate:
        """Let the chatbot work for another organisation."""
        return replace(self._with(self.organisation, organisation), organisation=organisation)

    def playing(self, role: str, users_want: str) -> PurposeTemplate:
        """Change what the chatbot of the general file is, and what users want of it."""
        changed = self._with(self.role, role)._with(self.users_want, users_want)
        return replace(changed, role=role, users_want=users_want)

    def text(self, name: str) -> str:
        """Return the file's text, with the purpose's name in it."""
        return self.source.replace(f'"{PLACEHOLDER}"', tomlkit.string(name).as_string(), 1)

    def _with(self, old: str, new: str) -> PurposeTemplate:
        if not new.strip():
            raise ConfigError(f"found an empty answer, expected some words such as {old!r}")
        written = tomlkit.string(new.strip()).as_string()[1:-1]
        return replace(self, source=re.sub(rf"\b{re.escape(old)}\b", lambda _: written, self.source))
