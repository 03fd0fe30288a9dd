"""The controls that `hold` compares, each at rising strengths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from telic.errors import ConfigError
from telic.models import Control, Model
from telic.registry import suggest
from telic.stability.costs import HISTORY
from telic.steering import build

if TYPE_CHECKING:
    from telic.models import LocalModel
    from telic.steering import Vector

__all__ = ["STRENGTHS", "Candidate", "candidates", "kinds_of"]

STRENGTHS: dict[str, tuple[dict[str, float], ...]] = {
    "prompt": ({},),
    "reminder": ({"every": 4}, {"every": 2}, {"every": 1}),
    "guidance": ({"gamma": 1.25}, {"gamma": 1.5}, {"gamma": 2.0}),
    "split_softmax": ({"k": 0.9}, {"k": 0.8}, {"k": 0.7}, {"k": 0.6}),
    "hold": ({"gain": 1.0}, {"gain": 1.5}, {"gain": 2.0}, {"gain": 3.0}),
    "vector": ({"strength": 0.5}, {"strength": 1.0}),
}
"""By control: its settings, from weak to strong. The vector is the purpose axis, capped at its first-reply level
(after activation capping, arXiv 2601.10387)."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A control at one strength."""

    name: str
    """The control with its strength, as one word."""
    control: Control

    @property
    def kind(self) -> str:
        """Name of the control."""
        return self.control.name


def kinds_of(model: Model, names: Sequence[str] = ()) -> tuple[list[str], list[str]]:
    """The controls that a model takes, and what is to be known of those that it does not.

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
    taken = [name for name in names or STRENGTHS if _points(name) <= model.points]
    refused = [name for name in names or STRENGTHS if name not in taken]
    if names and refused:
        raise ConfigError(f"model {model.name!r} does not take control {refused[0]!r}; run the model locally to use it")
    return taken, [f"{name} is left out: model {model.name!r} does not take it" for name in refused]


def candidates(model: Model, kinds: Iterable[str], systems: Sequence[str], folder: Path | None) -> list[Candidate]:
    """Every strength of these controls.

    Args:
        model: what they are for; a vector is made on it.
        kinds: names of controls, as `kinds_of` returns them.
        systems: system prompts that the vector is to hold.
        folder: where a vector is kept, and found again by a resumed run; None keeps none.
    """
    found = []
    for kind in kinds:
        axis = _axis(cast("LocalModel", model), systems, folder) if kind == "vector" else None
        for settings in STRENGTHS[kind]:
            control = (
                build({"name": kind, **settings}) if axis is None else replace(axis, strength=settings["strength"])
            )
            found.append(Candidate("-".join([kind, *(f"{key}={value}" for key, value in settings.items())]), control))
    return found


def _points(name: str) -> frozenset[str]:
    if name == "vector":  # none is made to find out
        return frozenset({"residual"})
    return build({"name": name}).points


def _axis(model: LocalModel, systems: Sequence[str], folder: Path | None) -> Vector:
    """The purpose axis of each system prompt over some small talk, in the third quarter of the layers."""
    from telic.steering import from_pretrained, save_pretrained
    from telic.steering.directions import purpose_axis

    if folder is not None and (folder / "config.json").is_file():
        return cast("Vector", from_pretrained(folder, model=model))
    layers = range(model.layers // 2, max(3 * model.layers // 4, model.layers // 2 + 1))
    axis = purpose_axis(model, systems, [HISTORY], layers, mode="cap", floor="first")
    if folder is None:
        return axis
    save_pretrained(axis, folder, model=model)
    return cast("Vector", from_pretrained(folder, model=model))
