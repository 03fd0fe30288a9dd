"""Training a set of readers: record texts, fit each reader, write the card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from telic.errors import UnsupportedControlError
from telic.models.base import Model
from telic.models.local import LocalModel
from telic.progress import Phase, ProgressCallback, ProgressTracker, track
from telic.readers.attributes import Attribute, Subject, find_attribute
from telic.readers.card import reader_card
from telic.readers.config import EvaluationConfig, ReaderTrainingConfig
from telic.readers.evaluation import evaluate_readers
from telic.readers.evaluation_items import load_natural_items
from telic.readers.fitting import fit_readers
from telic.readers.linear_probe import fit_linear_probe
from telic.readers.reader import ReaderSet
from telic.readers.recording import ActivationCache, require_hidden_states
from telic.readers.text_recording import RecordedTexts, pin_layers, record_texts, training_texts, value_layers
from telic.readers.token_training import EPOCHS
from telic.steering.belief import Belief
from telic.steering.directions import directions_of_probe
from telic.steering.saving import Origin, save_pretrained

__all__ = ["TrainedReaders", "fit_pins", "train_readers"]

PIN_PENALTY = 0.3
"""Penalty of the probes whose weights serve as directions."""


@dataclass(frozen=True)
class TrainedReaders:
    """Trained readers, and the control that pins their classes."""

    readers: ReaderSet
    pins: Belief

    def save(self, folder: str | Path) -> Path:
        """Write both into a folder, the pins into `pins/` in it.

        Raises:
            ConfigError: the folder cannot be written.
        """
        save_pretrained(self.pins, Path(folder) / "pins")
        return self.readers.save(folder)


def train_readers(
    model: Model,
    data: str | Path | None = None,
    *,
    config: ReaderTrainingConfig | None = None,
    cache: Path | None = None,
    progress: bool | ProgressCallback = False,
) -> TrainedReaders:
    """Train readers of a model's beliefs on the texts that come with Telic, and on conversations of one's own.

    Args:
        model: a model that runs locally.
        data: a folder with conversations in TalkTuner's format (arXiv 2406.07882): `age.jsonl`, `gender.jsonl`,
            `education.jsonl` and `socioeco.jsonl`.
        config: the settings.
        cache: a folder for the recorded activations; an interrupted training continues from it.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every step.

    Raises:
        UnsupportedControlError: the model gives no access to its hidden states.
        DataError: the conversations cannot be read.
        ConfigError: an attribute is unknown, or a class has too few texts.
    """
    model, config = _require_local(model), config or ReaderTrainingConfig()
    for name in config.attributes:
        find_attribute(name)  # refuses an unknown one before the work begins
    texts = training_texts(model, None if data is None else Path(data), config)
    store = ActivationCache(cache)
    with track(progress) as tracker:
        phases = [
            Phase("recording", "dialogues", weight=10),
            Phase("fitting", "epochs", 2 * config.seeds * EPOCHS, weight=3 * config.seeds),
            *([Phase("evaluating", "dialogues")] if config.natural else []),
        ]
        tracker.start(phases=phases)
        tracker.begin("recording")
        record_texts(model, texts, store, tracker.reach)
        tracker.begin("fitting")
        trained = _fit(model, RecordedTexts.of(model, texts, store), config, tracker)
        return _evaluate(model, trained, config, tracker) if config.natural else trained


def _evaluate(
    model: LocalModel, trained: TrainedReaders, config: ReaderTrainingConfig, tracker: ProgressTracker
) -> TrainedReaders:
    """Add the figures on natural messages to the card."""
    tracker.begin("evaluating")
    settings = EvaluationConfig(seed=config.seed, resamples=config.resamples)
    natural = evaluate_readers(model, trained.readers, load_natural_items(), settings, tracker.reach)
    return replace(trained, readers=replace(trained.readers, card={**trained.readers.card, "natural": natural}))


def _fit(
    model: LocalModel, recorded: RecordedTexts, config: ReaderTrainingConfig, tracker: ProgressTracker
) -> TrainedReaders:
    training, validation = recorded.part("train"), recorded.part("validation")
    targets = [(find_attribute(name), subject) for name in config.attributes for subject in config.subjects]
    readers = fit_readers(
        training, validation, targets, value_layers(model.layers),
        false_certainty=config.false_certainty, lured=config.lured, seed=config.seed, seeds=config.seeds,
        on_epoch=tracker.reach,
    )  # fmt: skip
    directions: dict[str, Mapping[int, torch.Tensor]] = {}
    for target in targets:
        directions |= fit_pins(training, *target, pin_layers(model.layers))
    origin = Origin.of(model)
    cards = {reader.name: reader_card(reader, validation, config) for reader in readers}
    card = {"config": config.model_dump(mode="json"), "readers": cards}
    return TrainedReaders(ReaderSet(tuple(readers), origin, card), Belief(directions, origin=origin))


def _require_local(model: Model) -> LocalModel:
    require_hidden_states(model)
    if not isinstance(model, LocalModel):
        raise UnsupportedControlError(
            f"readers are trained on a LocalModel, and {model.name!r} is a {type(model).__name__}; pass one, for "
            'example telic.load("smollm2")'
        )
    return model


def fit_pins(
    training: RecordedTexts, attribute: Attribute, subject: Subject, layers: Sequence[int]
) -> dict[str, Mapping[int, torch.Tensor]]:
    """Fit directions that move the model's belief towards a class: weights of probes on the prompt's last token.

    Returns:
        Directions by `reader/class` and layer, each as long as the states' standard deviation along it.
    """
    labels_N = training.labels(attribute, subject)
    known_N = (labels_N >= 0) & (labels_N < len(attribute.classes))
    found: list[dict[int, torch.Tensor]] = [{} for _ in attribute.classes]
    for place, layer in enumerate(layers):
        states_N_D = training.states_N_L_D[known_N, place].astype(np.float32)
        linear_probe = fit_linear_probe(states_N_D, labels_N[known_N], len(attribute.classes), PIN_PENALTY)
        for own, weight_D in zip(found, linear_probe.weight_C_D, strict=True):
            own |= directions_of_probe({layer: torch.from_numpy(weight_D)}, {layer: torch.from_numpy(states_N_D)})
    return {f"{subject}_{attribute.name}/{label}": own for label, own in zip(attribute.classes, found, strict=True)}
