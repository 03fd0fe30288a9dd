"""Readers: linear probes that read a model's beliefs off its hidden states; and sets of them, in a folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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
from telic.readers.linear_probe import Floats, LinearProbe
from telic.registry import suggest
from telic.steering.saving import Origin

__all__ = ["Reader", "ReaderSet", "Reading", "shipped_readers"]

CONFIG, TENSORS, CARD = "readers.json", "readers.safetensors", "card.json"
FORMAT = 2


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
    def answer(self) -> str | None:
        """The most likely class; None (unknown) if the confidence is below the threshold."""
        return self.likeliest if self.confidence >= self.threshold else None

    def __str__(self) -> str:
        return f"{self.answer or 'unknown'} ({self.likeliest} {self.confidence:.0%})"


@dataclass(frozen=True)
class Reader:
    """A linear probe on the residual stream at a token of a suffix, with which the reply is made to begin.

    With the states `h` after some layers, joined, the probabilities are `softmax((W h + b) / temperature)`. The last
    row is for "unknown": nothing tells the class.
    """

    attribute: str
    subject: Subject
    classes: tuple[str, ...]
    suffix: str
    """The words with which the model's reply is made to begin."""
    layers: tuple[int, ...]
    """The layers after which the state is read; 0 is the first block's output."""
    linear_probe: LinearProbe = field(repr=False)
    """Takes states that are not standardised; a row for each class, and one for unknown."""
    temperature: float = 1.0
    threshold: float = 0.0
    """Confidence below which the answer is unknown."""
    back: int = 0
    """The token that is read, counted back from the suffix's last one."""

    @property
    def name(self) -> str:
        """Such as `user_age`."""
        return f"{self.subject}_{self.attribute}"

    def logits(self, states_N_L_D: Floats) -> Floats:
        """Compute the logits before the temperature, [N, classes + 1], of states after the reader's layers."""
        return self.linear_probe.logits(states_N_L_D.reshape(len(states_N_L_D), -1))

    def read(self, states_N_L_D: Floats) -> list[Reading]:
        """Make a reading of the states of each dialogue after the reader's layers."""
        probabilities_N_C = softmax(self.logits(states_N_L_D) / self.temperature, axis=1)
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
            for part, values in (("weight", reader.linear_probe.weight_C_D), ("bias", reader.linear_probe.bias_C))
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
    own = ("attribute", "subject", "classes", "suffix", "layers", "temperature", "threshold", "back")
    return {key: getattr(reader, key) for key in own}


def _restored(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> Reader:
    name = f"{entry['subject']}_{entry['attribute']}"
    linear_probe = LinearProbe(tensors[f"{name}/weight"], tensors[f"{name}/bias"])
    if len(linear_probe.weight_C_D) != len(entry["classes"]) + 1:
        raise ConfigError(
            f"reader {name!r} has {len(entry['classes'])} classes, but weights of {len(linear_probe.weight_C_D) - 1}"
        )
    lists = {key: tuple(entry[key]) for key in ("classes", "layers")}
    return Reader(**{**entry, **lists}, linear_probe=linear_probe)
