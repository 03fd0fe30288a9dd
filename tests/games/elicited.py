"""What the tests of the elicitation game share: games to play, and ways to play them."""

from __future__ import annotations

from typing import Any

from telic.games.elicitation import Elicitation
from telic.games.elicitation_domain import load_domain

DOMAINS = ("assistant", "intake", "support", "travel")
ASK_BUDGET = "What is your budget?"


def a_game(seed: int = 1, **options: Any) -> Elicitation:
    game = Elicitation(**options)
    game.reset(seed)
    return game


def wishes(game: Elicitation) -> dict[str, str]:
    return dict(game.private("customer")["wishes"])


def say(game: Elicitation, *utterances: str) -> list[float]:
    return [game.step("agent", utterance).reward.get("agent", 0.0) for utterance in utterances]


def last(game: Elicitation, role: str = "agent") -> str:
    return game.observe(role).events[-1].text


def understood(domain: str, utterance: str) -> set[str]:
    heard = load_domain(domain).question_parser.parse(utterance)
    return set(heard.slots) or ({"open"} if heard.open else set())
