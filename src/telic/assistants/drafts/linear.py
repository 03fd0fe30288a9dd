"""A logistic model over named features: a sum of weights that can be shown, word by word."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

__all__ = ["LinearModel"]


@dataclass(frozen=True, slots=True)
class LinearModel:
    """The probability that something holds: `1 / (1 + exp(-(bias + sum of weight x strength)))`."""

    weights: Mapping[str, float]
    bias: float = 0.0
    threshold: float = 0.5
    """From which probability it holds."""

    @classmethod
    def shipped(cls, name: str) -> LinearModel:
        """Read a model that is part of Telic."""
        text = files("telic").joinpath("data", "mail", f"{name}.json").read_text(encoding="utf-8")
        data = json.loads(text)
        return cls(data["weights"], data["bias"], data["threshold"])

    def probability(self, features: Mapping[str, float]) -> float:
        """Return how probable it is; features without a weight count for nothing."""
        total = self.bias + sum(self.weights.get(name, 0.0) * value for name, value in features.items())
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))

    def reasons(self, features: Mapping[str, float], most: int = 3) -> list[str]:
        """Return the features that speak most for it, the strongest first."""
        gains = {name: self.weights.get(name, 0.0) * value for name, value in features.items()}
        ranked = sorted((name for name in gains if gains[name] > 0), key=lambda name: -gains[name])
        return ranked[:most]
