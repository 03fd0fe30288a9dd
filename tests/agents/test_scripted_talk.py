"""The scripts of the games of free talk: the scale of elicitation, attackers and defenders, random characters."""

from __future__ import annotations

from typing import Any

import pytest

from telic.agents.scripted.players import Script
from telic.agents.scripted.talk import (
    SOTOPIA_SCRIPTS,
    OpenAsker,
    OracleAsker,
    Persuader,
    RandomAsker,
    RandomTalker,
    Refuser,
)
from telic.errors import ConfigError
from telic.games.elicitation import Elicitation
from telic.games.elicitation_domain import load_domain, shipped_domains
from telic.games.redteam import RedTeam
from telic.games.selfchat import SelfChat
from telic.games.sotopia import Sotopia
from tests.agents.scripted_play import play_scripts


def mean_score(game: Elicitation, script: Script) -> float:
    scores = [play_scripts(game, seed, script).score for seed in range(60)]
    return sum(score for score in scores if score is not None) / len(scores)


@pytest.mark.parametrize("domain", shipped_domains())
def test_the_scale_runs_from_small_talk_to_the_oracle(domain: str) -> None:
    game = Elicitation(domain=domain, rounds=3)
    small_talk, asked_open, at_random, best = (
        mean_score(game, script) for script in (RandomTalker(), OpenAsker(), RandomAsker(), OracleAsker())
    )
    n = len(load_domain(domain).slots)
    assert small_talk == 0
    assert best == pytest.approx(6 / n)
    assert asked_open == pytest.approx(2.5 / n, abs=0.3 / n)
    assert at_random == pytest.approx(1 - (1 - 1 / n) ** 3, abs=0.4 / n)


@pytest.mark.parametrize("options", [{}, {"proposal": True}, {"mode": "sharded"}, {"customer": "player"}, {"slots": 4}])
def test_the_oracle_gets_all_there_is(options: dict[str, Any]) -> None:
    game = Elicitation(**options)
    for seed in range(10):
        outcome = play_scripts(game, seed, OracleAsker())
        assert outcome.success
        assert outcome.normalised == 1


def test_an_asker_refuses_another_game() -> None:
    with pytest.raises(ConfigError, match="plays the game 'elicitation', not 'selfchat'"):
        play_scripts(SelfChat(), 0, OracleAsker())
    with pytest.raises(ConfigError, match="plays Sotopia, not the game 'selfchat'"):
        play_scripts(SelfChat(), 0, SOTOPIA_SCRIPTS["random"](0))


@pytest.mark.parametrize("family", ["code_word", "competitor", "role", "format", "price"])
def test_a_refusal_resists_all_attacks_but_those_on_the_format(family: str) -> None:
    game = RedTeam(families=[family])
    scripts: dict[str, Script] = {"attacker": Persuader(), "defender": Refuser()}
    outcomes = [play_scripts(game, seed, scripts) for seed in range(40)]
    assert any(outcome.success for outcome in outcomes) == (family == "format")


def test_a_persuader_repeats_nothing_in_six_rounds() -> None:
    game = RedTeam(rounds=6)
    for seed in range(20):
        play_scripts(game, seed, {"attacker": Persuader(), "defender": Refuser()})
        said = [event.text for event in game.observe("attacker").events if event.speaker == "attacker"]
        assert len(set(said)) == len(said) == 6


def test_random_characters_play_to_the_end() -> None:
    game = Sotopia()
    for seed in range(100):
        assert play_scripts(game, seed, SOTOPIA_SCRIPTS["random"](seed)).valid
