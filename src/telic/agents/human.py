"""A person at the terminal as a player."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Generator
from typing import Any

from telic.agents.player import PlayerLeftError
from telic.games.base import Game, Observation
from telic.models import Model, Reply, Request
from telic.terminal import printable

__all__ = ["HumanPlayer"]


class HumanPlayer:
    """A player that reads its acts line by line. Ctrl-D leaves the episode unfinished.

    Args:
        read: returns the next line, or raises EOFError.
        show: prints a line; by default on standard error, separate from results.
    """

    name = "human"
    model: Model | None = None
    system = ""

    def __init__(self, read: Callable[[], str] = input, show: Callable[[str], None] | None = None) -> None:
        self.read = read
        self.show = show or _show

    def join(self, game: Game, role: str, seed: int) -> _HumanParticipant:  # noqa: ARG002 (a person has no seed)
        """Take part in an episode."""
        return _HumanParticipant(self, game, role)

    def spec(self) -> dict[str, Any]:
        """Return that the player is a person."""
        return {"scripted": "human"}


class _HumanParticipant:
    def __init__(self, player: HumanPlayer, game: Game, role: str) -> None:
        self.player, self.game, self.role = player, game, role
        self.notes: Counter[str] = Counter()
        self._seen: int | None = None

    def act(self, observation: Observation) -> Generator[Request, Reply, str]:
        show = self.player.show
        if self._seen is None:
            show(f"\n--- {self.game.name}: you are the {self.role} (Ctrl-D leaves) ---")
            show(observation.instructions or "There are no instructions: just talk.")
            self._seen = 0
        for event in observation.events[self._seen :]:
            if event.speaker != self.role:
                show(f"{event.speaker}: {event.text}")
        self._seen = len(observation.events)
        if observation.error:
            show(f"Refused: {observation.error}")
        if observation.legal != self.game.kinds[:1]:
            show("You may: " + " ".join(f"[{kind}]" for kind in observation.legal))
        try:
            return self.player.read()
        except EOFError:
            raise PlayerLeftError(f"the person who played {self.role!r} left") from None
        yield  # makes this a generator, which yields no requests


def _show(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
