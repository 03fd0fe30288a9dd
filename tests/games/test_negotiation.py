"""Negotiation: what ends what, what stays hidden, payoffs computed by hand, and the scripted players."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.errors import ConfigError
from telic.games.base import IllegalActError, build_game
from telic.games.negotiation import Negotiation
from telic.games.negotiation_deals import Bargain

VARIANTS = ("buyer-seller", "resources", "ultimatum")


def sale(cost: int = 30, value: int = 70, **settings: Any) -> Negotiation:
    """A sale between an agent who sells and a partner who buys, with known values."""
    for seed in range(0, 100_000, 2):
        made = Negotiation(**settings)
        made.reset(seed)
        if (made.private("agent")["worth"], made.private("partner")["worth"]) == (cost, value):
            return made
    raise AssertionError("no seed has these values")


def started(**settings: Any) -> Negotiation:
    made = Negotiation(**settings)
    made.reset(0)
    return made


def acts(game: Negotiation, *utterances: str) -> dict[str, float]:
    total = {"agent": 0.0, "partner": 0.0}
    for utterance in utterances:
        assert game.turn is not None, utterance
        step = game.step(game.turn, utterance)
        assert step.accepted, step.error
        for role, reward in step.reward.items():
            total[role] += reward
    return total


# What ends what


def test_accept_ends_with_the_pending_offer() -> None:
    game = sale()
    rewards = acts(game, "Interested?", "[offer] 40 | Not more.", "[offer] 60", "[accept] Fine.")
    outcome = game.outcome()
    # Seller 60 - 30, buyer 70 - 60; the surplus is 40.
    assert outcome.reason == "deal"
    assert outcome.per_role == {"agent": 30.0, "partner": 10.0} == rewards
    assert outcome.normalised == pytest.approx(30 / 40)
    assert outcome.details["share"] == pytest.approx(0.75)
    assert outcome.details["efficiency"] == pytest.approx(1.0)
    assert (outcome.score, outcome.success) == (30.0, True)


def test_reject_declines_the_offer_and_goes_on() -> None:
    game = sale()
    acts(game, "[offer] 90", "[reject] Too much.")
    assert game.turn == "agent"
    assert "accept" not in game.observe("agent").legal
    acts(game, "Then what would you pay?")
    assert "accept" not in game.observe("partner").legal
    acts(game, "[offer] 50", "[accept]")
    assert game.outcome().per_role == {"agent": 20.0, "partner": 20.0}


def test_a_message_leaves_the_offer_and_a_new_one_replaces_it() -> None:
    game = sale()
    acts(game, "[offer] 65", "Let me think.", "Take your time.")
    assert game.pending("partner") == (65,)
    acts(game, "Hm.", "[offer] 60", "[accept]")
    assert game.outcome().details["deal"] == "60"


def test_leaving_and_running_out_of_rounds_are_worth_nothing_but_valid() -> None:
    left, late = sale(), sale(rounds=2)
    acts(left, "[offer] 60", "[leave]")
    acts(late, "[offer] 60", "[offer] 40", "[offer] 55", "[reject]")
    for game, reason in ((left, "partner left"), (late, "rounds are used up")):
        outcome = game.outcome()
        assert game.over
        assert reason in outcome.reason
        assert (outcome.valid, outcome.score, outcome.normalised, outcome.success) == (True, 0.0, 0.0, False)
        assert outcome.details["efficiency"] == 0.0


def test_an_offer_that_nobody_could_answer_is_not_possible() -> None:
    game = sale(rounds=1)
    acts(game, "Hello")
    assert set(game.observe("partner").legal) == {"message", "leave", "think"}


def test_a_deal_at_a_loss_is_kept_raw_and_normalised_within_bounds() -> None:
    game = sale()
    acts(game, "[offer] 20", "[accept]")
    outcome = game.outcome()
    assert outcome.per_role == {"agent": -10.0, "partner": 50.0}
    assert (outcome.score, outcome.normalised) == (-10.0, 0.0)
    assert outcome.details["share"] == pytest.approx(-0.25)


def test_without_a_zone_of_agreement_there_is_no_normalised_score() -> None:
    wise, rash = sale(70, 30, zone=0.0), sale(70, 30, zone=0.0)
    acts(wise, "[leave]")
    acts(rash, "[offer] 50", "[accept]")
    assert (wise.outcome().normalised, wise.outcome().success, wise.outcome().score) == (None, True, 0.0)
    assert (rash.outcome().normalised, rash.outcome().success, rash.outcome().score) == (None, False, -20.0)
    assert "no normalised score" in wise.outcome().reason


def test_one_shot_is_one_offer_and_one_answer() -> None:
    game = sale(one_shot=True)
    assert set(game.observe("agent").legal) == {"offer", "leave", "think"}
    acts(game, "[offer] 65")
    assert set(game.observe("partner").legal) == {"accept", "reject", "think"}
    acts(game, "[reject]")
    assert game.outcome().reason == "no deal: partner rejected the offer"
    taken = sale(one_shot=True)
    acts(taken, "[offer] 65", "[accept]")
    assert taken.outcome().per_role == {"agent": 35.0, "partner": 5.0}


def test_the_ultimatum_ends_with_either_answer() -> None:
    for answer, payoffs in (("[accept]", (70.0, 30.0)), ("[reject]", (0.0, 0.0))):
        game = started(variant="ultimatum")
        acts(game, "Let us talk.", "Be fair.", "[offer] 30")
        assert set(game.observe("partner").legal) == {"accept", "reject", "think"}
        acts(game, answer)
        assert game.over
        assert tuple(game.outcome().per_role.values()) == payoffs
        assert game.outcome().normalised == payoffs[0] / 100


def test_only_the_proposer_offers_in_the_ultimatum() -> None:
    game = started(variant="ultimatum")
    acts(game, "Hello")
    assert not game.step("partner", "[offer] 50").accepted
    assert "offer" not in game.instructions("partner").replace("offers you", "").replace("other's offer", "")


# Exchange


def exchange() -> Negotiation:
    game = started(variant="resources", side="first")
    bargain: Any = game.bargain
    bargain.kinds = ["wood", "ore", "cloth"]
    bargain.stock = [[4, 1, 1], [1, 3, 1]]
    bargain.unit = [[1, 6, 2], [5, 2, 2]]
    Bargain.__init__(bargain)
    return game


def test_an_exchange_by_hand() -> None:
    game = exchange()
    acts(game, "[offer] give 3 wood, get 2 ore | Good for both.", "[accept]")
    outcome = game.outcome()
    # The agent gives 3 x 1 and gets 2 x 6: 9. The partner gets 3 x 5 and gives 2 x 2: 11.
    assert outcome.per_role == {"agent": 9.0, "partner": 11.0}
    # The best for the agent: 3 ore (18) for 2 wood (2), which is worth 10 - 6 to the partner; 1 wood would lose it 1.
    assert outcome.details["best"] == 16.0
    # The best for both together: all 4 wood (20 - 4) for all 3 ore (18 - 6).
    assert outcome.details["surplus"] == 28.0
    assert outcome.normalised == pytest.approx(9 / 16)
    assert outcome.details["efficiency"] == pytest.approx(20 / 28)


def test_an_exchange_is_seen_from_either_side() -> None:
    game = exchange()
    acts(game, "[offer] give 3 wood, get 2 ore")
    assert game.observe("agent").events[-1].text == "[offer] give 3 wood, get 2 ore"
    assert game.observe("partner").events[-1].text.endswith("(you would give 2 ore, get 3 wood)")
    acts(game, "[offer] give 1 ore and get 4 wood", "[accept]")
    assert game.outcome().per_role == {"agent": 2.0, "partner": 18.0}


@pytest.mark.parametrize(
    "offer", ["give 5 wood, get 1 ore", "give 1 wood, get 4 ore", "give 1 wood, get 1 wood", "give 0 wood, get 1 ore"]
)
def test_an_exchange_that_cannot_be_made_is_refused(offer: str) -> None:
    game = exchange()
    step = game.step("agent", f"[offer] {offer}")
    assert step.error
    assert "cannot be made" in step.error
    assert game.step("agent", "[offer] two wood for ore").error


# Acts and options


@pytest.mark.parametrize(
    ("utterance", "kind", "content"),
    [
        ("Hello", "message", "Hello"),
        ("[offer] 40 | Take it.", "offer", "40 | Take it."),
        ("I can do this. [offer] 40", "offer", "40 | I can do this."),
        ("Fine. [accept]", "accept", "Fine."),
        ("[think] They want it. [offer] 80", "think", "They want it. [offer] 80"),
        ("[sic] 40", "message", "[sic] 40"),
    ],
)
def test_acts_are_read(utterance: str, kind: str, content: str) -> None:
    act = started().parse("agent", utterance)
    assert (act.kind, act.content) == (kind, content)


@pytest.mark.parametrize(
    "utterance", ["", "[offer] 40 [accept]", "Hello. [think] I would pay 90.", "[message] a [think] b"]
)
def test_two_acts_at_once_and_leaking_thoughts_are_refused(utterance: str) -> None:
    with pytest.raises(IllegalActError):
        started().parse("agent", utterance)


@pytest.mark.parametrize(
    ("written", "price"),
    [("40", 40), ("$40", 40), ("40 coins", 40), ("40.0", 40), ("a price of 40, my last word", 40)],
)
def test_prices_are_read(written: str, price: int) -> None:
    game = sale()
    acts(game, f"[offer] {written}")
    assert game.pending("partner") == (price,)


@pytest.mark.parametrize("written", ["", "42", "105", "-5", "40 or 45", "forty", "40.5", "9" * 5000])
def test_offers_off_the_grid_are_refused(written: str) -> None:
    game = sale()
    assert not game.step("agent", f"[offer] {written}").accepted
    assert game.pending("partner") is None


@given(st.sampled_from(VARIANTS), st.integers(), st.randoms(use_true_random=False))
def test_whatever_is_chosen_from_the_options_is_legal(variant: str, seed: int, rng: random.Random) -> None:
    game = Negotiation(variant=variant)  # type: ignore[arg-type]
    game.reset(seed)
    role = game.turn
    assert role is not None
    if game.place(role) == 1:
        return
    chosen: list[str] = []
    while options := game.options(role, "offer", chosen):
        chosen.append(rng.choice(options))
    assert game.step(role, f"[offer] {game.fill(role, 'offer', chosen)}").accepted
    assert game.options(role, "message") == ()


# What is hidden


@given(st.sampled_from(VARIANTS), st.booleans(), st.integers(0, 500))
def test_instructions_do_not_depend_on_the_others_values(variant: str, one_shot: bool, seed: int) -> None:
    game = started(variant=variant, one_shot=one_shot)
    game.reset(seed)
    bargain: Any = game.bargain
    before = game.instructions("agent")
    if variant == "buyer-seller":
        if game.place("agent") == 0:
            bargain.value = 999_999
        else:
            bargain.cost = 999_999
    elif variant == "resources":
        bargain.unit[game.place("partner")] = [999_999] * 3
    assert game.instructions("agent") == before
    for value in game.private("agent")["worth"] if variant == "resources" else ():
        assert f"{value} {game.private('agent')['worth'][value]}" in before


def test_thoughts_stay_private_and_keep_the_turn() -> None:
    game = started()
    acts(game, "[think] I would go down to 5.")
    assert game.turn == "agent"
    assert "think" not in game.observe("agent").legal
    acts(game, "Hello.")
    assert [event.text for event in game.observe("partner").events] == ["Hello."]
    assert len(game.observe("agent").events) == 2
    assert "think" not in started(thoughts=0).observe("agent").legal


# Draws


def test_even_and_odd_seeds_change_sides_over_the_same_values() -> None:
    game = Negotiation()
    for seed in range(0, 40, 2):
        game.reset(seed)
        agent, partner = game.private("agent"), game.private("partner")
        assert game.turn == "agent"
        game.reset(seed + 1)
        assert (game.private("partner"), game.private("agent")) == (agent, partner)
        assert game.turn == "partner"


@pytest.mark.parametrize("variant", ["buyer-seller", "resources"])
def test_the_zone_of_agreement_is_as_likely_as_set(variant: Any) -> None:
    for zone, low, high in ((1.0, 400, 400), (0.7, 250, 310), (0.0, 0, 0)):
        game = Negotiation(variant=variant, zone=zone, side="first")
        count = 0
        for seed in range(400):
            game.reset(seed)
            count += game.bargain.possible
        assert low <= count <= high


@pytest.mark.parametrize(
    "settings",
    [
        {"variant": "auction"},
        {"side": "left"},
        {"rounds": 0},
        {"thoughts": -1},
        {"grid": 0},
        {"zone": 1.5},
        {"high": 5},
        {"high": 100_000},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Negotiation(**settings)


def test_it_is_built_by_name() -> None:
    assert isinstance(build_game({"name": "negotiation", "variant": "ultimatum"}), Negotiation)
