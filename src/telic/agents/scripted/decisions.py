"""Scripted play of the decision-oriented games: the best that can be decided, and chance.

A player is asked for its utterance whenever it is its turn. These two look into the game, or do not care: they mark
the ends of the scale, 1.0 and the mean of a uniformly random decision (0.61, 0.52 and 0.60 in the reference).
"""

from __future__ import annotations

import random
from abc import ABC, abstractmethod

from telic.games.base import Outcome
from telic.games.decisions import Decision, DecisionGame

__all__ = ["OraclePlayer", "Player", "RandomPlayer", "play"]


class Player(ABC):
    """Says hello if it has to, proposes as soon as it may, accepts whatever is proposed."""

    def __call__(self, game: DecisionGame, role: str) -> str:
        """The utterance of the role whose turn it is."""
        legal = game.observe(role).legal
        if "accept" in legal:
            return "[accept]"
        if "propose" in legal:
            content = game.fill(role, "propose", self.choose(game, role))
            return f"[propose] {content}"
        return "[message] Hello. What do you suggest?"

    @abstractmethod
    def choose(self, game: DecisionGame, role: str) -> list[str]:
        """The parts of a proposal."""


class OraclePlayer(Player):
    """Knows everything: proposes the best decision."""

    def choose(self, game: DecisionGame, role: str) -> list[str]:  # noqa: ARG002 (the optimum is the same for all)
        """The parts of the best decision."""
        best: Decision = game.optimum()
        return list(game.parts(best))


class RandomPlayer(Player):
    """Proposes a uniformly random decision: each part at random from what the game offers."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = random.Random(seed)

    def choose(self, game: DecisionGame, role: str) -> list[str]:
        """Parts chosen one after the other."""
        chosen: list[str] = []
        while options := game.options(role, "propose", chosen):
            chosen.append(self._rng.choice(options))
        return chosen


def play(game: DecisionGame, seed: int, player: Player) -> Outcome:
    """Play an episode with the same player in all roles."""
    game.reset(seed)
    while game.turn is not None:
        game.step(game.turn, player(game, game.turn))
    return game.outcome()
