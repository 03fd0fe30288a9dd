"""Probes: what they learn, how sure they are, and when they say nothing."""

from __future__ import annotations

import numpy as np
import pytest

from telic.readers.linear_probe import (
    choose_calibration,
    choose_threshold,
    fit_linear_probe,
)


def clouds(count: int, spread: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three classes around three points, of unequal size, in coordinates of very different scales."""
    rng = np.random.default_rng(seed)
    labels = np.repeat([0, 1, 2], [count, 2 * count, count])
    centres = np.array([[0, 0, 4, 0], [0, 0, 0, 4], [0, 0, -4, -4]], dtype=float)
    points = centres[labels] + spread * rng.standard_normal((len(labels), 4))
    return points * np.array([1, 1e-3, 100, 1]) + np.array([5, 0, 1000, 0]), labels


def test_it_finds_what_separates_whatever_the_scale() -> None:
    linear_probe = fit_linear_probe(*clouds(50, 1.0, 0), 3, 0.03)
    points, labels = clouds(50, 1.0, 1)
    assert (linear_probe.logits(points).argmax(1) == labels).mean() > 0.95
    assert linear_probe.weight_C_D.shape == (3, 4)


def test_it_is_the_minimum_of_its_loss() -> None:
    points, labels = clouds(20, 2.0, 0)
    penalty, deviation = 0.1, points.std(0)

    def loss(weight: np.ndarray, bias: np.ndarray) -> float:
        logits = points @ weight.T + bias
        each = np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1)) + logits.max(1)
        share = 1 / (np.bincount(labels)[labels] * 3)
        value = (share * (each - logits[np.arange(len(labels)), labels])).sum()
        return float(value + penalty / 2 * ((weight * deviation) ** 2).sum())

    linear_probe = fit_linear_probe(points, labels, 3, penalty)
    best = loss(linear_probe.weight_C_D, linear_probe.bias_C)
    rng = np.random.default_rng(0)
    for _ in range(20):
        step = 0.05 * rng.standard_normal((3, 4)) / deviation
        assert loss(linear_probe.weight_C_D + step, linear_probe.bias_C - step @ points.mean(0)) > best


def test_a_constant_input_is_no_division_by_zero() -> None:
    points, labels = clouds(20, 1.0, 0)
    linear_probe = fit_linear_probe(np.hstack([points, np.full((len(points), 1), 3.0)]), labels, 3, 0.03)
    assert np.isfinite(linear_probe.weight_C_D).all()


def test_the_calibration_undoes_what_makes_it_too_sure_and_too_wary() -> None:
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((20_000, 3))
    odds = np.exp(truth) / np.exp(truth).sum(1, keepdims=True)
    labels = np.array([rng.choice(3, p=row) for row in odds])
    kept = (labels != 2) | (rng.random(len(labels)) < 0.5)  # there are as many without a class as with one
    spoilt = 7 * truth + [0, 0, 5]
    temperature, shift = choose_calibration(spoilt[kept], labels[kept])
    assert temperature == pytest.approx(7, rel=0.1)
    even = np.log(np.count_nonzero(labels != 2) / np.count_nonzero(labels == 2))
    assert shift == pytest.approx(7 * even - 5, abs=0.6), "an even chance that something is told, whatever the sample"
    again = choose_calibration(spoilt, labels)
    assert again == pytest.approx((temperature, shift), abs=0.3)


def test_the_threshold_allows_the_promised_share_of_wrong_answers() -> None:
    rng = np.random.default_rng(0)
    logits = 2 * rng.standard_normal((4000, 4))
    logits[:, 3] += 1  # unknown
    odds = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = np.array([rng.choice(4, p=row) for row in odds])
    answer, confidence = odds[:, :3].argmax(1), np.where(odds.argmax(1) < 3, odds[:, :3].max(1), 0)
    before = 0.0
    for allowed in (0.2, 0.1, 0.03):
        threshold = choose_threshold(odds, labels, allowed)
        wrong = (confidence >= threshold) & (answer != labels)
        shares = [wrong[own].mean() for own in (labels == 3, labels != 3)]
        assert max(shares) <= allowed + 1e-3
        assert max(shares) == pytest.approx(allowed, abs=2e-3), "no higher than it needs to be"
        assert threshold > before
        before = threshold


def test_where_nothing_is_wrong_all_is_known_and_where_all_is_nothing_is() -> None:
    odds = np.array([[0.9, 0.0, 0.1], [0.2, 0.1, 0.7], [0.1, 0.3, 0.6]])
    assert choose_threshold(odds, np.array([0, 0, 1]), 0.03) == 0.0
    threshold = choose_threshold(odds, np.array([1, 1, 0]), 0.03)
    answered = (odds.argmax(1) < 2) & (odds[:, :2].max(1) >= threshold)
    assert answered.tolist() == [True, False, False], "one wrong answer cannot be avoided"
