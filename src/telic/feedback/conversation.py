"""A conversation as the detectors see it: replies, what the user said before and after them, and when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from telic.episodes import Episode, Turn, assistant_role
from telic.feedback.similarity import Profile, profile_of

__all__ = ["LONGEST", "Conversation", "DialogueExchange"]

LONGEST = 2_000
"""Characters of a message in which cues are searched: what follows was hardly typed by the user."""
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_ASKS_TASTE = re.compile(
    r"\b(?:what|which|why|who|how|is there|are there)\b[^.!?]*\b(?:like|dislike|enjoy|prefer|hate|love|favou?rite|feel"
    r"|think|made|touch|avoid|stand|bother)[^.!?]*\?"
)
_QUOTED = re.compile(r'"[^"\n]{2,80}"|“[^”\n]{2,80}”|```.*?(?:```|\Z)', re.DOTALL)


@dataclass(frozen=True, slots=True)
class DialogueExchange:
    """A reply, and the user's messages before and after it, as indices of turns."""

    reply: int
    before: tuple[int, ...]
    """The user's messages that it answers."""
    after: tuple[int, ...]
    """What the user said to it; empty if the user said nothing more, or another reply follows."""


@dataclass(frozen=True)
class Conversation:
    """An episode prepared for the detectors. Turns of other roles than the assistant's and tools' are the user's."""

    episode: Episode
    usual_seconds: float | None = None
    """How long this user usually takes to answer a reply, in seconds; None if that is not known."""
    is_open: bool = False
    """Whether the user may still answer the last reply."""
    assistant: str = field(init=False)
    """The role whose replies are judged."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "assistant", assistant_role(self.episode))

    @property
    def turns(self) -> Sequence[Turn]:
        """The turns of the episode."""
        return self.episode.turns

    def is_reply(self, index: int) -> bool:
        """Return whether a turn is a reply of the assistant."""
        return self.turns[index].role == self.assistant

    @cached_property
    def exchanges(self) -> tuple[DialogueExchange, ...]:
        """Every reply, in order. Failed replies, those without text, and those that call tools are left out.

        What a tool returned is no message of the user.
        """
        return tuple(self._exchanges())

    def _exchanges(self) -> Iterator[DialogueExchange]:
        before: list[int] = []
        reply: int | None = None
        after: list[int] = []
        for index, turn in enumerate(self.turns):
            if turn.role != self.assistant:
                if turn.role != "tool":
                    after.append(index)
                continue
            if turn.finish == "error" or not turn.text.strip() or turn.tool_calls:
                continue
            if reply is not None:
                yield DialogueExchange(reply, tuple(before), tuple(after))
            if after or reply is None:
                before = after
            reply, after = index, []
        if reply is not None:
            yield DialogueExchange(reply, tuple(before), tuple(after))

    @cached_property
    def texts(self) -> tuple[str, ...]:
        """Each turn in lower case, as long as the original; quotations and code are blank, and it may be cut off."""
        return tuple(_searchable(turn.text) for turn in self.turns)

    def asks_taste(self, index: int) -> bool:
        """Return whether a turn asks what somebody likes: then likes and dislikes are the answer, and judge nothing."""
        known = self._taste_questions.get(index)
        if known is None:
            text = self.texts[index]
            known = self._taste_questions[index] = "?" in text and _ASKS_TASTE.search(text) is not None
        return known

    @cached_property
    def _taste_questions(self) -> dict[int, bool]:
        return {}

    @cached_property
    def profiles(self) -> tuple[Profile, ...]:
        """What each turn is about, for comparisons."""
        found = zip(self.turns, self.texts, self._word_lists, strict=True)
        return tuple(_profile(turn.text[:LONGEST], text, words) for turn, text, words in found)

    @cached_property
    def words(self) -> tuple[frozenset[str], ...]:
        """The words of each text of `texts`."""
        return tuple(map(frozenset, self._word_lists))

    @cached_property
    def _word_lists(self) -> tuple[list[str], ...]:
        return tuple(map(_WORD.findall, self.texts))

    def time_of(self, index: int) -> float | None:
        """Return when a turn was said, in seconds since 1970; None if that is not known."""
        return self._times[index]

    @cached_property
    def _times(self) -> tuple[float | None, ...]:
        given = (turn.origin.get("time") for turn in self.turns)
        return tuple(float(time) if isinstance(time, int | float) else None for time in given)

    def seconds_to_answer(self, exchange: DialogueExchange) -> float | None:
        """Return how long the user took to answer a reply; None if the times are not known."""
        if not exchange.after:
            return None
        sent, answered = self.time_of(exchange.reply), self.time_of(exchange.after[0])
        return answered - sent if sent is not None and answered is not None and answered >= sent else None


def _profile(text: str, searchable: str, words: list[str]) -> Profile:
    """Return the profile of a text, from the words of its searchable form where these are the same."""
    # Profiles cut a word at its second apostrophe, and count quoted words.
    if text.lower() == searchable and searchable.count("'") < 2:
        return Profile.of_words(words)
    return profile_of(text)


def _searchable(text: str) -> str:
    text = text[:LONGEST]
    lower = text.lower()
    if len(lower) != len(text):  # a few letters of other scripts become two; spans must fit the original
        lower = "".join(small if len(small := letter.lower()) == 1 else letter for letter in text)
    if '"' in lower or "“" in lower or "`" in lower:
        lower = _QUOTED.sub(lambda found: " " * len(found[0]), lower)
    return lower.replace("’", "'")
