"""Checks of a steering vector's options: each returns the checked value, or raises an error that names the option."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = [
    "bound_at",
    "check_choices",
    "checked_bound",
    "checked_directions",
    "checked_number",
    "checked_strengths",
    "directions_of_tensors",
    "keep_layers",
    "vector_error",
]

Directions = dict[str, dict[int, torch.Tensor]]
"""Per name and layer: float32 [hidden]."""

_CHOICES = {"mode": ("add", "ablate", "cap"), "positions": ("reply", "prompt", "all"), "by_system": (False, True)}


def vector_error(message: str) -> ConfigError:
    """Make an error of the control `vector`."""
    return ConfigError(f"control 'vector': {message}")


def check_choices(**options: Any) -> None:
    """Refuse a value of `mode`, `positions` or `by_system` that is not one of the choices."""
    for option, value in options.items():
        if value not in _CHOICES[option]:
            raise vector_error(f"{option} is {value!r}{suggest(str(value), [str(one) for one in _CHOICES[option]])}")


def checked_number(option: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    """Check that a value is a finite number within limits."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise vector_error(f"{option} is {value!r}; expected a number")
    if not low <= value <= high:
        raise vector_error(f"{option} is {value!r}; expected a number between {low:g} and {high:g}")
    return float(value)


def checked_directions(directions: Any) -> Directions:
    """Check that all directions are finite vectors of one size; a mapping by layer alone gets the name `direction`."""
    named = directions if all(isinstance(name, str) for name in directions) else {"direction": directions}
    checked: Directions = {}
    for name, own in named.items():
        for layer, direction in own.items():
            # A copy: the key must stay true whatever the caller does to the tensor later.
            direction_D = torch.as_tensor(direction).detach().to("cpu", torch.float32, copy=True).contiguous()
            if direction_D.dim() != 1 or not direction_D.isfinite().all() or not direction_D.any():
                raise vector_error(f"direction {name!r} at layer {layer!r} is not a finite vector other than zero")
            checked.setdefault(name, {})[int(layer)] = direction_D
    if len({direction_D.shape for own in checked.values() for direction_D in own.values()}) != 1:
        raise vector_error("expected directions of one size, for at least one layer")
    return checked


def checked_strengths(strength: Any, directions: Mapping[str, Any], mode: str) -> dict[str, float]:
    """Return a strength for each direction's name; from 0 to 1 unless the directions are added."""
    given = strength if isinstance(strength, Mapping) else dict.fromkeys(directions, strength)
    for name in given:
        if name not in directions:
            raise vector_error(f"strength names {name!r}{suggest(name, list(directions))}")
    limits = (-math.inf, math.inf) if mode == "add" else (0.0, 1.0)
    return {name: checked_number("strength", given.get(name, 0.0), *limits) for name in directions}


def checked_bound(option: str, bound: Any, unbounded: float, layers: Iterable[int]) -> Any:
    """Return `first`, a number, or a number for each layer; `unbounded` is the infinity that stands for no bound."""
    if bound in ("first", unbounded):
        return bound
    if not isinstance(bound, Mapping):
        return checked_number(option, bound)
    numbers = {int(layer): value for layer, value in bound.items()}  # TOML's keys are texts
    missing = sorted(set(layers) - set(numbers))
    if missing:
        raise vector_error(f"{option} has no number for layer {missing[0]}")
    return {layer: checked_number(option, numbers[layer]) for layer in sorted(layers)}


def bound_at(bound: Any, layer: int) -> Any:
    """Return the bound that holds at a layer."""
    return bound[layer] if isinstance(bound, Mapping) else bound


def keep_layers(directions: Mapping[str, Mapping[int, torch.Tensor]], layers: Iterable[int]) -> Directions:
    """Keep the directions of some layers.

    Raises:
        ConfigError: one of the layers has no direction.
    """
    wanted = set(layers)
    kept = {name: {layer: own[layer] for layer in own if layer in wanted} for name, own in directions.items()}
    missing = sorted(wanted - {layer for own in kept.values() for layer in own})
    if missing:
        raise vector_error(f"there is no direction for layer {missing[0]}")
    return {name: own for name, own in kept.items() if own}


def directions_of_tensors(tensors: Mapping[str, torch.Tensor], source: str) -> Directions:
    """Sort saved tensors, each called `name/layer`, by name and layer.

    Raises:
        ConfigError: a tensor's name has another form.
    """
    directions: Directions = {}
    for entry, direction_D in tensors.items():
        name, _, layer = entry.rpartition("/")
        if not layer.isdecimal():
            raise vector_error(f"tensor {entry!r} in {source!r} is not a direction; expected a name, a slash, a layer")
        directions.setdefault(name, {})[int(layer)] = direction_D
    return directions
