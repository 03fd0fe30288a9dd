"""Fitting readers to recorded texts: temperature and threshold are chosen on the validation texts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import softmax

from telic.errors import ConfigError
from telic.readers.attributes import Attribute, Subject
from telic.readers.linear_probe import LEFT_OUT, choose_calibration, choose_threshold
from telic.readers.reader import Reader
from telic.readers.text_recording import RecordedTexts
from telic.readers.token_probe import TokenProbe
from telic.readers.token_training import LabelledFeatures, OnEpoch, fit_token_probes

__all__ = ["fit_readers"]


def fit_readers(
    training: RecordedTexts,
    validation: RecordedTexts,
    targets: Sequence[tuple[Attribute, Subject]],
    layers: Sequence[int],
    *,
    false_certainty: float,
    lured: float,
    seed: int = 0,
    seeds: int = 1,
    on_epoch: OnEpoch | None = None,
) -> list[Reader]:
    """Fit a reader of each target, with "unknown" as one more class.

    Args:
        training: texts to fit on.
        validation: texts to calibrate with.
        targets: what to read, of whom.
        layers: the recorded layers.
        false_certainty: largest share of wrong answers in validation: among texts that say the class, among texts that
            say nothing, and, of readers of the model itself, among texts that say the user's class only.
        lured: largest share of answers among the validation texts that say the class of somebody else only.
        seed: of the training.
        seeds: number of probes of each kind whose mean is a reader.
        on_epoch: called with the number of epochs done, and of all.

    Raises:
        ConfigError: a class has no text to train on, or none to validate on.
    """
    parts = {"train": _labelled(training, targets), "validation": _labelled(validation, targets)}
    for part, data in parts.items():
        for (attribute, subject), labels_N in zip(targets, data.labels_N_R.T, strict=True):
            if len(set(labels_N[labels_N != LEFT_OUT].tolist())) < len(attribute.classes) + 1:
                name = f"{subject}_{attribute.name}"
                raise ConfigError(f"some class of {name} has no text for {part}; use more (--texts)")
    classes = [len(attribute.classes) + 1 for attribute, _ in targets]
    of_user = [subject == "user" for _, subject in targets]
    probes = _fit_probes(training, targets, classes, of_user, range(seed, seed + seeds), on_epoch)
    return [
        _calibrated(attribute, subject, tuple(layers), probe, validation, false_certainty, lured)
        for (attribute, subject), probe in zip(targets, probes, strict=True)
    ]


def _calibrated(
    attribute: Attribute,
    subject: Subject,
    layers: tuple[int, ...],
    probe: TokenProbe,
    validation: RecordedTexts,
    false_certainty: float,
    lured: float,
) -> Reader:
    """Make a reader of a probe: choose its temperature, the shift of "unknown", and its threshold."""
    labels_N = validation.labels(attribute, subject)
    used_N = labels_N != LEFT_OUT
    logits_N_C = probe.logits(validation.features_N)
    temperature, shift = choose_calibration(logits_N_C[used_N], labels_N[used_N])
    probe = probe.shifted(shift)
    logits_N_C[:, -1] += shift
    probabilities_N_C = softmax(logits_N_C / temperature, axis=1)
    bounds = [(used_N, false_certainty), (used_N & validation.lured(attribute, subject), lured)]
    if subject == "self":  # readers of the user hear only the user
        bounds.append((used_N & validation.taken_over(attribute), false_certainty))
    threshold = max(choose_threshold(probabilities_N_C[own_N], labels_N[own_N], most) for own_N, most in bounds)
    return Reader(attribute.name, subject, attribute.classes, layers, probe, temperature, threshold)


def _fit_probes(
    training: RecordedTexts,
    targets: Sequence[tuple[Attribute, Subject]],
    classes: Sequence[int],
    of_user: Sequence[bool],
    seeds: Sequence[int],
    on_epoch: OnEpoch | None,
) -> list[TokenProbe]:
    """Fit probes with and without the texts about others, with several seeds, and take their mean.

    These texts make probes miss more of what is said of the user, and the mean of both is better than either.
    """
    own = training.without("others")
    kinds = [own, training] if len(own.texts) < len(training.texts) else [training]
    jobs = [(texts, seed) for seed in seeds for texts in kinds]
    fitted = []
    for done, (texts, seed) in enumerate(jobs):

        def report(epoch: int, epochs: int, done: int = done) -> None:
            if on_epoch is not None:
                on_epoch(done * epochs + epoch, len(jobs) * epochs)

        fitted.append(fit_token_probes(_labelled(texts, targets), classes, of_user, seed, report))
    return [TokenProbe.mean(probes) for probes in zip(*fitted, strict=True)]


def _labelled(texts: RecordedTexts, targets: Sequence[tuple[Attribute, Subject]]) -> LabelledFeatures:
    return LabelledFeatures(texts.features_N, np.stack([texts.labels(*target) for target in targets], axis=1))
