"""Self-chat: two sides talk, and nothing is won."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.scripted.talk import GENERIC, RandomTalker
from telic.errors import ConfigError
from telic.games.base import build_game
from telic.games.selfchat import SelfChat
from tests.agents.scripted_play import play_scripts


def test_the_opener_is_the_first_utterance_of_side_a() -> None:
    game = SelfChat(rounds=2, opener="Do you like rain?")
    game.reset(0)
    assert game.turn == "b"
    for role, text in (("b", "I do."), ("a", "So do I."), ("b", "Good.")):
        assert not game.over
        assert game.step(role, text).reward == {}
    assert game.over
    seen = [(event.speaker, event.text) for event in game.observe("a").events]
    assert seen == [("a", "Do you like rain?"), ("b", "I do."), ("a", "So do I."), ("b", "Good.")]
    assert game.observe("b").events == game.observe("a").events


@given(st.integers(), st.integers(1, 5))
def test_a_talk_has_its_rounds_and_no_score(seed: int, rounds: int) -> None:
    game = SelfChat(rounds=rounds)
    outcome = play_scripts(game, seed, RandomTalker())
    assert outcome.valid
    assert outcome.score is outcome.normalised is outcome.success is None
    assert "nothing is scored" in outcome.reason
    said = [event.speaker for event in game.observe("a").events]
    assert said == ["a", "b"] * rounds
    assert {event.text for event in game.observe("a").events[1:]} <= set(GENERIC)


def test_openers_follow_from_the_seed() -> None:
    game = SelfChat()

    def opener(seed: int) -> str:
        game.reset(seed)
        return game.observe("b").events[0].text

    assert opener(4) == opener(4)
    assert len({opener(seed) for seed in range(300)}) >= 20


def test_an_empty_utterance_is_refused_and_repeated_ones_end_the_talk() -> None:
    game = SelfChat()
    game.reset(0)
    for text in ("", " ", "[message]"):
        assert not game.step("b", text).accepted
    assert game.outcome().fault == "partner"


@pytest.mark.parametrize(("options", "error"), [({"rounds": 0}, "rounds is 0"), ({"opener": 3}, "expected a text")])
def test_settings_that_make_no_sense_are_refused(options: dict[str, object], error: str) -> None:
    with pytest.raises(ConfigError, match=error):
        build_game({"name": "selfchat", **options})
