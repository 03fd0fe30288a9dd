"""What holds for all decision-oriented games, whatever the players say."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.agents.scripted.decisions import OraclePlayer, RandomPlayer, play
from telic.games.assignment import AssignmentGame
from telic.games.base import REPAIRS
from telic.games.decisions import DecisionGame, mentions
from telic.games.itinerary import ItineraryGame
from telic.games.mediation import MediationGame

GAMES: dict[str, type[DecisionGame]] = {
    "assignment": AssignmentGame,
    "itinerary": ItineraryGame,
    "mediation": MediationGame,
}

CONTENTS = (
    "", "hello", "user-1: hello", "both: hello", "user-2: ", "user-1: 2; user-2: 3", "user-1: 999; user-2: 1",
    "Atlas: Amina", "Slow Drip; Otter Pond; Whale Arch", "Slow Drip", "Search()", "Search(", "\n;,:[]()", "é中\x00",
)  # fmt: skip
KINDS = ("message", "propose", "accept", "reject", "think", "tool", "nothing", "")

utterances = st.one_of(
    st.text(max_size=30),
    st.builds(lambda kind, content: f"[{kind}] {content}", st.sampled_from(KINDS), st.sampled_from(CONTENTS)),
    st.just("slots"),
)


def by_slots(game: DecisionGame, role: str, pick: random.Random) -> str:
    """A legal act, its form filled slot by slot."""
    kind = pick.choice(game.observe(role).legal)
    chosen: list[str] = []
    while options := game.options(role, kind, chosen):
        chosen.append(pick.choice(options))
    return f"[{kind}] {game.fill(role, kind, chosen) if chosen else 'well'}"


@pytest.mark.parametrize("name", GAMES)
@given(st.lists(utterances, max_size=40), st.integers(0, 3), st.integers(0, 1000))
@settings(max_examples=60)
def test_no_sequence_of_acts_crashes_or_lasts(name: str, said: list[str], seed: int, picks: int) -> None:
    game = GAMES[name](max_turns=15)
    game.reset(seed)
    pick = random.Random(picks)
    steps = 0
    # Whoever's turn it is says what is drawn; when that is used up, what is legal.
    while game.turn is not None:
        role = game.turn
        observation = game.observe(role)
        assert observation.legal
        utterance = said[steps] if steps < len(said) else "slots"
        step = game.step(role, by_slots(game, role, pick) if utterance == "slots" else utterance)
        if utterance == "slots" and not step.accepted:
            pytest.fail(f"an act filled from slots was refused: {step.error}")
        if not step.accepted:
            assert step.error
            assert game.turn in (role, None)
            assert all(game.observe(other).error is None for other in game.roles if other != role)
        steps += 1
        assert steps <= 15 * REPAIRS
    outcome = game.outcome()
    assert outcome.reason
    if outcome.valid:
        assert outcome.normalised is not None
        assert 0 <= outcome.normalised <= 1
        assert (outcome.normalised > 0) <= (outcome.reason == "agreement")
    else:
        assert outcome.fault in ("agent", "partner")
        assert outcome.score is None


@pytest.mark.parametrize("name", GAMES)
def test_what_is_said_alone_stays_alone(name: str) -> None:
    """Observations of a role depend on its own view only: resets and private tables of others never show in them."""
    game = GAMES[name]()
    for seed in range(5):
        outcome = play(game, seed, RandomPlayer(seed))
        assert outcome.valid
        for role in game.roles:
            for event in game.observe(role).events:
                assert event.speaker in (*game.roles, "game")
                if name == "mediation" and role != "agent":
                    assert event.speaker in ("agent", "game", role)


@pytest.mark.parametrize("name", GAMES)
def test_the_reward_of_an_episode_adds_up_to_its_score(name: str) -> None:
    game = GAMES[name]()
    game.reset(7)
    player = RandomPlayer(7)
    paid = dict.fromkeys(game.roles, 0.0)
    while game.turn is not None:
        for role, reward in game.step(game.turn, player(game, game.turn)).reward.items():
            paid[role] += reward
    assert set(paid.values()) == {game.outcome().normalised}


@pytest.mark.parametrize("name", GAMES)
def test_an_episode_replays(name: str) -> None:
    first, second = GAMES[name](), GAMES[name]()
    assert play(first, 11, OraclePlayer()) == play(second, 11, OraclePlayer())
    assert all(first.observe(role) == second.observe(role) for role in first.roles)


def test_mentions() -> None:
    known = ("Mill", "Old Mill", "Fig")
    text = "old_mill, then FIG and Mill; not Mills"
    assert [index for index, _, _ in mentions(text, known)] == [1, 2, 0]
    assert [text[start:end] for _, start, end in mentions(text, known)] == ["old_mill", "FIG", "Mill"]


@given(st.text(alphabet=string.printable, max_size=80))
def test_mentions_of_any_text(text: str) -> None:
    assert all(text[start:end] for _, start, end in mentions(text, ("a", "b c")))
