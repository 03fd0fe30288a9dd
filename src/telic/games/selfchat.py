"""Self-chat: two sides talk without a score. Stability is measured on it (arXiv 2402.10962)."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from random import Random
from typing import Any, ClassVar

from telic.games.base import Act, Event, Game, IllegalActError, Outcome

__all__ = ["SelfChat"]


@dataclass
class SelfChat(Game):
    """Two sides that talk for some rounds. The opener is the first utterance of side `a`, so `b` acts first."""

    name: ClassVar[str] = "selfchat"
    roles: ClassVar[tuple[str, ...]] = ("a", "b")

    rounds: int = 8
    """Utterances of each side, the opener included."""
    opener: str = ""
    """First utterance of side `a`; empty to draw one by the seed."""

    def __post_init__(self) -> None:
        if type(self.rounds) is not int or self.rounds < 1:
            self._refuse("rounds", "a whole number, 1 or more")
        if not isinstance(self.opener, str):
            self._refuse("opener", "a text")
        self.max_turns = 2 * self.rounds - 1

    def instructions(self, role: str) -> str:  # noqa: ARG002
        """Return an empty text: each player has its own purpose."""
        return ""

    def private(self, role: str) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: no information is private."""
        return {}

    def _reset(self, seed: int) -> None:
        opener = self.opener.strip() or Random(f"selfchat/{seed}").choice(_openers())
        self._tell(Event("a", opener, Act("message", opener)))
        self.turn = "b"

    def _legal(self, role: str) -> tuple[str, ...]:  # noqa: ARG002
        return ("message",)

    def _apply(self, role: str, act: Act) -> None:
        if not act.content:
            raise IllegalActError("an empty utterance; say something")
        self._tell(Event(role, act.content, act))
        if self.turns + 1 == self.max_turns:
            self.end("all rounds were played")

    def _outcome(self) -> Outcome:
        return Outcome(True, reason=f"nothing is scored; {self.ended or 'the talk goes on'}")


@lru_cache
def _openers() -> tuple[str, ...]:
    text = (resources.files("telic.games") / "data" / "selfchat_openers.toml").read_text(encoding="utf-8")
    return tuple(tomllib.loads(text)["openers"])
