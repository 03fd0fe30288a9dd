from collections.abc import Callable

import numpy as np
import pytest

from telic.episodes import Answer, Branch, Episode, Turn
from telic.errors import DataError, Failure
from telic.stability.analysis import Stability, analyse_stability
from telic.stability.scores import score_by_round

Scores = Callable[[int, str, int], list[float | None]]
"""Dialogue, role, round to the scores of the answers."""


def selfchats(dialogues: int, rounds: int, scores: Scores, *, attention: bool = False) -> list[Episode]:
    """Self-chats with the scores that `scores` gives, and attention that falls by a tenth a round."""
    return [
        Episode(
            id=f"d{d}",
            kind="selfchat",
            seed=d,
            roles={role: {"system": f"system {role} {d % 3}", "name": f"{role}{d % 3}"} for role in "ab"},
            turns=[
                Turn(
                    role=role,
                    round=r,
                    text="words",
                    readings={"attention": [0.4 * 0.9**r, 0.2 * 0.9**r]} if attention and (role, r) != ("a", 1) else {},
                )
                for r in range(1, rounds + 1)
                for role in "ab"
            ],
            branches=[
                Branch(
                    role=role,
                    round=r,
                    probe=f"{role}{d % 3}",
                    family="persona" if role == "a" else "format",
                    question="?",
                    prompt_tokens=100 * r + 50,
                    answers=[
                        Answer(text="", finish="stop", score=score, reason="" if score is not None else "no letter")
                        for score in scores(d, role, r)
                    ],
                )
                for r in range(rounds + 1)
                for role in "ab"
            ],
        )
        for d in range(dialogues)
    ]


def noisy(curve: list[float], samples: int = 2, seed: int = 0) -> Scores:
    """Answers that pass with the probability that `curve` gives for the round."""
    rng = np.random.default_rng(seed)
    return lambda d, role, r: [float(rng.random() < curve[r]) for _ in range(samples)]


def test_the_curve_is_the_mean_over_dialogues_at_each_round() -> None:
    exact: dict[int, list[float | None]] = {0: [1.0, 1.0], 1: [1.0, 0.0], 2: [0.0, None]}
    found = analyse_stability(selfchats(3, 2, lambda d, role, r: list(exact[r])))
    assert [(p.round, p.stability, p.n, p.answers, p.missing, p.tokens) for p in found.curve] == [
        (0, 1.0, 3, 12, 0, 50.0),
        (1, 0.5, 3, 12, 0, 150.0),
        (2, 0.0, 3, 6, 6, 250.0),
    ]
    assert found.area.value == 0.5
    assert [drop.difference for drop in found.drops] == [-0.5, -1.0]
    assert found.counts.missing == {"no letter": 6}
    assert {family: len(curve) for family, curve in found.families.items()} == {"format": 3, "persona": 3}


def test_each_demand_has_a_curve_of_its_own() -> None:
    played = selfchats(3, 1, lambda d, role, r: [float(role == "a" and r == 0)])
    assert analyse_stability(played).demands == {}
    for episode in played:
        episode.roles["a"]["demand"], episode.roles["b"]["demand"] = "length", "throughout"
    found = analyse_stability(played).demands
    assert {demand: [p.stability for p in curve] for demand, curve in found.items()} == {
        "throughout": [0.0, 0.0],
        "length": [1.0, 0.0],
    }
    assert list(found) == ["throughout", "length"]


def test_the_drift_round_is_the_first_that_fell() -> None:
    found = analyse_stability(selfchats(30, 4, noisy([0.9, 0.9, 0.9, 0.4, 0.3])))
    assert found.drift_round == 3
    assert found.headline.startswith("drifts significantly from round 3 (−0.")
    assert [drop.significant for drop in found.drops] == [False, False, True, True]


def test_noise_rarely_drifts() -> None:
    drifted = sum(
        analyse_stability(selfchats(12, 4, noisy([0.6] * 5, seed=seed)), resamples=300).drift_round is not None
        for seed in range(40)
    )
    assert drifted <= 4


def test_a_rise_is_not_drift() -> None:
    found = analyse_stability(selfchats(30, 2, noisy([0.2, 0.9, 0.9])))
    assert found.drift_round is None
    assert found.drops[0].p_adjusted is not None
    assert found.drops[0].p_adjusted < 0.05


def test_few_dialogues_are_said_to_be_few() -> None:
    found = analyse_stability(selfchats(4, 2, lambda d, role, r: [1.0 - r / 2]))
    assert found.drift_round is None
    assert "too few dialogues to tell: n = 4" in found.headline
    assert "n = 7" in found.headline


@pytest.mark.parametrize("dialogues", range(4, 12))
def test_the_number_of_dialogues_that_is_asked_for_is_enough(dialogues: int) -> None:
    found = analyse_stability(selfchats(dialogues, 4, lambda d, role, r: [1.0 if r < 1 else 0.0]))
    assert (found.drift_round is None) == ("too few" in found.headline)


def test_a_drop_compares_the_same_probes() -> None:
    # From round 1 on only the side is left that never passed; pooled means would show a drop of one half.
    def scores(d: int, role: str, r: int) -> list[float | None]:
        if role == "a":
            return [1.0] if r == 0 else [None]
        return [0.0]

    found = analyse_stability(selfchats(10, 2, scores))
    assert [point.stability for point in found.curve] == [0.5, 0.0, 0.0]
    assert [drop.difference for drop in found.drops] == [0.0, 0.0]
    assert found.area.value == 0.0


@pytest.mark.parametrize("samples", [1, 2, 3])
def test_choosing_what_is_followed_does_not_look_like_drift(samples: int) -> None:
    """Pure noise: the probes that passed at round 0 fall to a half if the same answers are plotted."""
    episodes = selfchats(300, 1, noisy([0.5, 0.5], samples))
    trap = [branch.answers[0].score for episode in episodes for branch in episode.branches if branch.round == 0]
    assert np.mean([score for score in trap if score is not None and score >= 0.5]) == 1
    found = analyse_stability(episodes, resamples=200).followed
    assert found is not None
    start, end = (point.stability for point in found.curve)
    assert start is not None
    assert end is not None
    assert abs(start - end) < 0.1
    assert found.drift_round is None


def test_the_followed_curve_leaves_out_what_was_never_followed() -> None:
    found = analyse_stability(selfchats(8, 1, lambda d, role, r: [float(role == "a" and r == 0)] * 2))
    assert [point.stability for point in found.curve] == [0.5, 0.0]
    assert found.followed is not None
    assert [point.stability for point in found.followed.curve] == [1.0, 0.0]
    assert (found.followed.chosen, found.followed.candidates) == (8, 16)


def test_followed_is_absent_with_a_reason() -> None:
    alone = analyse_stability(selfchats(1, 1, lambda d, role, r: [1.0]))
    assert alone.followed is None
    assert "at least two samples" in alone.reasons["followed"]
    never = analyse_stability(selfchats(6, 1, lambda d, role, r: [0.0]))
    assert never.reasons["followed"] == "none of 12 probes was followed at round 0"


def test_probes_that_were_never_followed_come_first_and_are_not_said_not_to_drift() -> None:
    none = analyse_stability(selfchats(9, 3, lambda d, role, r: [0.0, 0.0]))
    assert none.headline == (
        "the model never followed any of the 6 probes (0 of 36 answers before the dialogue), so there is nothing to "
        "drift from"
    )
    one = analyse_stability(selfchats(9, 3, lambda d, role, r: [float(role == "a" and not (d == 0 and r)), 0.0]))
    assert one.drift_round is None
    assert one.headline.startswith(
        "the model never followed 3 of 6 probes, 'b0', 'b1', 'b2' (0 of 18 answers before the dialogue): it cannot "
        "drift from them"
    )
    assert [(start.probe, start.side, start.followed, start.answers) for start in one.starts if start.never] == [
        ("b0", "b0", 0, 6), ("b1", "b1", 0, 6), ("b2", "b2", 0, 6),
    ]  # fmt: skip
    followed = analyse_stability(selfchats(9, 3, lambda d, role, r: [1.0, 1.0]))
    assert followed.never_followed is None
    assert followed.headline.startswith("no significant drift")


def test_what_the_followed_probes_do_stands_beside_what_all_do() -> None:
    found = analyse_stability(selfchats(20, 2, lambda d, role, r: [float(role == "a" and r == 0)] * 2))
    never, all_of_them, followed = found.headline.split("; over ", 2)
    assert "'b0', 'b1', 'b2' (0 of 40 answers" in never
    assert all_of_them.startswith("all 6 probes: drifts significantly from round 1 (−0.50")
    assert followed.startswith("those followed before the dialogue: drifts significantly from round 1 (−1.00")


def test_a_stray_success_at_round_0_is_no_ground_for_no_drift() -> None:
    found = analyse_stability(selfchats(12, 2, lambda d, role, r: [0.0, float((d, r) == (0, 0))]))
    assert found.followed is None
    assert "no significant drift" not in found.headline
    assert "only 2 of 48 answers before the dialogue" in found.headline


def test_attention_decays_by_round_layer_and_role() -> None:
    found = analyse_stability(selfchats(5, 3, lambda d, role, r: [1.0], attention=True))
    assert [(decay.role, decay.where, decay.rounds) for decay in found.attention] == [
        ("a", "trunk", [2, 3]),
        ("b", "trunk", [1, 2, 3]),
    ]
    b = found.attention[1]
    assert b.layers[0] == pytest.approx([0.36, 0.18])
    assert [interval.value for interval in b.relative] == pytest.approx([1, 0.9, 0.81])
    assert b.mass[0].value == pytest.approx(0.27)


def test_stability_that_follows_attention_is_correlated_with_it() -> None:
    episodes = selfchats(12, 3, lambda d, role, r: [1 - r * d / 40], attention=True)
    for d, episode in enumerate(episodes):
        for turn in episode.turns:
            turn.readings = {"attention": [0.5 - turn.round * d / 100]}
    found = analyse_stability(episodes).correlation
    assert found is not None
    assert found.where == "trunk"
    assert found.between.value is not None
    assert found.between.value > 0.95
    assert found.within.value is not None
    assert found.within.value > 0.95


def test_attention_on_probes_is_preferred_and_odd_readings_are_counted() -> None:
    episodes = selfchats(4, 2, lambda d, role, r: [1 - r * d / 20], attention=True)
    for d, episode in enumerate(episodes):
        for branch in episode.branches:
            branch.answers[0].readings = {"attention": [0.5 - branch.round * d / 100, None]}
    episodes[0].branches[0].answers[0].readings = {"attention": "broken"}
    found = analyse_stability(episodes)
    assert found.correlation is not None
    assert found.correlation.where == "probes"
    probes = next(decay for decay in found.attention if (decay.where, decay.role) == ("probes", "a"))
    assert probes.missing == 1
    assert probes.layers[1][1] is None
    assert probes.mass[1].n == 4


def test_without_attention_there_is_a_reason() -> None:
    found = analyse_stability(selfchats(3, 1, lambda d, role, r: [1.0]))
    assert found.correlation is None
    assert found.attention == []
    assert set(found.reasons) >= {"attention", "correlation"}


def test_what_went_wrong_is_counted() -> None:
    episodes = selfchats(3, 2, lambda d, role, r: [1.0])
    episodes[0].failure = Failure("model", "exception", "it failed\nwith a long story")
    episodes[0].branches = episodes[0].branches[:2]
    episodes[1].turns[-1].finish = "context"
    episodes[2].branches[-1].answers = []
    counts = analyse_stability(episodes).counts
    assert counts.errors == {"model: it failed": 1}
    assert counts.overflows == 1
    assert counts.missing == {"no answer was sampled": 1}
    assert counts.incomplete == 3


def test_one_dialogue_has_values_but_no_intervals() -> None:
    found = analyse_stability(selfchats(1, 2, lambda d, role, r: [1 - r / 2], attention=True))
    assert [(p.stability, p.low) for p in found.curve] == [(1.0, None), (0.5, None), (0.0, None)]
    assert found.drift_round is None


@pytest.mark.parametrize("empty", ["no branches", "no scores", "no answers"])
def test_nothing_measured_is_said_and_not_made_up(empty: str) -> None:
    episodes = selfchats(2, 2, lambda d, role, r: [] if empty == "no answers" else [None])
    if empty == "no branches":
        for episode in episodes:
            episode.branches = []
    found = analyse_stability(episodes)
    assert all(point.stability is None and point.n == 0 for point in found.curve)
    assert found.headline == "nothing to compare: no dialogue has scores at two rounds"
    assert found.followed is None
    assert found.area.value is None
    assert "area" in found.reasons


def test_no_episodes_are_an_error() -> None:
    with pytest.raises(DataError, match="no episodes"):
        analyse_stability([])


def test_the_result_is_reproducible_and_survives_json() -> None:
    episodes = selfchats(6, 2, noisy([0.9, 0.5, 0.3]), attention=True)
    found = analyse_stability(episodes)
    assert analyse_stability(episodes) == found
    assert Stability.model_validate_json(found.model_dump_json()) == found


def test_score_by_round_is_one_dialogues_curve() -> None:
    episode = selfchats(1, 2, lambda d, role, r: [1.0 if role == "a" else None, 1 - r / 2])[0]
    assert score_by_round(episode) == {0: 1.0, 1: 0.625, 2: 0.25}
