"""Combining evidence: a sum of log-odds per reply, calibrated against human ratings.

log-odds(satisfied) = scale · (e_t + context · (e_{t-1} + e_{t+1})) + bias, where e_t is the sum of the weights of the
evidence about reply t. A neighbour's evidence counts because one mood spans several replies. The weights of cues are
fitted, starting from the detectors' own confidences; feedback that a user gave and events that were reported have no
fitted weight, and count with their confidence. `card` says on what and how well the weights were fitted.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from telic.episodes import Feedback
from telic.errors import DataError

__all__ = ["OBSERVED", "Combination", "prior_log_odds", "weight_name"]

OBSERVED = frozenset({"content"})
"""Sources that tell how satisfied users are and never count as a reward, because no user gave them."""
DIGITS = 6
"""Decimals of a confidence, so that evidence which is calibrated again stays the same."""
MAX_CONFIDENCE = 0.98
"""No single piece of evidence is surer than this."""


def weight_name(feedback: Feedback) -> str:
    """Return the name of a piece of evidence in the weights: `praise.thanks`."""
    return f"{feedback.source}.{feedback.cue}" if feedback.cue else feedback.source


def prior_log_odds(feedback: Feedback) -> float:
    """Return what a piece of evidence adds to the log-odds by its own confidence, without any fit."""
    confidence = min(max(feedback.confidence, 0.5), MAX_CONFIDENCE)
    if feedback.reward == 0:
        return 0.0
    return math.copysign(math.log(confidence / (1 - confidence)), feedback.reward)


@dataclass(frozen=True)
class Combination:
    """Weights of evidence, and their calibration."""

    weights: Mapping[str, float]
    """Log-odds by name; evidence without one counts with its confidence."""
    scale: float = 1.0
    bias: float = 0.0
    """Log-odds of a satisfied user without any evidence."""
    context: float = 0.3
    """How much the evidence about the replies before and after counts."""
    card: Mapping[str, Any] = field(default_factory=dict)
    """On what the weights were fitted, and how good they are."""

    @classmethod
    def bundled(cls) -> Combination:
        """Return the weights that come with Telic."""
        return _bundled()

    @classmethod
    def load(cls, path: str | Path) -> Combination:
        """Read weights from a file.

        Raises:
            DataError: it cannot be read, or holds no weights.
        """
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except OSError as error:
            raise DataError(f"cannot read the weights {str(path)!r}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DataError(
                f"{path}: not a file of weights: {error}; `python -m benchmarks.feedback` writes one"
            ) from None

    @classmethod
    def from_json(cls, text: str) -> Combination:
        """Read weights from JSON."""
        data = json.loads(text)
        weights = {str(name): float(value) for name, value in data["weights"].items()}
        numbers = {name: float(data[name]) for name in ("scale", "bias", "context")}
        return cls(weights, card=data.get("card", {}), **numbers)

    def to_json(self) -> str:
        """Write the weights as JSON."""
        weights = {name: round(value, 3) for name, value in sorted(self.weights.items())}
        numbers = {"scale": round(self.scale, 3), "bias": round(self.bias, 3), "context": round(self.context, 3)}
        return json.dumps({**numbers, "weights": weights, "card": dict(self.card)}, indent=2) + "\n"

    def log_odds(self, feedback: Feedback) -> float:
        """Return what a piece of evidence adds to the log-odds of a satisfied user."""
        weight = self.weights.get(weight_name(feedback))
        return prior_log_odds(feedback) if weight is None else weight

    def calibrated(self, feedback: Feedback) -> Feedback:
        """Return a piece of evidence with the confidence, and if need be the sign, that its weight says."""
        odds = self.log_odds(feedback)
        reward = math.copysign(feedback.reward, odds) if odds else 0.0
        # Both stay in their ranges, so nothing has to be checked again.
        return feedback.model_copy(update={"reward": reward, "confidence": round(sigmoid(abs(odds)), DIGITS)})

    def evidence(self, found: Sequence[Feedback]) -> float:
        """Return the log-odds of the evidence about one reply."""
        return math.fsum(self.log_odds(one) for one in found)

    def satisfaction(self, evidence: Sequence[float]) -> list[float]:
        """Return the probability that the user is satisfied with each reply, from the log-odds of each in order."""
        padded = [0.0, *evidence, 0.0]
        return [
            sigmoid(self.bias + self.scale * (own + self.context * (padded[index] + padded[index + 2])))
            for index, own in enumerate(evidence)
        ]

    def reward(self, found: Sequence[Feedback]) -> float:
        """Return the reward of a reply in [-1, 1]: 0 without evidence from the user; see `OBSERVED`."""
        own = math.fsum(self.log_odds(one) for one in found if one.source not in OBSERVED)
        return math.tanh(self.scale * own / 2)


def sigmoid(x: float) -> float:
    """Return the logistic function, without overflow."""
    return 1 / (1 + math.exp(-x)) if x >= 0 else (e := math.exp(x)) / (1 + e)


@cache
def _bundled() -> Combination:
    return Combination.from_json((resources.files("telic.feedback") / "data" / "weights.json").read_text("utf-8"))
