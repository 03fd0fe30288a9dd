"""The contract of games, for every registered game over its settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest
from hypothesis import strategies as st

from telic.agents.scripted.players import random_script
from telic.games import issue
from telic.games.base import Game, Outcome, build_game, registry
from telic.games.elicitation_domain import load_domain
from telic.games.negotiation import Negotiation
from telic.games.sotopia import Sotopia
from tests.agents.scripted_play import play_scripts
from tests.contracts.game_contract import GameContract
from tests.games.elicited import DOMAINS
from tests.games.fake_judge import FakeJudge


class TestIssue(GameContract):
    name = "issue"
    patch: ClassVar[pytest.MonkeyPatch]
    settings = st.fixed_dictionaries(
        {"setting": st.sampled_from(["full", "hidden", "interactive"]), "questions": st.integers(1, 4)}
    )
    utterances = ("What should happen?", "[ask] What should happen?", "[patch] good", "[patch]", "[ask]", "nonsense")

    @classmethod
    def setup_class(cls) -> None:
        cls.patch = pytest.MonkeyPatch()
        cls.patch.setattr(issue, "_judge_of", FakeJudge)

    @classmethod
    def teardown_class(cls) -> None:
        cls.patch.undo()

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        return game.private("user")["missing"] if role == "user" else []


class DecisionContract(GameContract):
    settings = st.fixed_dictionaries({"max_turns": st.integers(1, 15)})
    rewards = "normalised"
    ends_itself = False

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        assert outcome.normalised is not None
        assert set(rewards.values()) == {outcome.normalised}
        assert (outcome.normalised > 0) <= (outcome.reason == "agreement")
        assert (outcome.reason == "agreement") == ("proposal" in outcome.details)


class TestAssignment(DecisionContract):
    name = "assignment"
    utterances = ("Atlas: Amina", "[propose] Atlas: Amina; Beacon: Amina")


class TestItinerary(DecisionContract):
    name = "itinerary"
    utterances = (
        "Slow Drip; Otter Pond; Whale Arch", "Slow Drip", "[tool] Search()", "Search()", "Search(", "[think] Hm.",
    )  # fmt: skip

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        return [f"- {wish['text']}" for wish in game.private("user")["wishes"]] if role == "user" else []


class TestMediation(DecisionContract):
    name = "mediation"
    utterances = (
        "user-1: hello", "both: hello", "user-2: ", "user-1: 2; user-2: 3", "user-1: 999; user-2: 1",
    )  # fmt: skip

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        if role == "agent":
            return [f"Flights for {user}:" for user in ("user-1", "user-2")]
        own = game.private(role)
        return [f"A flight usually costs ${own['mean_price']}. One at twice that price costs you {own['price_weight']}"]

    def test_the_users_do_not_see_each_other(self) -> None:
        game = build_game({"name": self.name})
        for seed in range(5):
            assert play_scripts(game, seed, random_script(seed)).valid
            for user in ("user-1", "user-2"):
                speakers = {event.speaker for event in game.observe(user).events}
                assert {"agent", user} <= speakers <= {"agent", "game", user}


class TestElicitation(GameContract):
    name = "elicitation"
    settings = st.fixed_dictionaries(
        {
            "domain": st.sampled_from(DOMAINS),
            "rounds": st.integers(1, 4),
            "slots": st.sampled_from([None, 1, 5]),
            "patience": st.integers(1, 3),
            "customer": st.sampled_from(["rules", "player"]),
            "mode": st.sampled_from(["dialogue", "full", "concat", "sharded"]),
            "proposal": st.booleans(),
        }
    )
    utterances = (
        "[propose] destination: Lisbon", "[propose]", "[message]", "destination: Crete; month: x", "budget?",
        "You should take antidepressants.", "I promise you will get better.", "Tell me more.",
        *(slot.questions[0] for name in DOMAINS for slot in load_domain(name).slots),
    )  # fmt: skip

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        wishes = game.private("customer")["wishes"]
        return [f": {value}\n" for value in wishes.values()] if role == "customer" else []

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        assert outcome.score is not None
        assert 0 <= outcome.score <= 1
        assert outcome.normalised is not None


class TestNegotiation(GameContract):
    name = "negotiation"
    settings = st.fixed_dictionaries(
        {
            "variant": st.sampled_from(["buyer-seller", "resources", "ultimatum"]),
            "one_shot": st.booleans(),
            "thoughts": st.integers(0, 3),
            "rounds": st.integers(1, 6),
            "side": st.sampled_from(["both", "first", "second"]),
        }
    )
    utterances = (
        "Hello", "[think] hm", "[offer] 50", "[offer] 55 | last word", "[offer] 5000", "[offer] x",
        "[offer] give 1 wood, get 1 ore", "[accept]", "[reject]", "[leave]", "[message]", "I say [offer] 40",
        "[offer] 1 [accept]", "hello [think] secretly",
    )  # fmt: skip

    def is_drawn(self, game: Game) -> bool:
        assert isinstance(game, Negotiation)
        return game.variant != "ultimatum" or game.side == "both"

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        assert rewards == outcome.per_role
        assert (outcome.normalised is None) == (not outcome.details["possible"])


class TestRedTeam(GameContract):
    name = "redteam"
    settings = st.fixed_dictionaries(
        {"rounds": st.integers(1, 4), "under_test": st.sampled_from(["attacker", "defender"])}
    )

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        return [value for key, value in game.private(role).items() if key == "secret"]

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        if outcome.score is not None:
            assert rewards == outcome.per_role == {"attacker": outcome.score, "defender": -outcome.score}


class TestSelfChat(GameContract):
    name = "selfchat"
    settings = st.fixed_dictionaries({"rounds": st.integers(1, 5)})
    rewards = None

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        assert outcome.score is outcome.normalised is outcome.success is None


class TestSotopia(GameContract):
    name = "sotopia"
    settings = st.fixed_dictionaries({"side": st.sampled_from(["both", "first", "second"])})
    utterances = (
        "[none]", "[leave]", "[speak]", "[action] waves", "[non-verbal communication] nods", "[fly] away",
        '{"action_type": "speak", "argument": "Hi"}', '{"action_type": "none"}', "{", "[none] words",
    )  # fmt: skip
    rewards = None
    ends_itself = False

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        own = game.private(role)
        return [own["secret"], f"Your goal: {own['goal']}"]

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        assert isinstance(game, Sotopia)
        assert outcome.normalised is None  # no judge
        assert game.turns <= 20


def test_every_registered_game_is_here() -> None:
    tested = {kind.name for kind in GameContract.__subclasses__() if hasattr(kind, "name")}
    tested |= {kind.name for kind in DecisionContract.__subclasses__()}
    assert tested == set(registry.names())
