"""Customers who show how they feel: they tell by words and actions what the reply was like, and no wish."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest

from telic.errors import ConfigError
from telic.games.elicitation import Elicitation
from telic.games.elicitation_domain import load_domain
from telic.games.elicitation_mood import Voice, load_voice, voices
from telic.rollouts import play
from tests.games.elicited import DOMAINS

VOICES = ("everyday", "texting")
GOOD = ("Where would you like to go?", "When do you want to travel?", "What is your budget?")
BAD = ("I see.", "That makes sense.", "Great choice!")


def talk(said: tuple[str, ...], seed: int, voice: str | None = "everyday", **settings: Any) -> Elicitation:
    game = Elicitation(voice=voice, rounds=len(said), **settings)
    game.reset(seed)
    for utterance in said:
        if not game.over:
            game.step("agent", utterance)
    return game


def felt(said: tuple[str, ...], name: str, n: int = 200, **settings: Any) -> float:
    return fmean(float(talk(said, seed, **settings).outcome().details[name]) for seed in range(n))


def heard(game: Elicitation) -> list[str]:
    return [event.text for event in game.observe("agent").events if event.speaker == "customer"]


def test_the_voices_are_those_that_ship() -> None:
    assert voices() == VOICES
    with pytest.raises(ConfigError, match="did you mean 'texting'"):
        load_voice("textin")


@pytest.mark.parametrize("name", VOICES)
def test_no_line_of_a_voice_tells_a_wish_or_is_one_of_another_voice(name: str) -> None:
    lines = {kind: set(getattr(load_voice(name), kind)) for kind in Voice.model_fields}
    other = load_voice(next(one for one in VOICES if one != name))
    values = {v.casefold() for domain in DOMAINS for slot in load_domain(domain).slots for v in slot.values}
    for kind, texts in lines.items():
        assert len(texts) == len(getattr(load_voice(name), kind)), "a line is there twice"
        assert texts.isdisjoint(getattr(other, kind))
        assert all(value not in text.casefold() for text in texts for value in values)
    assert all(text.count("{request}") == 1 for text in lines["repeats"])


def test_good_replies_please_and_bad_ones_do_not() -> None:
    assert felt(GOOD, "satisfaction") > felt(BAD, "satisfaction") + 0.8
    assert felt(GOOD, "bought") > felt(BAD, "bought") + 0.2
    assert felt(BAD, "left") > 0.2
    assert felt(GOOD, "left") < 0.02
    changes = talk(GOOD, 1).outcome().details["changes"]
    assert len(changes) == 3


def test_the_same_seed_and_replies_give_the_same_words() -> None:
    assert heard(talk(GOOD, 5)) == heard(talk(GOOD, 5))
    assert len({tuple(heard(talk(BAD, seed))) for seed in range(100)}) > 60


def test_the_words_do_not_change_what_the_game_pays() -> None:
    for seed in range(60):
        plain, voiced = talk(GOOD, seed, None), talk(GOOD, seed)
        assert plain.outcome().score == voiced.outcome().score
        assert set(voiced.outcome().details) > set(plain.outcome().details)


def said_of(texts: list[str], voice: str, kind: str) -> bool:
    return any(line in text for text in texts for line in getattr(load_voice(voice), kind))


@pytest.mark.parametrize("voice", VOICES)
def test_most_who_comment_mean_it_and_trolls_never_do(voice: str) -> None:
    def praised(said: tuple[str, ...], **settings: Any) -> tuple[int, int]:
        games = [heard(talk(said, seed, voice, **settings)) for seed in range(200)]
        kinds = (("pleased", "satisfied"), ("displeased", "dissatisfied"))
        good, bad = (sum(any(said_of(texts, voice, kind) for kind in group) for texts in games) for group in kinds)
        return good, bad

    for said, sign in ((GOOD, 1), (BAD, -1)):
        good, bad = praised(said)
        assert sign * (good - bad) > 40
        good, bad = praised(said, trolls=1.0)
        assert sign * (bad - good) > 80


def test_some_leave_without_a_word() -> None:
    games = [talk(BAD, seed) for seed in range(300)]
    gone = [game for game in games if game.outcome().details["left"]]
    silent = [game for game in gone if game.observe("agent").events[-1].speaker == "agent"]
    assert 0 < len(silent) < len(gone)
    assert all(game.outcome().reason == "the customer left" for game in gone)


def test_an_episode_with_a_voice_is_played_and_recorded() -> None:
    from telic.agents.scripted import scripted_player

    spec = {"name": "elicitation", "voice": "texting", "rounds": 3, "trolls": 0.5}
    episodes = play(spec, {"agent": scripted_player("random", "elicitation")}, 20, references=False).episodes
    assert all(episode.failure is None for episode in episodes)
    assert {episode.outcome["details"]["troll"] for episode in episodes} == {True, False}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"trolls": 1.2}, "trolls is 1.2; expected a number from 0 to 1"),
        ({"voice": "everyday", "mode": "full"}, "expected none in a mode without questions"),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Elicitation(**settings)
