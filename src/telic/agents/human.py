"""A person at the terminal as a player."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from telic.agents.player import PlayerLeftError, UtteranceGenerator
from telic.games.base import Game, Observation
from telic.models import Model
from telic.terminal import printable

__all__ = ["HumanPlayer", "read_line"]

_KIND = re.compile(r"\s*\[([A-Za-z_-]+)\]")


class HumanPlayer:
    """A player that reads its acts line by line. Ctrl-D leaves the episode unfinished.

    Args:
        read: shows the prompt that it is given, and returns the next line or raises EOFError.
        show: prints a line; by default on standard error, separate from results.
    """

    name = "human"
    models: Sequence[Model] = ()
    system = ""

    def __init__(self, read: Callable[[str], str] | None = None, show: Callable[[str], None] | None = None) -> None:
        self.read = read or read_line
        self.show = show or _show
        self.lines: dict[str, list[str]] = {}
        """What the person has typed, by the seed of the episode. An episode that is played again begins with it."""

    def join(self, game: Game, role: str, seed: int) -> _HumanParticipant:
        """Take part in an episode."""
        before = self.lines.get(str(seed), [])
        typed = self.lines[str(seed)] = []
        return _HumanParticipant(self, game, role, before, typed)

    def spec(self) -> dict[str, Any]:
        """Return that the player is a person."""
        return {"scripted": "human"}


class _HumanParticipant:
    def __init__(self, player: HumanPlayer, game: Game, role: str, before: list[str], typed: list[str]) -> None:
        self.player, self.game, self.role = player, game, role
        self.notes: Counter[str] = Counter()
        self._before = iter(before)
        self._typed = typed
        self._seen: int | None = None

    def act(self, observation: Observation) -> UtteranceGenerator:
        show = self.player.show
        if self._seen is None:
            show(f"\n--- {self.game.name}: you are the {self.role}. Ctrl-D leaves, Ctrl-C interrupts. ---")
            show(observation.instructions or "There are no instructions: just talk.")
            self._seen = 0
        for event in observation.events[self._seen :]:
            if event.speaker != self.role:
                show(f"{event.speaker}: {event.text}")
        self._seen = len(observation.events)
        if observation.error:
            show(f"Refused: {observation.error}")
        line = self._next_line(observation)
        while (kind := self._impossible_kind(line, observation)) is not None:
            show(f"Refused: [{kind}] is not possible now; possible: {_forms(observation.legal)}")
            line = self._next_line(observation)
        self._typed.append(line)
        return line
        yield  # makes this a generator, which yields no requests

    def _next_line(self, observation: Observation) -> str:
        """Return a line of the interrupted episode, or else one that the person types now."""
        choices = "" if observation.legal == self.game.kinds[:1] else f" {_forms(observation.legal)}"
        prompt = f"{self.role}{choices}> "
        for line in self._before:
            self.player.show(prompt + line)
            return line
        try:
            return self.player.read(prompt)
        except EOFError:
            raise PlayerLeftError(f"the person who played {self.role!r} left") from None

    def _impossible_kind(self, line: str, observation: Observation) -> str | None:
        """Return the kind of act that a line begins with, if it is not open to the person now.

        The game would take an unknown kind for something that is said.
        """
        found = _KIND.match(line)
        if found is None or len(self.game.kinds) == 1 or found[1].lower() in observation.legal:
            return None
        return found[1]


def read_line(prompt: str) -> str:
    """Read a line from the terminal, with line editing; the prompt stays off a standard output that is redirected.

    Raises:
        EOFError: the input has ended.
    """
    if sys.stdin.isatty() and sys.stdout.isatty():
        with suppress(ImportError):  # `input` edits lines with it; Windows has none
            import readline  # noqa: F401
        return input(prompt)
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return input()


def _forms(kinds: tuple[str, ...]) -> str:
    return " ".join(f"[{kind}]" for kind in kinds)


def _show(text: str) -> None:
    sys.stderr.write(f"{printable(text)}\n")
    sys.stderr.flush()
