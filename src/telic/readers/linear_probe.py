"""Linear probes of hidden states: multinomial logistic regression, its calibration, and its confidence threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize
from scipy.special import log_softmax

__all__ = [
    "LEAST_DEVIATION",
    "LEFT_OUT",
    "Floats",
    "Labels",
    "LinearProbe",
    "choose_calibration",
    "choose_threshold",
    "fit_linear_probe",
    "log_loss",
]

LEAST_DEVIATION = 0.1
"""Least deviation of an input relative to its mean. Some inputs are always large, and bfloat16 rounds them by 0.4 %,
differently with every size of a batch; they would count for more than what they tell."""
COMPONENTS = 320
"""Leading components of the standardised inputs that a probe may use. There are fewer texts than inputs, and fitting
takes a tenth of the time."""

Floats = npt.NDArray[np.floating]
Labels = npt.NDArray[np.intp]

LEFT_OUT = -1
"""The label of an input that is neither trained nor tested on."""


@dataclass(frozen=True, slots=True)
class LinearProbe:
    """A linear classifier of hidden states. Its weights include the standardisation of the training inputs."""

    weight_C_D: Floats
    bias_C: Floats

    def logits(self, inputs_N_D: Floats) -> Floats:
        """Compute the logits, [N, C]."""
        return inputs_N_D @ self.weight_C_D.T + self.bias_C


def fit_linear_probe(inputs_N_D: Floats, labels_N: Labels, classes: int, penalty: float) -> LinearProbe:
    """Fit a probe by L-BFGS: mean log-loss + penalty / 2 * |W|^2, all classes with the same weight.

    Of wide inputs, only the leading components are used, see `COMPONENTS`.
    """
    mean_D = inputs_N_D.mean(0)
    deviation_D = np.maximum(inputs_N_D.std(0), LEAST_DEVIATION * np.abs(mean_D))
    deviation_D = np.where(deviation_D > 1e-6 * max(float(deviation_D.max()), 1e-30), deviation_D, 1.0)
    standard_N_D = ((inputs_N_D - mean_D) / deviation_D).astype(np.float32)
    basis_D_K = _leading(standard_N_D)
    weight_C_K, bias_C = _solve(standard_N_D @ basis_D_K, labels_N, classes, penalty)
    weight_C_D = weight_C_K @ basis_D_K.T / deviation_D
    return LinearProbe(weight_C_D, bias_C - weight_C_D @ mean_D)


def _leading(standard_N_D: Floats) -> Floats:
    """Find a basis of the leading components by a random projection (Halko et al. 2011, arXiv 0909.4061)."""
    width = standard_N_D.shape[1]
    if width <= COMPONENTS:
        return np.eye(width, dtype=np.float32)
    random_D_K = np.random.default_rng(0).standard_normal((width, COMPONENTS)).astype(np.float32)
    basis_D_K: Floats = np.linalg.qr(standard_N_D.T @ (standard_N_D @ random_D_K))[0]
    return basis_D_K


def _solve(inputs_N_K: Floats, labels_N: Labels, classes: int, penalty: float) -> tuple[Floats, Floats]:
    counts_C = np.bincount(labels_N, minlength=classes)
    share_N_1 = 1 / (counts_C[labels_N] * np.count_nonzero(counts_C))[:, None]
    target_N_C = np.eye(classes)[labels_N]
    shape = (classes, inputs_N_K.shape[1] + 1)

    def loss(flat: Floats) -> tuple[float, Floats]:
        weight_C_K, bias_C = np.split(flat.reshape(shape), [shape[1] - 1], axis=1)
        log_N_C = log_softmax(inputs_N_K @ weight_C_K.T.astype(inputs_N_K.dtype) + bias_C.T, axis=1)
        error_N_C = share_N_1 * (np.exp(log_N_C) - target_N_C)
        slope_C_K = error_N_C.astype(inputs_N_K.dtype).T @ inputs_N_K + penalty * weight_C_K
        value = -(share_N_1 * target_N_C * log_N_C).sum() + penalty / 2 * (weight_C_K**2).sum()
        return float(value), np.hstack([slope_C_K, error_N_C.sum(0)[:, None]]).ravel()

    solved = minimize(loss, np.zeros(shape[0] * shape[1]), jac=True, method="L-BFGS-B", options={"maxiter": 200})
    weight_C_K, bias_C_1 = np.split(solved.x.reshape(shape), [shape[1] - 1], axis=1)
    return weight_C_K, bias_C_1[:, 0]


def log_loss(logits_N_C: Floats, labels_N: Labels, temperature: float = 1.0) -> float:
    """Compute the mean negative log-likelihood of the labels, in nats."""
    return float(-log_softmax(logits_N_C / temperature, axis=1)[np.arange(len(labels_N)), labels_N].mean())


def choose_calibration(logits_N_C: Floats, labels_N: Labels) -> tuple[float, float]:
    """Choose the temperature that calibrates the probabilities, and the shift of the last logit, "unknown".

    Temperature scaling (Guo et al. 2017, arXiv 1706.04599) with one more parameter. The inputs with a class and those
    without one weigh the same in sum, however many there are of each: an even chance that something is told.

    Returns:
        The temperature, and what to add to the last logit before the division by it.
    """
    unknown = logits_N_C.shape[1] - 1
    told_N = labels_N != unknown
    told = max(int(np.count_nonzero(told_N)), 1)
    share_N = np.where(told_N, 1 / told, 1 / max(len(labels_N) - told, 1))
    last_C = np.eye(unknown + 1)[unknown]

    def loss(values: Floats) -> float:
        scaled_N_C = (logits_N_C + values[1] * last_C) / np.exp(values[0])
        return float(-(share_N * log_softmax(scaled_N_C, axis=1)[np.arange(len(labels_N)), labels_N]).sum())

    found = minimize(loss, np.zeros(2), bounds=[(-3.0, 4.0), (-50.0, 50.0)])
    return float(np.exp(found.x[0])), float(found.x[1])


def choose_threshold(probabilities_N_C: Floats, labels_N: Labels, false_certainty: float) -> float:
    """Choose the lowest confidence from which on few answers are wrong.

    Confidence is the largest probability of a class other than the last, which is "unknown". At the threshold, about a
    share `false_certainty` of the inputs with a class gets a wrong answer, and the same share of those without one gets
    an answer at all. An input whose likeliest class is "unknown" gets none, whatever the threshold. At least one error
    of each kind is allowed, since fewer could not be told from chance. If no confidence will do, the threshold is 1,
    and nearly every reading is unknown.
    """
    unknown = probabilities_N_C.shape[1] - 1
    confidence_N, answer_N = probabilities_N_C[:, :-1].max(1), probabilities_N_C[:, :-1].argmax(1)
    confidence_N = np.where(confidence_N > probabilities_N_C[:, -1], confidence_N, 0.0)
    lowest = 0.0
    for own_N in (labels_N == unknown, labels_N != unknown):
        wrong = np.sort(confidence_N[own_N & (answer_N != labels_N)])[::-1]
        most = max(round(false_certainty * np.count_nonzero(own_N)), 1)
        if len(wrong) > most and wrong[most] > 0:
            lowest = max(lowest, float(np.nextafter(wrong[most], 2.0)))
    return min(lowest, 1.0)
