"""The assignment game: its draws, its proposals, what a player sees, and whole episodes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.agents.scripted.decisions import DECISION_SCRIPTS
from telic.errors import ConfigError
from telic.games import assignment_draws
from telic.games.assignment import PAPERS, REVIEWERS, AssignmentGame, read_assignment, total
from telic.games.assignment_draws import BLOCK, MAX_DRAWS, best_assignment, cell_blocks, draw_assignment, is_kept
from telic.games.base import IllegalActError, build_game
from tests.agents.scripted_play import play_scripts


def started(seed: int = 0) -> AssignmentGame:
    game = AssignmentGame()
    game.reset(seed)
    return game


def full(game: AssignmentGame) -> str:
    return game.fill("agent", "propose", game.parts(game.optimum()))


@pytest.mark.parametrize("seed", range(3))
def test_the_bounds_keep_the_draw_that_plain_rejection_keeps(seed: int) -> None:
    found = draw_assignment(seed)
    for first, block in zip(range(0, MAX_DRAWS, BLOCK), cell_blocks(seed), strict=True):
        for index in range(min(BLOCK, found.number - first)):
            plain = assignment_draws.unpack(block, index)
            assert not is_kept(plain.table, plain.seen), f"draw {first + index} of {found.number} was skipped"
        if first + BLOCK > found.number:
            break
    assert is_kept(found.table, found.seen)


def test_the_bounds_hold() -> None:
    block = next(cell_blocks(5))
    bounds = []
    for keys in assignment_draws._KEYS:
        programme = assignment_draws._Programme(BLOCK)
        programme.keys[:] = keys[block]
        bounds.append(programme.least_earned(BLOCK))
    most = assignment_draws._most_pooled(assignment_draws._POOLED_BYTES[block])
    for index in range(0, BLOCK, 7):
        drawn = assignment_draws.unpack(block, index)
        pooled = drawn.table[range(8), best_assignment(drawn.table)].sum()
        assert pooled <= most[index] <= pooled + 100
        for seen, least in zip(drawn.seen, bounds, strict=True):
            columns = best_assignment(np.where(seen, drawn.table, 50))
            assert least[index] <= drawn.table[range(8), columns].sum() <= least[index] + 400


def test_tables_are_drawn_as_the_rules_say() -> None:
    drawn = [assignment_draws.unpack(block, index) for block in cell_blocks(1) for index in range(0, BLOCK, 4)]
    first, second = (np.array([d.seen[side] for d in drawn]) for side in (0, 1))
    tables = np.array([d.table for d in drawn])
    assert first.mean() == pytest.approx(0.4, abs=0.005)
    assert (first & second).mean() == pytest.approx(0.16, abs=0.005), "both see a cell independently"
    assert (tables[~(first | second)] == 50).all()
    assert (tables[first].min(), tables[first].max()) == (0, 99)
    assert tables[first].mean() == pytest.approx(49.5, abs=0.5)


def test_where_no_draw_is_worth_pooling_the_last_is_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assignment_draws, "is_kept", lambda table, seen: False)
    assert draw_assignment(0).number == MAX_DRAWS - 1


def test_reset_is_a_function_of_the_seed() -> None:
    assert started(3).instructions("agent") == started(3).instructions("agent")
    assert started(3).instructions("agent") != started(4).instructions("agent")
    started(-1)


def test_the_oracle_reaches_the_best() -> None:
    for seed in range(5):
        outcome = play_scripts(AssignmentGame(), seed, DECISION_SCRIPTS["oracle"](0))
        assert outcome.valid
        assert outcome.normalised == 1.0
        assert outcome.success
        assert outcome.score == outcome.details["best"]


def test_negotiation_to_the_end() -> None:
    game = started()
    assert game.turn == "agent"
    assert game.step("agent", "What do you know about Atlas?").accepted
    assert game.observe("partner").events[-1].text == "What do you know about Atlas?"
    worst = list(best_assignment(-game._table.T))
    assert game.step("partner", "[propose] " + game.fill("partner", "propose", game.parts(tuple(worst)))).accepted
    assert game.observe("agent").legal == ("accept", "reject")
    refused = game.step("agent", "[message] wait")
    assert not refused.accepted
    assert "accept, reject" in str(refused.error)
    assert game.step("agent", "[reject] Greta is better elsewhere.").accepted
    assert game.turn == "agent", "who rejects goes on"
    assert game.step("agent", f"[propose] {full(game)}").accepted
    step = game.step("partner", "[accept]")
    assert step.reward == {"agent": 1.0, "partner": 1.0}
    outcome = game.outcome()
    assert game.over
    assert outcome.details["proposals"] == 2
    assert outcome.details["proposal"] == list(game.parts(game.optimum()))


def test_without_agreement_the_episode_is_worth_nothing_and_says_so() -> None:
    game = AssignmentGame(max_turns=2)
    game.reset(0)
    game.step("agent", "Hello")
    game.step("partner", "Hello")
    outcome = game.outcome()
    assert outcome.valid
    assert (outcome.normalised, outcome.score, outcome.success) == (0.0, 0.0, False)
    assert outcome.reason == "no agreement: turn limit"


def test_an_unfinished_game_has_no_score() -> None:
    outcome = started().outcome()
    assert outcome.score is None
    assert outcome.normalised is None


def test_whose_fault_a_broken_game_is() -> None:
    game = started()
    for _ in range(3):
        game.step("agent", "[propose] everything")
    assert (game.outcome().valid, game.outcome().fault) == (False, "agent")


def test_slots_fill_a_proposal() -> None:
    game = started()
    chosen: list[str] = []
    while options := game.options("agent", "propose", chosen):
        assert len(options) == 8 - len(chosen)
        chosen.append(options[-1])
    assert read_assignment(game.fill("agent", "propose", chosen)) == tuple(range(7, -1, -1))
    assert game.options("agent", "message") == ()


@given(st.permutations(range(8)), st.permutations(range(8)), st.sampled_from([": ", " - ", " -> ", " gets ", "="]))
def test_proposals_read_in_any_order_and_form(reviewers: list[int], order: list[int], link: str) -> None:
    lines = [f"* {PAPERS[paper].lower()}{link}{REVIEWERS[reviewers[paper]]}" for paper in order]
    assert read_assignment("Proposal:\n" + "\n".join(lines)) == tuple(reviewers)
    turned = [f"{REVIEWERS[reviewers[paper]].split()[paper % 2]}{link}{PAPERS[paper]}" for paper in order]
    assert read_assignment(", ".join(turned)) == tuple(reviewers)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "no reviewer for: Atlas, Beacon"),
        ("Atlas: Amina", "no reviewer for: Beacon"),
        ("Atlas: Amina; Beacon: Amina", "'Amina Diallo' is assigned twice"),
        ("Atlas: Amina; Atlas: Bruno", "'Atlas' is assigned twice"),
        ("Atlas, Beacon: Amina", "'Atlas' and 'Beacon' are not a pair"),
        ("Atlas; Amina", "'Atlas' and 'Amina' are not a pair"),
        ("Atlas: Amina; Beacon", "'Beacon' stands alone"),
        ("Atlas: Aminata", "'Atlas' stands alone"),
    ],
)
def test_what_is_wrong_with_a_proposal_is_said(content: str, error: str) -> None:
    with pytest.raises(IllegalActError, match=error):
        read_assignment(content)


def test_a_player_sees_nothing_of_the_others_table() -> None:
    game, changed = started(2), started(2)
    changed._shown[1] = np.where(changed._shown[1] >= 0, 0, 7)
    assert game.observe("agent") == changed.observe("agent")
    assert game.private("agent") == changed.private("agent")
    assert game.instructions("partner") != changed.instructions("partner")
    for role, side in (("agent", 0), ("partner", 1)):
        shown = game.instructions(role).split("by paper:")[1]
        values = [value for value in game._shown[side].ravel().tolist() if value >= 0]
        assert sum(shown.count(f" {value}") > 0 for value in values) == len(values)
        assert shown.count("nothing") == (game._shown[side] < 0).all(0).sum()


def test_random_play_earns_what_the_reference_earns() -> None:
    # The mean of 134 recorded games is 0.610 with a standard error of 0.003; a random permutation is worth its mean.
    game = AssignmentGame()
    means = []
    for seed in range(200):
        game.reset(seed)
        means.append(8 * game._table.mean() / game.best)
    error = np.hypot(np.std(means) / np.sqrt(len(means)), 0.003)
    assert np.mean(means) == pytest.approx(0.610, abs=2 * error)
    played = [play_scripts(game, seed, DECISION_SCRIPTS["random"](seed)).normalised for seed in range(5)]
    assert all(value is not None and 0 < value <= 1 for value in played)


def test_settings() -> None:
    game = build_game({"name": "assignment", "max_turns": 4})
    assert isinstance(game, AssignmentGame)
    with pytest.raises(ConfigError, match="pass_mark"):
        AssignmentGame(pass_mark=2)
    with pytest.raises(ConfigError, match="max_turns"):
        AssignmentGame(max_turns=0)


def test_total_is_over_pairs_of_reviewer_and_paper() -> None:
    table = np.arange(64).reshape(8, 8)
    assert total(table, (1, 0, 2, 3, 4, 5, 6, 7)) == 8 + 1 + 18 + 27 + 36 + 45 + 54 + 63
