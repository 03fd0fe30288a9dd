"""The table `[memory]` of a purpose file: what is remembered of users, and how."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated

from pydantic import AfterValidator, Field

from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["DOUBT", "IDENTITY", "MOOD", "MemoryConfig"]

DOUBT = "doubt"
"""The slot of a claim that only says that something changed."""

MOOD = "mood"
"""The slot of a claim that only says that a sentence speaks well or badly of what it mentions."""

IDENTITY = ("name", "birthday", "pronouns")
"""Slots that do not decay. A different value is a question to the user, unless the user said that it changed."""
SINGLE_VALUED = ("home", "job", "diet", "language")
"""Known slots that have one value at a time, besides those of identity."""
MANY_VALUED = ("allergy", "note", "taste", "reply style")
"""Known slots with any number of values."""


def _plain(name: str) -> str:
    text = " ".join(name.split()).casefold()
    if not text or len(text) > 60 or any(not (part.isalnum() or part in " -'") for part in text):
        raise ValueError("a name of letters, digits and spaces, at most 60 characters")
    return text


SlotName = Annotated[str, AfterValidator(_plain)]


class MemoryConfig(Settings):
    """Settings of the memory."""

    slots: tuple[SlotName, ...] = ()
    """What to find out and remember of a user, besides name, home, job, diet, allergies and likes: `["home airport",
    "budget"]`. "My home airport is Graz" fills one."""
    single_valued: tuple[SlotName, ...] | None = None
    """The slots that have one value at a time: a new value replaces the old one. By default all of `slots`, and name,
    home, job, diet and language."""
    half_life_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 90.0
    """Days after which an observed like or dislike counts for half. Decay lowers its rank; nothing is deleted."""
    budget: Annotated[int, Field(ge=0, le=100_000)] = 300
    """Most tokens that the notes on a user may take in the prompt (estimated at three bytes a token). 0: no notes."""
    quotes: Annotated[int, Field(ge=0, le=50)] = 3
    """Most passages of earlier conversations that are quoted in the notes, three turns each."""
    embeddings: str = ""
    """Find passages by meaning too: a model of sentence-transformers (its folder, or its name on the Hub), or a plug-in
    (`embedder:NAME`). Empty: by their words only."""
    ask: bool = True
    """Let the chatbot ask when the user contradicts what was known."""
    named_users_only: bool = False
    """Remember only users that a request names (`user`), not the holder of an API key. Set it where several people use
    one key and a client may leave out the name."""

    def is_single(self, slot: str) -> bool:
        """Whether a slot has one value at a time; a name always does, and a favourite."""
        return slot in self._single or slot.endswith(" name") or slot.startswith(("favourite ", "preferred "))

    @cached_property
    def _single(self) -> frozenset[str]:
        own = self.slots if self.single_valued is None else self.single_valued
        known = SINGLE_VALUED if self.single_valued is None else ()
        return frozenset((*IDENTITY, *known, *own)) - frozenset(MANY_VALUED)

    @classmethod
    def of_purpose(cls, purpose: Purpose) -> MemoryConfig | None:
        """Read the settings of a purpose file; None if it has no table `[memory]`.

        Raises:
            ConfigError: a setting is invalid; the message names its line.
        """
        return purpose.settings_of("memory", cls)
