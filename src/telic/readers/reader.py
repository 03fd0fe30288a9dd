"""Readers: what a model believes, read off its hidden state by a linear probe; and sets of them, in a folder."""

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

from telic.errors import ConfigError, MissingExtraError
from telic.models.base import Model
from telic.readers.attributes import Subject
from telic.readers.probe import Fit, Floats
from telic.registry import suggest
from telic.steering.saving import Origin

__all__ = ["Reader", "ReaderSet", "Reading", "shipped"]

CONFIG, TENSORS, CARD = "readers.json", "readers.safetensors", "card.json"
FORMAT = 1


@dataclass(frozen=True, slots=True)
class Reading:
    """What the model takes somebody to be."""

    reader: str
    """Name of the reader, such as `user_age`."""
    probabilities: Mapping[str, float]
    """Of each class."""
    threshold: float
    """Confidence below which it is unknown."""

    @property
    def confidence(self) -> float:
        """Probability of the most likely class."""
        return max(self.probabilities.values())

    @property
    def likeliest(self) -> str:
        """The most likely class, however unlikely that is."""
        return max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def answer(self) -> str | None:
        """The class; None is unknown: there is too little to tell."""
        return self.likeliest if self.confidence >= self.threshold else None

    def __str__(self) -> str:
        return f"{self.answer or 'unknown'} ({self.likeliest} {self.confidence:.0%})"


@dataclass(frozen=True)
class Reader:
    """A linear probe on the residual stream at the last token of a few words that are put into the model's mouth.

    Of the state `h` after a layer, the probabilities are `softmax((W h + b) / temperature)`.
    """

    attribute: str
    subject: Subject
    classes: tuple[str, ...]
    suffix: str
    """The words, with which the model's reply starts."""
    layer: int
    """After which the state is read; 0 is the first block's output."""
    probe: Fit = field(repr=False)
    """[classes, hidden], on states as they come."""
    temperature: float = 1.0
    threshold: float = 0.0
    """Confidence below which the answer is unknown."""

    @property
    def name(self) -> str:
        """Such as `user_age`."""
        return f"{self.subject}_{self.attribute}"

    def logits(self, states_N_D: Floats) -> Floats:
        """[N, classes], before the temperature."""
        return self.probe.logits(states_N_D)

    def read(self, states_N_D: Floats) -> list[Reading]:
        """One reading for each state."""
        rows = softmax(self.logits(states_N_D) / self.temperature, axis=1)
        return [
            Reading(self.name, dict(zip(self.classes, map(float, row), strict=True)), self.threshold) for row in rows
        ]


@dataclass(frozen=True)
class ReaderSet:
    """Readers of one model."""

    readers: tuple[Reader, ...]
    origin: Origin
    """The model that they were trained on."""
    card: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """How good they are, as measured when they were trained."""
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
        """Some of them.

        Raises:
            ConfigError: there is none of a name.
        """
        return replace(self, readers=tuple(self[name] for name in names))

    @property
    def layers(self) -> list[int]:
        """All layers that they read, ascending."""
        return sorted({reader.layer for reader in self.readers})

    @property
    def suffixes(self) -> list[str]:
        """All words that they put into the model's mouth."""
        return list(dict.fromkeys(reader.suffix for reader in self.readers))

    def check(self, model: Model) -> None:
        """Refuse a model that they were not trained on.

        Raises:
            ConfigError: it is another model.
        """
        self.origin.check(model, "this set of readers")

    def save(self, folder: str | Path) -> Path:
        """Write them: `readers.json`, `readers.safetensors` and `card.json`.

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
            for part, values in (("weight", reader.probe.weight_C_D), ("bias", reader.probe.bias_C))
        }
        try:
            folder.mkdir(parents=True, exist_ok=True)
            _safetensors().save_file(tensors, folder / TENSORS)
            _write_json(folder / CONFIG, config)
            _write_json(folder / CARD, self.card)
        except OSError as error:
            raise ConfigError(f"cannot write readers to {str(folder)!r}: {error}") from error
        return folder

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
            tensors = _safetensors().load_file(folder / TENSORS)
            readers = tuple(_restored(entry, tensors) for entry in config["readers"])
            card = json.loads((folder / CARD).read_text(encoding="utf-8")) if (folder / CARD).exists() else {}
            return cls(readers, Origin(**config["model"]), card, str(source))
        except ConfigError:
            raise
        except Exception as error:  # of the file system, of JSON, of safetensors, of what is in them
            raise ConfigError(f"{str(folder)!r} holds no readers that can be read: {error!r}") from error


def shipped() -> Path:
    """The folder of the sets that ship with Telic, one for each model."""
    return Path(str(resources.files("telic"))) / "readers" / "data"


def _folder(source: str) -> Path:
    for folder in (Path(source), shipped() / source):
        if (folder / CONFIG).is_file():
            return folder
    names = sorted(path.parent.name for path in shipped().glob(f"*/{CONFIG}"))
    raise ConfigError(
        f"there are no readers {source!r}; expected a folder written by `telic readers train`, or one of those that "
        f"ship with Telic ({', '.join(names) or 'none'})"
    )


def _described(reader: Reader) -> dict[str, Any]:
    own = ("attribute", "subject", "classes", "suffix", "layer", "temperature", "threshold")
    return {key: getattr(reader, key) for key in own}


def _restored(entry: Mapping[str, Any], tensors: Mapping[str, Any]) -> Reader:
    name = f"{entry['subject']}_{entry['attribute']}"
    probe = Fit(tensors[f"{name}/weight"], tensors[f"{name}/bias"])
    if probe.weight_C_D.shape[0] != len(entry["classes"]):
        raise ConfigError(f"reader {name!r} has {len(entry['classes'])} classes and weights of another number")
    return Reader(**{**entry, "classes": tuple(entry["classes"])}, probe=probe)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("a set of readers", "local") from None
    return safetensors.numpy
