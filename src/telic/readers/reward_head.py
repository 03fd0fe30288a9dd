"""A reward head: reads off the model's state at the end of a reply whether the user will be satisfied with it.

It is a linear classifier. The pass that writes the reply yields the state, so that scoring costs nothing, and the best
of several replies can be said instead of the first one. `telic.learners.reward_head` trains it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy.special import expit

from telic.errors import ConfigError, MissingExtraError, RunError, TelicError
from telic.files import read_arrays, read_json, write_arrays, write_json
from telic.models import Model, Reply
from telic.readers.linear_probe import Floats
from telic.steering.saving import Origin

__all__ = ["RewardHead", "load_reward_head", "save_reward_head"]

CONFIG, TENSORS = "config.json", "reward_head.safetensors"
FORMAT = 1


@dataclass(frozen=True, eq=False)
class RewardHead:
    """Predicts the probability that a user is satisfied with a reply."""

    weight_D: Floats
    bias: float
    origin: Origin
    """The model whose states it reads."""
    figures: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained, and its scores on held-out users."""

    def score(self, states_N_D: Floats) -> Floats:
        """Return the probability of satisfaction for each state, [N]."""
        scores_N: Floats = expit(states_N_D @ self.weight_D + self.bias)
        return scores_N

    def best(self, replies: Sequence[Reply]) -> Reply:
        """Return the reply with the highest score: the first of equal ones, or the first of all if all failed."""
        usable = [reply for reply in replies if reply.failure is None and reply.text and reply.reply_state is not None]
        if not usable:
            return replies[0]
        scores_N = self.score(np.stack([reply.reply_state for reply in usable]))
        return usable[int(scores_N.argmax())]

    def check(self, model: Model) -> None:
        """Refuse a model whose states it was not trained on.

        Raises:
            ConfigError: the model is another one, or gives no access to its states.
        """
        self.origin.check(model, "the reward head")


def save_reward_head(head: RewardHead, folder: str | Path) -> Path:
    """Write a reward head into a folder: `config.json` and `reward_head.safetensors`.

    Raises:
        ConfigError: the folder cannot be written.
    """
    folder = Path(folder)
    config = {
        "format": FORMAT,
        "telic": version("telic"),
        "bias": head.bias,
        "model": asdict(head.origin),
        "figures": dict(head.figures),
    }
    try:
        write_arrays(folder / TENSORS, {"weight": np.ascontiguousarray(head.weight_D, np.float32)})
        write_json(folder / CONFIG, config)
    except (OSError, RunError) as error:
        raise ConfigError(f"cannot write the reward head to {str(folder)!r}: {error}") from error
    return folder


def load_reward_head(folder: str | Path) -> RewardHead:
    """Read a reward head from its folder.

    Raises:
        ConfigError: there is none, or it is damaged.
    """
    folder = Path(folder)
    if not (folder / CONFIG).is_file():
        raise ConfigError(
            f"there is no reward head in {str(folder)!r}; make one with: telic learn PURPOSE --method reward_head"
        )
    try:
        config = read_json(folder / CONFIG)
        if config["format"] != FORMAT:
            raise ConfigError(f"{str(folder / CONFIG)!r} has format {config['format']!r}; install a newer telic")
        weight_D = read_arrays(folder / TENSORS, ["weight"])["weight"]
        return RewardHead(weight_D, float(config["bias"]), Origin(**config["model"]), dict(config["figures"]))
    except MissingExtraError:
        raise
    except (TelicError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{str(folder)!r} holds no reward head that can be read: {error}") from error
