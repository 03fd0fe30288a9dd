"""Readers: probes that read a model's beliefs off what it keeps of a dialogue; and sets of them, in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import softmax

from telic.errors import ConfigError, MissingExtraError, RunError
from telic.files import read_arrays, write_arrays, write_json
from telic.models.base import Model
from telic.readers.attributes import Subject
from telic.readers.linear_probe import Floats
from telic.readers.token_probe import TokenProbe
from telic.registry import suggest
from telic.steering.saving import Origin

__all__ = ["Reader", "ReaderSet", "Reading", "shipped_readers"]

CONFIG, TENSORS, CARD = "readers.json", "readers.safetensors", "card.json"
FORMAT = 3


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model believes about one attribute of the user, or of itself."""

    reader: str
    """Name of the reader, such as `user_age`."""
    probabilities: Mapping[str, float]
    """Probability of each class. What they lack to 1 is the probability that nothing tells the class."""
    threshold: float
    """Confidence below which the answer is unknown."""

    @property
    def confidence(self) -> float:
        """Probability of the most likely class."""
        return max(self.probabilities.values())

    @property
    def likeliest(self) -> str:
        """The most likely class, whatever the confidence."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def unknown(self) -> float:
        """Probability that nothing tells the class."""
        return 1 - sum(self.probabilities.values())

    @property
    def answer(self) -> str | None:
        """The most likely class; None (unknown) if it is less likely than unknown, or below the threshold."""
        return self.likeliest if self.confidence > self.unknown and self.confidence >= self.threshold else None

    def __str__(self) -> str:
        return f"{self.answer or 'unknown'} ({self.likeliest} {self.confidence:.0%})"


@dataclass(frozen=True)
class Reader:
    """A probe of the tokens of a dialogue, as the model keeps them in its key-value cache.

    The probabilities are the softmax of the probe's logits, divided by the temperature. The last one is for "unknown":
    nothing tells the class.
    """

    attribute: str
    subject: Subject
    classes: tuple[str, ...]
    layers: tuple[int, ...]
    """The layers whose values are read; 0 is the first."""
    probe: TokenProbe = field(repr=False)
    """Takes features that are not standardised; gives a logit for each class, and one for unknown."""
    temperature: float = 1.0
    threshold: float = 0.0
    """Confidence below which the answer is unknown."""

    @property
    def name(self) -> str:
        """Such as `user_age`."""
        return f"{self.subject}_{self.attribute}"

    def read(self, features_N: Sequence[Floats]) -> list[Reading]:
        """Make a reading of each dialogue, from the features of its tokens in the reader's layers: [tokens, F]."""
        probabilities_N_C = softmax(self.probe.logits(features_N) / self.temperature, axis=1)
        return [
            Reading(self.name, dict(zip(self.classes, map(float, values_C[:-1]), strict=True)), self.threshold)
            for values_C in probabilities_N_C
        ]


@dataclass(frozen=True)
class ReaderSet:
    """Readers of one model."""

    readers: tuple[Reader, ...]
    origin: Origin
    """The model that they were trained on."""
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """How good they are, as measured in training."""
    path: str | None = None
    """Where they were loaded from."""

    @cached_property
    def _by_name(self) -> dict[str, Reader]:
        return {reader.name: reader for reader in self.readers}

    def __iter__(self) -> Iterator[Reader]:
        return iter(self.readers)

    def __len__(self) -> int:
        return len(self.readers)

    def __getitem__(self, name: str) -> Reader:
        if name not in self._by_name:
            raise ConfigError(f"there is no reader {name!r}{suggest(name, list(self._by_name))}")
        return self._by_name[name]

    def only(self, names: Iterable[str]) -> ReaderSet:
        """Select readers by name.

        Raises:
            ConfigError: a name is unknown.
        """
        return replace(self, readers=tuple(self[name] for name in names))

    @property
    def layers(self) -> list[int]:
        """All layers that are read, ascending."""
        return sorted({layer for reader in self.readers for layer in reader.layers})

    def check(self, model: Model) -> None:
        """Refuse a model that the readers were not trained on.

        Raises:
            ConfigError: they were trained on another model.
        """
        self.origin.check(model, "this set of readers")

    def save(self, folder: str | Path) -> Path:
        """Write `readers.json`, `readers.safetensors` and `card.json`.

        Raises:
            ConfigError: the folder cannot be written.
        """
        folder = Path(folder)
        config = {
            "format": FORMAT,
            "telic": version("telic"),
            "model": asdict(self.origin),
            "readers": [_described(reader) for reader in self.readers],
        }
        tensors = {
            f"{reader.name}/{part}": np.ascontiguousarray(values, dtype=np.float32)
            for reader in self.readers
            for part, values in _tensors(reader.probe).items()
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write_arrays(folder / TENSORS, tensors)
            write_json(folder / CONFIG, config)
            write_json(folder / CARD, self.card)
        except (OSError, RunError) as error:
            raise ConfigError(f"cannot write readers to {str(folder)!r}: {error}") from error
        return folder

    def save_card(self, card: Mapping[str, Any]) -> Path:
        """Write another card into the folder that the readers were loaded from.

        Raises:
            ConfigError: they were not loaded from a folder of the user's, or it cannot be written.
        """
        folder = Path(self.path or "")
        if not (folder / CONFIG).is_file():
            raise ConfigError(
                f"the card of readers {self.path!r} cannot be written: they are not in a folder of yours; pass one "
                "that `telic readers train` wrote"
            )
        try:
            write_json(folder / CARD, card)
        except (OSError, RunError) as error:
            raise ConfigError(f"cannot write {str(folder / CARD)!r}: {error}") from error
        return folder / CARD

    @classmethod
    def load(cls, source: str | Path = "smollm2") -> ReaderSet:
        """Load a set: a folder, or the name of one that ships with Telic.

        Raises:
            ConfigError: there is no such set, or it is damaged.
        """
        folder = _folder(str(source))
        try:
            config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            if config["format"] != FORMAT:
                raise ConfigError(
                    f"{str(folder / CONFIG)!r} is of format {config['format']!r}, but this telic {version('telic')} "
                    f"reads {FORMAT}: install a newer one"
                )
            tensors = read_arrays(folder / TENSORS)
            readers = tuple(_restored(entry, tensors) for entry in config["readers"])
            card = json.loads((folder / CARD).read_text(encoding="utf-8")) if (folder / CARD).exists() else {}
            return cls(readers, Origin(**config["model"]), card, str(source))
        except (ConfigError, MissingExtraError):
            raise
        except Exception as error:  # of the file system, JSON, safetensors, or of the contents
            raise ConfigError(f"{str(folder)!r} holds no readers that can be loaded: {error!r}") from error


def shipped_readers() -> Path:
    """Return the folder with the sets that ship with Telic, one per model."""
    return Path(str(resources.files("telic"))) / "readers" / "data"


def _folder(source: str) -> Path:
    for folder in (Path(source), shipped_readers() / source):
        if (folder / CONFIG).is_file():
            return folder
    names = sorted(path.parent.name for path in shipped_readers().glob(f"*/{CONFIG}"))
    raise ConfigError(
        f"there are no readers {source!r}; expected a folder that `telic readers train` wrote, or one of those "
        f"that ship with Telic ({', '.join(names) or 'none'})"
    )


def _described(reader: Reader) -> dict[str, Any]:
    own = ("attribute", "subject", "classes", "layers", "temperature", "threshold")
    return {key: getattr(reader, key) for key in own}


def _tensors(probe: TokenProbe) -> dict[str, Floats]:
    return {"query": probe.query_H_F, "weight": probe.weight_H_C_F, "bias": probe.bias_C}


def _restored(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> Reader:
    name = f"{entry['subject']}_{entry['attribute']}"
    probe = TokenProbe(*(tensors[f"{name}/{part}"] for part in ("query", "weight", "bias")))
    if len(probe.bias_C) != len(entry["classes"]) + 1:
        raise ConfigError(
            f"reader {name!r} has {len(entry['classes'])} classes, but weights of {len(probe.bias_C) - 1}"
        )
    lists = {key: tuple(entry[key]) for key in ("classes", "layers")}
    return Reader(**{**entry, **lists}, probe=probe)
