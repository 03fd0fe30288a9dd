"""The combination of evidence, its fit, and how its quality is measured."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from telic.episodes import Feedback
from telic.errors import DataError
from telic.feedback.combination import Combination, prior_log_odds
from telic.feedback.fitting import RatedExample, fit_combination
from telic.feedback.quality import area_under_roc, calibration_error, grouped_interval
from tests.feedback.dialogues import given


def evidence(source: str, cue: str, reward: float, confidence: float = 0.8) -> Feedback:
    return given(source, reward=reward, confidence=confidence, cue=cue)


THANKS, WRONG, FAILED = evidence("praise", "thanks", 1), evidence("correction", "x", -1), evidence("content", "y", -0.5)


def test_evidence_adds_up_and_neighbours_count_less() -> None:
    combination = Combination({"praise.thanks": 1.0, "correction.x": -2.0}, context=0.5)
    assert combination.evidence([THANKS, WRONG]) == -1.0
    first, second, third = combination.satisfaction([0.0, 2.0, 0.0])
    assert first == third == pytest.approx(1 / (1 + math.exp(-1)))
    assert second == pytest.approx(1 / (1 + math.exp(-2)))


def test_what_has_no_weight_counts_with_its_confidence() -> None:
    purchase = given("purchase", confidence=0.75)
    assert Combination({}).log_odds(purchase) == pytest.approx(math.log(3)) == prior_log_odds(purchase)
    assert Combination({}).log_odds(given("refund", reward=-1.0, confidence=1.0)) == pytest.approx(-math.log(49))
    assert Combination({}).log_odds(given("thumb", reward=0.0)) == 0.0


def test_what_the_reply_itself_says_is_no_reward() -> None:
    combination = Combination({})
    assert combination.reward([FAILED]) == 0.0
    assert combination.reward([THANKS, FAILED]) == combination.reward([THANKS]) > 0
    assert combination.evidence([THANKS, FAILED]) < combination.evidence([THANKS])


def test_calibrated_evidence_has_the_confidence_and_the_sign_of_its_weight() -> None:
    found = Combination({"praise.thanks": -1.0}).calibrated(THANKS)
    assert found.reward == -1.0
    assert found.confidence == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-6)
    assert Combination({"praise.thanks": 0.0}).calibrated(THANKS).reward == 0.0


def test_weights_are_written_and_read(tmp_path: Path) -> None:
    path = tmp_path / "weights.json"
    path.write_text(Combination({"praise.thanks": 0.5}, 1.25, -0.5, 0.25, {"n": 3}).to_json())
    assert Combination.load(path) == Combination({"praise.thanks": 0.5}, 1.25, -0.5, 0.25, {"n": 3})
    path.write_text("[]")
    with pytest.raises(DataError, match="not a file of weights"):
        Combination.load(path)
    with pytest.raises(DataError, match="cannot read"):
        Combination.load(tmp_path / "none.json")


def test_the_bundled_weights_have_the_signs_that_everybody_would_expect_and_a_card() -> None:
    bundled = Combination.bundled()
    assert min(bundled.weights[name] for name in ("praise.thanks", "praise.praise", "acceptance.takes_up")) > 0
    assert max(bundled.weights[name] for name in ("complaint.complaint", "rejection.dislikes", "repeat.repeats")) < 0
    assert (
        bundled.card["results"]["abredial"]["detectors"]["value"]
        > bundled.card["results"]["abredial"]["vader"]["value"]
    )


def rated(n: int, seed: int = 0) -> list[RatedExample]:
    """Users who thank mostly are satisfied; `x` says nothing."""
    draw = np.random.default_rng(seed)
    examples = []
    for number in range(n):
        satisfied = draw.random() < 0.6
        pieces = [(1.0, THANKS)] if draw.random() < (0.7 if satisfied else 0.1) else []
        pieces += [(1.0, WRONG)] if draw.random() < 0.3 else []
        examples.append(RatedExample(pieces, float(satisfied), number // 3, "rated"))
    return examples


def test_the_fit_learns_what_evidence_is_worth_and_keeps_the_prior_of_what_is_rare() -> None:
    fitted = fit_combination(rated(3000), "rated")
    assert fitted.weights["praise.thanks"] > 1.0
    assert abs(fitted.weights["correction.x"]) < 0.7, "its prior is -1.4, and the data say that it means nothing"
    few = fit_combination(rated(60), "rated")
    assert few.weights["correction.x"] < -1.0


def test_the_fit_is_calibrated() -> None:
    fitted, test = fit_combination(rated(3000), "rated"), rated(3000, seed=1)
    probabilities = [fitted.satisfaction([fitted.evidence([one for _, one in e.evidence])])[0] for e in test]
    outcomes = np.array([e.satisfaction for e in test])
    assert calibration_error(np.array(probabilities), outcomes) < 0.04


def test_too_few_ratings_are_refused() -> None:
    with pytest.raises(DataError, match="expected at least 20"):
        fit_combination(rated(10), "rated")
    with pytest.raises(DataError, match="'other'"):
        fit_combination(rated(100), "other")


def test_area_under_roc_and_calibration_error_of_known_cases() -> None:
    outcomes = np.array([0.0, 0.0, 1.0, 1.0])
    assert area_under_roc(np.array([1.0, 2.0, 3.0, 4.0]), outcomes) == 1.0
    assert area_under_roc(np.array([4.0, 3.0, 2.0, 1.0]), outcomes) == 0.0
    assert area_under_roc(np.zeros(4), outcomes) == 0.5
    assert math.isnan(area_under_roc(np.zeros(2), np.ones(2)))
    assert calibration_error(np.full(4, 0.5), outcomes, bins=1) == 0.0
    assert calibration_error(np.array([0.0, 0.0, 0.5, 0.5]), outcomes, bins=2) == 0.25


def test_the_interval_resamples_groups() -> None:
    draw = np.random.default_rng(0)
    outcomes = np.tile([0.0, 1.0], 100)
    scores = outcomes + draw.normal(0, 1.5, 200)
    alone = grouped_interval(area_under_roc, scores.tolist(), outcomes.tolist(), range(200), resamples=300)
    paired = grouped_interval(
        area_under_roc, scores.tolist(), outcomes.tolist(), [i // 50 for i in range(200)], resamples=300
    )
    assert alone.n == 200
    assert paired.n == 4
    assert alone.low is not None
    assert alone.high is not None
    assert alone.low < area_under_roc(scores, outcomes) < alone.high
    assert grouped_interval(area_under_roc, [1.0], [1.0], ["a"]).value is None
