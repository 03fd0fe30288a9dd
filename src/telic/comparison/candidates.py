"""The controls that `hold` compares, each at rising strengths."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from telic.comparison.recall import HISTORY
from telic.errors import ConfigError, MissingExtraError
from telic.models import Control, Model
from telic.models.control import ControlPoint
from telic.registry import parse_spec, suggest
from telic.steering import build_control

if TYPE_CHECKING:
    from telic.models import LocalModel
    from telic.steering import Vector

__all__ = ["STRENGTHS", "Candidate", "Strengths", "asked_strengths", "candidates", "strengths_of"]

Strengths = Mapping[str, Sequence[Mapping[str, Any]]]
"""By control: the settings to compare."""

STRENGTHS: dict[str, tuple[Mapping[str, Any], ...]] = {
    "prompt": ({},),
    "reminder": ({"every": 4}, {"every": 2}, {"every": 1}),
    "guidance": ({"gamma": 1.5}, {"gamma": 2.0}, {"gamma": 3.0}),
    "split_softmax": ({"k": 0.9}, {"k": 0.8}, {"k": 0.7}, {"k": 0.6}),
    "attention_hold": ({"level": 1.0}, {"level": 1.5}, {"level": 2.0}, {"level": 3.0}),
    "anchor": ({"weight": 0.2}, {"weight": 0.4}, {"weight": 0.6}),
    "refresh": ({"strength": 1.0}, {"strength": 2.0}, {"strength": 3.0}),
    "vector": ({"strength": 0.5}, {"strength": 1.0}),
}
"""By control: its settings, from weak to strong. The vector is the purpose axis, capped at its first-reply level
(after activation capping, arXiv 2601.10387)."""
PROMISING = ("prompt", "reminder", "guidance", "refresh")
"""Controls that are compared by default. The others gained nothing in any comparison so far (docs/controls.md), and all
of them together take twice the time."""
ALL = ("all",)
"""In place of names: all controls that the model supports."""


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


def asked_strengths(names: Sequence[str] = ()) -> Strengths:
    """Look up the strengths of controls; see `strengths_of`.

    Raises:
        ConfigError: no control has one of these names.
    """
    asked: dict[str, tuple[Mapping[str, Any], ...]] = {}
    for text in STRENGTHS if tuple(names) == ALL else names or PROMISING:
        settings = parse_spec(text)
        kind = settings.pop("name")
        if kind not in STRENGTHS and not settings:
            raise ConfigError(
                f"no strengths to try are known for control {kind!r}{suggest(kind, list(STRENGTHS))} (give any other "
                "control its settings, as in split_softmax:k=0.8)"
            )
        tried = asked.get(kind, ())
        asked[kind] = (*tried, *(one for one in ([settings] if settings else STRENGTHS[kind]) if one not in tried))
    return asked


def strengths_of(model: Model, names: Sequence[str] = ()) -> tuple[Strengths, list[str]]:
    """Select the strengths to compare on a model.

    Args:
        model: decides which controls are possible.
        names: of controls, which the model must then support: `refresh` stands for all its strengths,
            `refresh:strength=2` for one. By default those of `PROMISING` that the model supports, with `ALL` all.

    Returns:
        The strengths by control, and a sentence on each control that is left out.

    Raises:
        ConfigError: no control has one of these names, or the model does not support it.
    """
    asked = asked_strengths(names)
    supported = {kind: tried for kind, tried in asked.items() if all(_supports(model, kind, one) for one in tried)}
    refused = [kind for kind in asked if kind not in supported]
    if refused and names and tuple(names) != ALL:
        raise ConfigError(
            f"model {model.name!r} does not support control {refused[0]!r}; run the model locally to use it"
        )
    return supported, [f"control {kind} is left out: model {model.name!r} does not support it" for kind in refused]


def candidates(model: Model, strengths: Strengths, systems: Sequence[str], folder: Path | None) -> list[Candidate]:
    """Make the controls at every strength.

    Args:
        model: the model that they act on; a vector is made from its activations.
        strengths: by kind of control, as `strengths_of` returns them.
        systems: system prompts from which the vector is made.
        folder: where the vector is saved, and where a resumed run finds it; None saves none.
    """
    found = []
    axis: Vector | None = None
    for kind, tried in strengths.items():
        for settings in tried:
            if _is_purpose_axis(kind, settings):
                axis = axis or _axis(cast("LocalModel", model), systems, folder)
                control: Control = replace(axis, **settings)
            else:
                control = build_control({"name": kind, **settings})
            found.append(Candidate("-".join([kind, *(f"{key}={value}" for key, value in settings.items())]), control))
    return found


def _is_purpose_axis(kind: str, settings: Mapping[str, Any]) -> bool:
    return kind == "vector" and "path" not in settings


def _supports(model: Model, kind: str, settings: Mapping[str, Any]) -> bool:
    try:
        return _points(kind, settings) <= model.points
    except MissingExtraError:  # a control of local models; without the extra `local` there are none
        return False


def _points(kind: str, settings: Mapping[str, Any]) -> frozenset[ControlPoint]:
    if _is_purpose_axis(kind, settings):  # known without making the vector
        return frozenset({"residual"})
    return build_control({"name": kind, **settings}).points


def _axis(model: LocalModel, systems: Sequence[str], folder: Path | None) -> Vector:
    """Make or load the purpose axis of the system prompts over some small talk, in the third quarter of the layers."""
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
