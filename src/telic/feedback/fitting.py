"""Fitting the weights of evidence to human ratings, and calibrating the result.

The fit is logistic regression with soft targets and an intercept for each corpus. It is drawn towards the detectors'
own confidences (a Gaussian prior), because the rated sets are small: a cue that they hardly have keeps its prior. The
calibration (Platt 1999) is fitted on predictions for groups that the weights were not fitted on.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import expit

from telic.episodes import Feedback
from telic.errors import DataError
from telic.feedback.combination import Combination, prior_log_odds, weight_name

__all__ = ["RatedExample", "fit_combination"]

PRIOR_STRENGTH = 100.0
"""Precision of the prior of each weight. Chosen on the tuning parts: weaker priors fitted one corpus and lost on the
others, none gained anywhere on dialogues that the fit had not seen."""
FOLDS = 5

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RatedExample:
    """The evidence about a reply, or a dialogue, and how satisfied people were with it."""

    evidence: Sequence[tuple[float, Feedback]]
    """Each piece with its share: 1 for the reply itself, less for others."""
    satisfaction: float
    """In [0, 1]; 0.5 is neither satisfied nor dissatisfied."""
    group: Hashable
    """Examples of one group, such as a dialogue, are never on both sides of the cross-validation."""
    corpus: str = ""
    """Corpora may differ in how satisfied people are on the whole."""
    weight: float = 1.0
    """How much the example counts in the fit."""


def fit_combination(
    rated: Sequence[RatedExample], calibrate_on: str = "", context: float = 0.3, seed: int = 0
) -> Combination:
    """Fit weights and calibration.

    Args:
        rated: rated examples of the tuning parts.
        calibrate_on: the corpus whose ratings the probabilities should match.
        context: how much the evidence about neighbouring replies counts, as in the examples.
        seed: of the folds.

    Raises:
        DataError: there are too few examples to calibrate on.
    """
    priors = {weight_name(one): prior_log_odds(one) for example in rated for _, one in example.evidence}
    names = sorted(priors)
    prior_K = np.array([priors[name] for name in names])
    design = _Design.of(rated, names)
    held_out_N = np.full(len(rated), np.nan)
    for test_N in _folds([example.group for example in rated], seed):
        weights_K, _ = _fit(design.part(~test_N), prior_K)
        held_out_N[test_N] = design.features_N_K[test_N] @ weights_K
    decided_N = np.array([one.corpus == calibrate_on and one.satisfaction != 0.5 for one in rated])
    if decided_N.sum() < 20:
        raise DataError(
            f"{decided_N.sum()} examples of {calibrate_on!r} have a rating; expected at least 20 to calibrate on"
        )
    outcomes_N = (design.target_N[decided_N] > 0.5).astype(float)
    ones = np.ones(len(outcomes_N))
    platt = _Design(held_out_N[decided_N, None], outcomes_N, ones, np.zeros(len(ones), int))
    scale_1, bias_1 = _fit(platt, np.ones(1), strength=0.0)
    weights_K, _ = _fit(design, prior_K)
    weights = dict(zip(names, weights_K.tolist(), strict=True))
    return Combination(weights, float(scale_1[0]), float(bias_1[0]), context)


@dataclass(frozen=True)
class _Design:
    """Features, targets, weights of the examples, and the number of each example's corpus."""

    features_N_K: Floats
    target_N: Floats
    weight_N: Floats
    corpus_N: npt.NDArray[np.int_]

    @classmethod
    def of(cls, rated: Sequence[RatedExample], names: Sequence[str]) -> _Design:
        columns = {name: column for column, name in enumerate(names)}
        features_N_K = np.zeros((len(rated), len(names)))
        for row_K, example in zip(features_N_K, rated, strict=True):
            for share, one in example.evidence:
                row_K[columns[weight_name(one)]] += share
        numbers: defaultdict[str, int] = defaultdict(lambda: len(numbers))
        return cls(
            features_N_K,
            np.array([example.satisfaction for example in rated]),
            np.array([example.weight for example in rated]),
            np.array([numbers[example.corpus] for example in rated]),
        )

    def part(self, rows_N: npt.NDArray[np.bool_]) -> _Design:
        return _Design(self.features_N_K[rows_N], self.target_N[rows_N], self.weight_N[rows_N], self.corpus_N[rows_N])


def _folds(groups: Sequence[Hashable], seed: int) -> list[npt.NDArray[np.bool_]]:
    names = list(dict.fromkeys(groups))
    fold_of = dict(zip(names, np.random.default_rng(seed).permutation(len(names)) % FOLDS, strict=True))
    folds_N = np.array([fold_of[group] for group in groups])
    return [folds_N == fold for fold in range(FOLDS)]


def _fit(design: _Design, prior_K: Floats, strength: float = PRIOR_STRENGTH) -> tuple[Floats, Floats]:
    """Fit a logistic regression with a Gaussian prior on its weights, and none on the corpora's intercepts."""
    corpora = int(design.corpus_N.max(initial=0)) + 1

    def loss(parameters: Floats) -> tuple[float, Floats]:
        bias_C, weights_K = parameters[:corpora], parameters[corpora:]
        logits_N = design.features_N_K @ weights_K + bias_C[design.corpus_N]
        apart_K = weights_K - prior_K
        losses_N = np.logaddexp(0, logits_N) - design.target_N * logits_N
        error_N = design.weight_N * (expit(logits_N) - design.target_N)
        slope_C = np.bincount(design.corpus_N, error_N, corpora)
        slope_K = design.features_N_K.T @ error_N + strength * apart_K
        value = np.dot(design.weight_N, losses_N) + 0.5 * strength * np.sum(apart_K**2)
        return float(value), np.concatenate([slope_C, slope_K])

    found = minimize(loss, np.concatenate([np.zeros(corpora), prior_K]), jac=True, method="L-BFGS-B").x
    return found[corpora:], found[:corpora]
