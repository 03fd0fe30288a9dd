"""Fitting a reader to recorded texts: layers, penalty, temperature and threshold are chosen on the validation texts."""

from __future__ import annotations

from collections.abc import Sequence

from scipy.special import softmax

from telic.errors import ConfigError
from telic.readers.attributes import Attribute, Subject
from telic.readers.linear_probe import (
    LEFT_OUT,
    Floats,
    Labels,
    choose_penalty,
    choose_temperature,
    choose_threshold,
)
from telic.readers.reader import Reader
from telic.readers.text_recording import Place, RecordedTexts

__all__ = ["fit_reader", "layer_choices"]


def layer_choices(layers: Sequence[int]) -> list[tuple[int, ...]]:
    """List the sets of layers to choose from: the middle half of those recorded, and all."""
    quarter = len(layers) // 4
    middle = tuple(layers[quarter : quarter + max(len(layers) // 2, 1)])
    return list(dict.fromkeys((middle, tuple(layers))))


def fit_reader(
    training: RecordedTexts,
    validation: RecordedTexts,
    attribute: Attribute,
    subject: Subject,
    place: Place,
    false_certainty: float,
) -> tuple[Reader, float]:
    """Fit a reader, with "unknown" as one more class.

    Args:
        training: texts to fit on.
        validation: texts to choose and calibrate with.
        attribute: what it reads.
        subject: of whom.
        place: where it reads.
        false_certainty: largest share of wrong answers in validation, both among texts that say the class and among
            texts that say nothing.

    Returns:
        The reader, and the chosen penalty.

    Raises:
        ConfigError: a class has no text to train on, or none to validate on.
    """
    name, classes = f"{subject}_{attribute.name}", len(attribute.classes)
    parts = {"train": training, "validation": validation}
    labels = {part: own.labels(attribute, subject) for part, own in parts.items()}
    for part, own in labels.items():
        if len(set(own[own != LEFT_OUT].tolist())) < classes + 1:
            raise ConfigError(f"some class of {name} has no text for {part}; use more (--texts)")
    tried = []
    for layers in layer_choices(training.layers):
        data = [_usable(parts[part].states(name, layers), labels[part]) for part in ("train", "validation")]
        tried.append((*choose_penalty(data[0], data[1], classes + 1), layers))
    _, penalty, linear_probe, layers = min(tried, key=lambda one: one[0])
    states_N_D, labels_N = _usable(validation.states(name, layers), labels["validation"])
    logits_N_C = linear_probe.logits(states_N_D)
    temperature = choose_temperature(logits_N_C, labels_N)
    threshold = choose_threshold(softmax(logits_N_C / temperature, axis=1), labels_N, false_certainty)
    reader = Reader(
        attribute.name, subject, attribute.classes, place.prefix, layers, linear_probe, temperature, threshold,
        place.back,
    )  # fmt: skip
    return reader, penalty


def _usable(states_N_D: Floats, labels_N: Labels) -> tuple[Floats, Labels]:
    use_N = labels_N != LEFT_OUT
    return states_N_D[use_N], labels_N[use_N]
