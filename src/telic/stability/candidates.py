"""The controls that `hold` compares, each at rising strengths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from telic.errors import ConfigError
from telic.models import Control, Model
from telic.registry import suggest
from telic.steering import build

__all__ = ["STRENGTHS", "Candidate", "candidates"]

STRENGTHS: dict[str, tuple[dict[str, object], ...]] = {
    "prompt": ({},),
    "reminder": ({"every": 4}, {"every": 2}, {"every": 1}),
    "guidance": ({"gamma": 1.25}, {"gamma": 1.5}, {"gamma": 2.0}),
    "split_softmax": ({"k": 0.9}, {"k": 0.8}, {"k": 0.7}, {"k": 0.6}),
    "hold": ({"gain": 1.0}, {"gain": 1.5}, {"gain": 2.0}, {"gain": 3.0}),
}
"""By control: its settings, from weak to strong."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A control at one strength."""

    control: Control

    @property
    def kind(self) -> str:
        """Name of the control."""
        return self.control.name

    @property
    def name(self) -> str:
        """The control with its settings, as one word."""
        settings = [f"{key}={value}" for key, value in self.control.spec().items() if key != "name"]
        return "-".join([self.kind, *settings]).replace("/", "_")


def candidates(model: Model, names: Sequence[str] = ()) -> tuple[list[Candidate], list[str]]:
    """The candidates that a model takes, and what is to be known of those that it does not.

    Args:
        model: which controls it takes depends on what can be reached of it.
        names: only these controls, which must then all be possible; by default all that the model takes.

    Raises:
        ConfigError: no control has one of these names, or the model does not take it.
    """
    unknown = [name for name in names if name not in STRENGTHS]
    if unknown:
        raise ConfigError(
            f"no strengths to compare are known of control {unknown[0]!r}{suggest(unknown[0], list(STRENGTHS))}"
        )
    found, notes = [], []
    for name in names or STRENGTHS:
        made = [Candidate(build({"name": name, **settings})) for settings in STRENGTHS[name]]
        if made[0].control.points <= model.points:
            found += made
        elif names:
            raise ConfigError(f"model {model.name!r} does not take control {name!r}; run the model locally to use it")
        else:
            notes.append(f"{name} is left out: model {model.name!r} does not take it")
    return found, notes
