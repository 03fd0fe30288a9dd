"""What every game guarantees. A test class inherits `GameContract` and says which settings and utterances to try.

class TestSelfChat(GameContract):
    name = "selfchat"
    settings = st.fixed_dictionaries({"rounds": st.integers(1, 4)})
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from telic.agents.player import NEUTRAL, fill_form
from telic.agents.scripted import scripted_names, scripted_player
from telic.agents.scripted.catalog import SCRIPTS
from telic.agents.scripted.players import random_script
from telic.errors import ConfigError
from telic.games.base import MAX_ATTEMPTS, Game, Outcome, build_game
from tests.agents.scripted_play import play_scripts

__all__ = ["GameContract"]

# Hypothesis warns of a test that several classes inherit.
examples = hypothesis_settings(max_examples=80, suppress_health_check=[HealthCheck.differing_executors])
few_examples = hypothesis_settings(examples, max_examples=10)

FROM_OPTIONS = "<an act from the options>"
"""An utterance that is replaced by a random legal act, its form filled from the options."""
SEEDS = st.integers(-5, 10_000)


class GameContract:
    """The tests. Subclasses set the class variables, and override `secrets` and `check_outcome` where needed."""

    name: ClassVar[str]
    settings: ClassVar[SearchStrategy[dict[str, Any]]] = st.just({})
    """Settings of the game to try."""
    utterances: ClassVar[Sequence[str]] = ()
    """Utterances that are typical of the game, legal or not."""
    rewards: ClassVar[Literal["score", "normalised"] | None] = "score"
    """What the rewards of the first role add up to; None for a game without rewards."""
    ends_itself: ClassVar[bool] = True
    """Whether an episode always ends before the hard cap of turns."""

    def secrets(self, game: Game, role: str) -> Sequence[str]:
        """Texts that only this role may see at the start."""
        return ()

    def is_drawn(self, game: Game) -> bool:
        """Return whether anything is drawn with these settings."""
        return True

    def check_outcome(self, game: Game, outcome: Outcome, rewards: Mapping[str, float]) -> None:
        """Check what is special about a valid outcome; `rewards` are the sums by role."""

    def make(self, data: DataObject, **fixed: Any) -> Game:
        return build_game({"name": self.name, **data.draw(self.settings, "settings"), **fixed})

    @examples
    @given(st.data())
    def test_any_utterances_lead_to_an_outcome(self, data: DataObject) -> None:
        game = self.make(data)
        game.reset(data.draw(SEEDS, "seed"))
        said = data.draw(st.lists(self._utterance(), max_size=30), "utterances")
        rng = Random(data.draw(st.integers(0, 1000), "choices"))
        totals = dict.fromkeys(game.roles, 0.0)
        steps, actor = 0, ""
        while game.turn is not None:
            actor = game.turn
            before = _snapshot(game)
            utterance = said[steps] if steps < len(said) else FROM_OPTIONS
            if utterance == FROM_OPTIONS:
                utterance = _legal_act(game, actor, rng)
                assert game.observe(actor).legal
                step = game.step(actor, utterance)
                assert step.accepted, f"the game refused {utterance!r} from its own options: {step.error}"
            else:
                step = game.step(actor, utterance)
            if step.accepted:
                assert game.turns == before["turns"] + 1
                assert game.turns <= game.max_turns
                for role, reward in step.reward.items():
                    totals[role] += reward
            elif game.turn is not None:
                assert step.error
                assert _snapshot(game) == before, "a refused act changed the game"
                for role in game.roles:
                    assert game.observe(role).error == (step.error if role == actor else None)
            steps += 1
            assert steps <= MAX_ATTEMPTS * game.max_turns
        assert game.over
        self._check_end(game, actor, totals)

    def _check_end(self, game: Game, actor: str, totals: Mapping[str, float]) -> None:
        outcome = game.outcome()
        json.dumps([outcome.details, dict(outcome.per_role), [dict(game.private(role)) for role in game.roles]])
        assert outcome.reason
        if self.ends_itself:
            assert game.ended != "turn limit"
        if not outcome.valid:
            assert outcome.fault == game.fault_of(actor)
            assert (outcome.score, outcome.normalised, outcome.success) == (None, None, None)
            return
        assert outcome.fault is None
        assert outcome.normalised is None or 0 <= outcome.normalised <= 1
        if self.rewards is None:
            assert not any(totals.values())
        elif (payoff := getattr(outcome, self.rewards)) is not None:
            assert totals[game.roles[0]] == pytest.approx(payoff)
        self.check_outcome(game, outcome, totals)

    @examples
    @given(st.data())
    def test_an_episode_is_a_function_of_the_seed_and_the_acts(self, data: DataObject) -> None:
        game, seed = self.make(data), data.draw(SEEDS, "seed")
        acts = _play_at_random(game, seed, self.utterances)
        first = _everything(game)
        _play_at_random(game, seed + 1, self.utterances)  # an earlier episode leaves no trace
        game.reset(seed)
        for role, utterance in acts:
            assert game.turn == role
            game.step(role, utterance)
        assert _everything(game) == first

    @few_examples
    @given(st.data())
    def test_other_seeds_give_other_episodes(self, data: DataObject) -> None:
        game = self.make(data)
        starts = set()
        for seed in range(10):
            game.reset(seed)
            starts.add(repr([(game.observe(role), game.private(role)) for role in game.roles]))
        assert (len(starts) > 1) == self.is_drawn(game)

    @few_examples
    @given(st.data())
    def test_illegal_acts_end_the_episode_through_the_fault_of_the_role(self, data: DataObject) -> None:
        for role in self._acting_roles(data):
            game = self.make(data)
            game.reset(0)
            rng = Random(1)
            while game.turn not in (role, None):
                game.step(str(game.turn), _legal_act(game, str(game.turn), rng))
            if game.turn is None:
                continue  # with these settings the role has no turn in this episode
            for attempt in range(MAX_ATTEMPTS - 1):
                step = game.step(role, "")
                assert (step.accepted, game.turn) == (False, role), attempt
            assert game.step(role, _legal_act(game, role, rng)).accepted
            while game.turn not in (role, None):
                game.step(str(game.turn), _legal_act(game, str(game.turn), rng))
            if game.turn is None:
                continue
            for _ in range(MAX_ATTEMPTS):
                assert not game.over, "an accepted act starts the count of attempts again"
                game.step(role, " ")
            outcome = game.outcome()
            assert (outcome.valid, outcome.fault) == (False, game.fault_of(role))
            assert role in outcome.reason

    @few_examples
    @given(st.data())
    def test_only_the_role_whose_turn_it_is_may_act(self, data: DataObject) -> None:
        game = self.make(data)
        game.reset(data.draw(SEEDS, "seed"))
        rng = Random(0)
        for role in game.roles:
            if role != game.turn:
                with pytest.raises(ConfigError, match=f"{role!r} cannot act, it is the turn of {game.turn!r}"):
                    game.step(role, "Hello")
                assert game.observe(role).legal == ()
        while game.turn is not None:
            game.step(game.turn, _legal_act(game, game.turn, rng))
        for role in game.roles:
            with pytest.raises(ConfigError, match="the episode is over"):
                game.step(role, "Hello")

    @few_examples
    @given(st.data())
    def test_a_role_that_the_rules_play_has_no_turn(self, data: DataObject) -> None:
        game = self.make(data)
        for seed in range(5):
            for role, _ in _play_at_random(game, seed):
                assert not game.played_by_rules(role)

    @examples
    @given(st.data())
    def test_instructions_contain_no_secret_of_another_role(self, data: DataObject) -> None:
        game = self.make(data)
        game.reset(data.draw(SEEDS, "seed"))
        for role in game.roles:
            for secret in self.secrets(game, role):
                for other in game.roles:
                    text = game.observe(other).instructions
                    assert (secret in text) == (other == role), f"{secret!r} of {role} and the instructions of {other}"
                    if other != role:
                        assert secret not in json.dumps(dict(game.private(other)), ensure_ascii=False)

    @few_examples
    @given(st.data())
    def test_each_role_sees_its_own_acts_and_no_private_act_of_another(self, data: DataObject) -> None:
        game = self.make(data)
        _play_at_random(game, data.draw(SEEDS, "seed"))
        for role in game.roles:
            for event in game.observe(role).events:
                assert event.speaker in (*game.roles, "game")
                if event.act is not None and event.act.kind in ("think", "tool"):
                    assert event.speaker == role, "thoughts and searches are private"

    @few_examples
    @given(st.data())
    def test_the_instructions_agree_with_asks_for_kind(self, data: DataObject) -> None:
        game = self.make(data)
        for seed in range(4):
            game.reset(seed)
            for role in game.roles:
                assert (f"[{game.kinds[0]}]" in game.instructions(role)) == game.asks_for_kind(role)

    @examples
    @given(st.data())
    def test_wordless_acts_need_no_content(self, data: DataObject) -> None:
        game = self.make(data)
        assert game.wordless <= set(game.kinds)
        game.reset(data.draw(SEEDS, "seed"))
        rng = Random(0)
        while game.turn is not None:
            wordless = [kind for kind in game.observe(game.turn).legal if kind in game.wordless]
            utterance = f"[{wordless[0]}]" if wordless else _legal_act(game, game.turn, rng)
            assert game.step(game.turn, utterance).accepted

    @few_examples
    @given(st.data())
    def test_options_belong_to_kinds_with_a_form(self, data: DataObject) -> None:
        game = self.make(data)
        game.reset(data.draw(SEEDS, "seed"))
        for role in game.roles:
            assert game.options(role, game.kinds[0]) == ()
            for kind in game.kinds:
                chosen: list[str] = []
                while options := game.options(role, kind, chosen):
                    assert len(set(options)) == len(options)
                    chosen.append(options[-1])
                    assert len(chosen) <= 50

    @pytest.mark.parametrize("seed", range(3))
    def test_every_script_plays_to_a_valid_end(self, seed: int) -> None:
        for name in scripted_names(self.name):
            game = build_game({"name": self.name})
            roles = {"persuader": "attacker", "refuser": "defender"}
            script, chance = SCRIPTS.get(self.name, {}).get(name, random_script)(seed), random_script(seed)
            scripts = {role: script if roles.get(name, role) == role else chance for role in game.roles}
            outcome = play_scripts(game, seed, scripts)
            assert outcome.valid, (name, outcome.reason)

    def test_the_references_bound_the_scale(self) -> None:
        game = build_game({"name": self.name})
        bounds = game.references()
        if bounds.upper is None or bounds.lower is None:
            assert (bounds.lower, bounds.upper, bounds.human) == (None, None, None)
            assert "oracle" not in scripted_names(self.name)
            return
        means = {}
        for name in (bounds.lower, bounds.upper):
            partner = bounds.partner or name
            assert scripted_player(name, self.name).name == name
            scores = []
            for seed in range(40):
                own, other = SCRIPTS[self.name][name](seed), SCRIPTS[self.name][partner](seed + 1000)
                scripts = {role: own if game.fault_of(role) == "agent" else other for role in game.roles}
                scores.append(play_scripts(game, seed, scripts).normalised)
            found = [score for score in scores if score is not None]
            means[name] = sum(found) / len(found)
        assert 0 <= means[bounds.lower] < means[bounds.upper] <= 1
        if bounds.human is not None:
            assert means[bounds.lower] < bounds.human < means[bounds.upper]
            assert bounds.human_episodes > 0

    def test_held_out_scenarios_are_never_in_train(self) -> None:
        if not build_game({"name": self.name}).has_held_out:
            with pytest.raises(ConfigError, match="unknown setting 'split'"):
                build_game({"name": self.name, "split": "train"})
            return
        drawn: dict[str, set[str]] = {"train": set(), "test": set()}
        for split, found in drawn.items():
            game = build_game({"name": self.name, "split": split})
            for seed in range(100):
                game.reset(seed)
                found.add(json.dumps([dict(game.private(role)) for role in game.roles]))
        assert drawn["train"]
        assert not drawn["train"] & drawn["test"]

    def test_an_unknown_setting_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="unknown setting 'nonsense'"):
            build_game({"name": self.name, "nonsense": 1})

    def _utterance(self) -> SearchStrategy[str]:
        kinds = build_game({"name": self.name}).kinds
        marked = st.builds(
            lambda kind, content: f"[{kind}] {content}",
            st.sampled_from((*kinds, "nothing", "")),
            st.one_of(st.text(max_size=20), st.sampled_from(("", "hello", "\n;,:[]()", "é中\x00", *self.utterances))),
        )
        return st.one_of(
            st.text(max_size=30), marked, st.sampled_from((FROM_OPTIONS, *self.utterances)), st.just(FROM_OPTIONS)
        )

    def _acting_roles(self, data: DataObject) -> Sequence[str]:
        game = self.make(data)
        return [role for role in game.roles if not game.played_by_rules(role)]


def _legal_act(game: Game, role: str, rng: Random) -> str:
    kind = rng.choice(game.observe(role).legal)
    return f"[{kind}] {fill_form(game, role, kind, rng) or NEUTRAL}"


def _play_at_random(game: Game, seed: int, utterances: Sequence[str] = ()) -> list[tuple[str, str]]:
    """Play an episode of random legal acts, and of some utterances that may be illegal; return all of them."""
    game.reset(seed)
    rng = Random(seed)
    acts = []
    while (role := game.turn) is not None:
        if utterances and rng.random() < 0.5:
            acts.append((role, rng.choice(utterances)))
            game.step(*acts[-1])
        else:
            acts.append((role, _legal_act(game, role, rng)))
            assert game.step(*acts[-1]).accepted
    return acts


def _snapshot(game: Game) -> dict[str, Any]:
    """What may not change when an act is refused: everything but the error."""
    observed = {role: game.observe(role) for role in game.roles}
    seen = {role: (o.instructions, o.events, o.legal) for role, o in observed.items()}
    return {"turn": game.turn, "turns": game.turns, "seen": seen, "outcome": game.outcome()}


def _everything(game: Game) -> Any:
    return [(game.observe(role), game.private(role)) for role in game.roles], game.outcome(), game.turns
