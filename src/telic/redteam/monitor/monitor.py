"""A trajectory monitor: a linear classifier of each turn, whose evidence a leaky sum carries through the dialogue.

`c_t = decay c_{t-1} + w x_t + b` and `p_t = sigmoid(scale c_t + offset)`: a recurrent network with one linear unit. It
reads the state that the model has anyway before it replies, so a turn costs microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from telic.errors import ConfigError, MissingExtraError, RunError, TelicError
from telic.files import read_arrays, read_json, write_arrays, write_atomically, write_json
from telic.models import Model
from telic.redteam.monitor.features import FeatureKind, Floats
from telic.steering.saving import Origin

__all__ = ["TrajectoryMonitor", "load_monitor", "save_monitor"]

CONFIG, TENSORS, CARD = "config.json", "monitor.safetensors", "README.md"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class TrajectoryMonitor:
    """Tells from the turns of a dialogue whether an attack is under way."""

    features: FeatureKind
    weight_D: Floats
    bias: float
    decay: float
    """How much of the evidence of a turn is left in the next one, in [0, 1)."""
    scale: float
    offset: float
    """With `scale`, calibrates the probability (Platt 1999)."""
    threshold: float
    """Probability from which it alarms."""
    origin: Origin | None = None
    """The model whose states it reads; None for text features."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, and its scores."""

    def step(self, evidence: float, features_D: Floats) -> tuple[float, float]:
        """Take in a turn.

        Args:
            evidence: after the turn before; 0 at the beginning.
            features_D: the turn's features, [D].

        Returns:
            The evidence after it, and the probability of an attack.
        """
        evidence = self.decay * evidence + float(features_D @ self.weight_D) + self.bias
        return evidence, self.probability(evidence)

    def probability(self, evidence: float) -> float:
        """Return the probability of an attack, given the evidence so far."""
        return float(expit(self.scale * evidence + self.offset))

    def probabilities(self, features_T_D: Sequence[Floats]) -> list[float]:
        """Return the probability after each turn of a dialogue."""
        found, evidence = [], 0.0
        for features_D in features_T_D:
            evidence, probability = self.step(evidence, features_D)
            found.append(probability)
        return found

    def stop(self, features_T_D: Sequence[Floats], threshold: float | None = None) -> int | None:
        """Return the first turn in which it alarms, from 1; None if it never does."""
        least = self.threshold if threshold is None else threshold
        probabilities = self.probabilities(features_T_D)
        return next((turn for turn, one in enumerate(probabilities, 1) if one >= least), None)

    def check(self, model: Model) -> None:
        """Refuse a model whose states it was not trained on.

        Raises:
            ConfigError: the model is another one.
        """
        if self.origin is not None:
            self.origin.check(model, "the monitor")


def save_monitor(monitor: TrajectoryMonitor, folder: str | Path) -> Path:
    """Write a monitor into a folder: `config.json`, `monitor.safetensors` and a card.

    Raises:
        ConfigError: the folder cannot be written.
    """
    folder = Path(folder)
    named = ("features", "bias", "decay", "scale", "offset", "threshold")
    config = {
        "format": FORMAT,
        "telic": version("telic"),
        **{name: getattr(monitor, name) for name in named},
        "model": asdict(monitor.origin) if monitor.origin else None,
        "figures": dict(monitor.figures),
    }
    try:
        write_arrays(folder / TENSORS, {"weight": np.ascontiguousarray(monitor.weight_D, np.float32)})
        write_json(folder / CONFIG, config)
        write_atomically(folder / CARD, _CARD.format(figures=json.dumps(dict(monitor.figures), indent=2)))
    except (OSError, RunError) as error:
        raise ConfigError(f"cannot write the monitor to {str(folder)!r}: {error}") from error
    return folder


def load_monitor(folder: str | Path) -> TrajectoryMonitor:
    """Read a monitor from its folder.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"there is no monitor in {str(folder)!r}; train one with: telic attack PURPOSE --train-monitor"
        )
    try:
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT:
            raise ConfigError(f"{str(folder / CONFIG)!r} has format {config['format']!r}; install a newer telic")
        names = ("features", "bias", "decay", "scale", "offset", "threshold", "figures")
        weight_D = read_arrays(folder / TENSORS, ["weight"])["weight"]
        origin = Origin(**config["model"]) if config["model"] else None
        return TrajectoryMonitor(weight_D=weight_D, origin=origin, **{name: config[name] for name in names})
    except MissingExtraError:
        raise
    except (TelicError, KeyError, TypeError) as error:
        raise ConfigError(f"{str(folder)!r} holds no monitor that can be read: {error}") from error


_CARD = """---
library_name: telic
tags:
- telic
- monitor
---

# A trajectory monitor

It tells from the turns of a dialogue whether an attack is under way. In a purpose file:

```toml
[[defences]]
name = "monitor"
path = "this folder"
action = "end"
```

```json
{figures}
```
"""
