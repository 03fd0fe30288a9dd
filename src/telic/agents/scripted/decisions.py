"""Scripts for the decision-oriented games: random and perfect decisions.

They bound the scale. Perfect decisions have a normalised score of 1; uniformly random decisions have a mean of 0.61
(assignment), 0.52 (itinerary) and 0.60 (mediation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from random import Random

from telic.agents.player import fill_form
from telic.agents.scripted.players import ScriptFactory, seeded_script
from telic.games.decisions import DecisionGame

__all__ = ["DECISION_SCRIPTS", "oracle_decider", "random_decider"]


def oracle_decider(game: DecisionGame, role: str, rng: Random) -> str:  # noqa: ARG001 (one signature for all scripts)
    """Propose the best decision, with access to all information."""
    return _decide(game, role, lambda: game.fill(role, "propose", game.parts(game.optimum())))


def random_decider(game: DecisionGame, role: str, rng: Random) -> str:
    """Propose a uniformly random decision."""
    return _decide(game, role, lambda: fill_form(game, role, "propose", rng))


def _decide(game: DecisionGame, role: str, propose: Callable[[], str]) -> str:
    """Accept any proposal, propose as soon as possible, and otherwise say hello."""
    legal = game.observe(role).legal
    if "accept" in legal:
        return "[accept]"
    return f"[propose] {propose()}" if "propose" in legal else "[message] Hello. What do you suggest?"


DECISION_SCRIPTS: Mapping[str, ScriptFactory] = {
    "random": seeded_script(DecisionGame, random_decider),  # type: ignore[type-abstract]  # only for isinstance
    "oracle": seeded_script(DecisionGame, oracle_decider),  # type: ignore[type-abstract]
}
"""The scripts of `assignment`, `itinerary` and `mediation`."""
