"""Belief: pins what the model believes about the user, or about itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args

import torch

from telic.errors import ConfigError
from telic.models.control import ControlBatch, ControlPoint, NamedModel
from telic.registry import suggest
from telic.steering.loading import build_saved, read_saved
from telic.steering.saving import CONFIG, SavedControl, TensorControl
from telic.steering.vector import Vector, orthogonal
from telic.steering.vector_options import keep_layers

__all__ = ["Belief", "Combine", "belief"]

Combine = Literal["orthogonal", "sum"]
"""How several pins are combined."""

_OPTIONS = ("towards", "away", "strength", "combine")
LEAST_LEFT = 0.2
"""Least share of a direction's length that is left when it is made orthogonal to others."""


@dataclass(frozen=True, eq=False)
class Belief(TensorControl):
    """Moves the residual stream towards states in which the model believes in a class, or away from them.

    With one pin it adds `strength * d` after each layer, from the prompt's last token on (arXiv 2406.07882). Directions
    overlap: one pin would move other beliefs along, and the sum of several is long enough to break the language. So
    within a layer each pin's direction is made orthogonal to all directions of the other attributes that are pinned,
    and to those of the same attribute of the other subject (the model itself, or the user). Its length is kept, and
    each of k pins gets `1 / sqrt(k)` of its length; together they are at most as long as one, in the root mean square.
    `combine = "sum"` adds the directions up as they are.

    A direction is the weights of a linear probe on the prompt's last token, scaled to the states' standard
    deviation along it: strength is in standard deviations. Without pins the control changes nothing.

    Raises:
        ConfigError: a pin or an option is wrong; the message lists the known ones.
    """

    directions: Mapping[str, Mapping[int, torch.Tensor]]
    """By `reader/class`, such as `user_age/child`, and layer: float32 [hidden]."""
    towards: Mapping[str, str] | None = None
    """By reader, the class that is pinned as most likely, such as `user_age = "child"`."""
    away: Mapping[str, str] | None = None
    """By reader, the class that is pinned as most unlikely."""
    strength: float = 1.0
    """How far, in standard deviations; 0 changes nothing."""
    combine: Combine = "orthogonal"
    """How several pins are combined."""
    _vector: Vector | None = field(init=False, repr=False)

    name: ClassVar[str] = "belief"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})
    of_tensors: ClassVar[frozenset[str]] = frozenset({"directions"})

    def __post_init__(self) -> None:
        if self.combine not in get_args(Combine):
            raise _error(f"combine is {self.combine!r}; expected 'orthogonal' or 'sum'")
        number = isinstance(self.strength, int | float) and not isinstance(self.strength, bool)
        if not number or not math.isfinite(self.strength):
            raise _error(f"strength is {self.strength!r}; expected a number")
        # A vector checks the directions, and copies them.
        object.__setattr__(self, "directions", Vector(self.directions).directions)
        pins = self._pins()
        acts = bool(pins and self.strength)
        object.__setattr__(self, "_vector", Vector(self._composed(pins)) if acts else None)

    @classmethod
    def from_saved(cls, saved: SavedControl, options: Mapping[str, Any]) -> Self:
        """Build it from saved directions; besides `Belief`'s options, `layers` lists those to act at."""
        for option in options:
            if option not in (*_OPTIONS, "layers"):
                raise _error(f"unknown option {option!r}{suggest(option, [*_OPTIONS, 'path', 'layers'])}")
        own = dict(options)
        layers = own.pop("layers", None)
        directions: dict[str, dict[int, torch.Tensor]] = {}
        for entry, direction_D in saved.tensors.items():
            name, _, layer = entry.rpartition("/")
            if "/" not in name or not layer.isdecimal():
                raise _error(
                    f"tensor {entry!r} in {saved.source!r} is not a direction; expected a reader, a class and a layer"
                )
            directions.setdefault(name, {})[int(layer)] = direction_D
        kept = directions if layers is None else keep_layers(directions, layers)
        return cls(kept, **own, origin=saved.origin, path=saved.source)

    def _pins(self) -> dict[str, list[dict[int, torch.Tensor]]]:
        """Find the direction of each pin of a reader, by layer; that of a pin in `away` is negated."""
        found: dict[str, list[dict[int, torch.Tensor]]] = {}
        for option, sign in (("towards", 1.0), ("away", -1.0)):
            given = getattr(self, option) or {}
            if not isinstance(given, Mapping):
                raise _error(f'{option} is {given!r}; expected a class for each reader, such as {{user_age = "child"}}')
            for reader, label in given.items():
                own = self.directions.get(f"{reader}/{label}")
                if own is None:
                    raise _error(f"{option} is {{{reader} = {label!r}}}; {self._known(reader, str(label))}")
                found.setdefault(reader, []).append({layer: sign * direction_D for layer, direction_D in own.items()})
        both = set((self.towards or {}).items()) & set((self.away or {}).items())
        if both:
            raise _error(f"{sorted(both)[0]} is pinned both towards and away; remove one of them")
        return found

    def _composed(self, pins: Mapping[str, list[dict[int, torch.Tensor]]]) -> dict[int, torch.Tensor]:
        """Compute what is added after each layer."""
        composed = {}
        for layer in sorted({layer for own in pins.values() for pin in own for layer in pin}):
            here = {reader: [pin[layer] for pin in own if layer in pin] for reader, own in pins.items()}
            here = {reader: own for reader, own in here.items() if own}
            if self.combine == "sum":
                added_D = torch.stack([direction_D for own in here.values() for direction_D in own]).sum(0)
            else:
                moves = [_apart(_shared(own), self._protected(reader, here, layer)) for reader, own in here.items()]
                added_D = torch.stack(moves).sum(0) / math.sqrt(len(moves))
                longest = math.sqrt(sum(float(move_D.norm()) ** 2 for move_D in moves) / len(moves))
                added_D = added_D * min(1.0, longest / max(float(added_D.norm()), 1e-12))
            composed[layer] = self.strength * added_D
        return composed

    def _protected(self, reader: str, pinned: Iterable[str], layer: int) -> list[torch.Tensor]:
        """List the directions that a pin of a reader must not move along."""
        subject, _, attribute = reader.partition("_")
        twin = f"{'self' if subject == 'user' else 'user'}_{attribute}"
        others = {twin, *pinned} - {reader}
        return [
            own[layer] for name, own in self.directions.items() if name.partition("/")[0] in others and layer in own
        ]

    def _known(self, reader: str, label: str) -> str:
        readers = list(dict.fromkeys(name.partition("/")[0] for name in self.directions))
        if reader not in readers:
            return f"there are no directions for {reader!r}{suggest(reader, readers)}"
        classes = [own for name in self.directions for at, _, own in [name.partition("/")] if at == reader]
        return f"{reader} has no class {label!r}{suggest(label, classes)}"

    @property
    def layers(self) -> frozenset[int]:
        """Layers at which it acts."""
        return self._vector.layers if self._vector else frozenset()

    def spec(self) -> dict[str, Any]:
        """As for all stored controls, with the layers that it has directions for."""
        layers = sorted({layer for own in self.directions.values() for layer in own})
        return {**super().spec(), **({"layers": layers} if self.path is not None else {})}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The directions by `reader/class/layer`."""
        return {f"{name}/{at}": direction_D for name, own in self.directions.items() for at, direction_D in own.items()}

    def random_twin(self, seed: int) -> Vector:
        """Return, for comparison, random directions of the same lengths at the same layers.

        Raises:
            ConfigError: the control changes nothing, so there is nothing to compare with.
        """
        if self._vector is None:
            raise _error("it has no random twin without a pin, or at strength 0; add a pin")
        return self._vector.random_twin(seed)

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: it was made for another model, or the model has another hidden size or lacks a layer.
        """
        super().check(model)
        if self._vector is not None:
            self._vector.check(model)

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Move the tokens of the replies, and the token from which each starts."""
        return hidden_N_D if self._vector is None else self._vector.residual(batch, layer, hidden_N_D)


def _shared(directions: list[torch.Tensor]) -> torch.Tensor:
    """Combine the pins of one reader, which may be one towards a class and one away from another."""
    units = orthogonal({str(index): direction_D for index, direction_D in enumerate(directions)})
    kept = [directions[int(index)].norm() * unit_D / math.sqrt(len(units)) for index, unit_D in units.items()]
    return torch.stack(kept).sum(0)


def _apart(direction_D: torch.Tensor, protected: list[torch.Tensor]) -> torch.Tensor:
    """Make a direction orthogonal to others, and keep its length.

    One that hardly differs from them stays as it is: what is left of it would be noise.
    """
    if not protected:
        return direction_D
    rest_D = direction_D.double()
    for unit_D in orthogonal({str(index): other_D for index, other_D in enumerate(protected)}).values():
        rest_D = rest_D - (rest_D @ unit_D.double()) * unit_D.double()
    if rest_D.norm() < LEAST_LEFT * direction_D.norm():
        return direction_D
    kept_D: torch.Tensor = rest_D * (direction_D.double().norm() / rest_D.norm())
    return kept_D.float()


def belief(
    path: str = "smollm2",
    *,
    layers: Iterable[int] | None = None,
    sha256: str = "",
    force: bool = False,
    **options: Any,
) -> Belief:
    """Load the directions that belong to a set of readers, and pin classes with them.

    Args:
        path: a folder that `telic readers train` wrote, or the name of a set that ships with Telic.
        layers: those to act at; by default all.
        sha256: as in the control's `spec`: refuse directions with another hash.
        force: use it also on a model that goes by another name.
        **options: of `Belief`.

    Raises:
        ConfigError: there are no such directions, or an option is wrong.
    """
    given = options if layers is None else {**options, "layers": list(layers)}
    saved = replace(read_saved(_pins_folder(path), force=force), source=path)
    return build_saved(saved, Belief, sha256=sha256, **given)


def _pins_folder(path: str) -> Path:
    shipped = Path(str(resources.files("telic"))) / "readers" / "data" / path / "pins"
    for folder in (Path(path) / "pins", Path(path), shipped):
        if (folder / CONFIG).is_file():
            return folder
    raise _error(
        f"there are no pins at {path!r}; expected a folder that `telic readers train` wrote, or the name of a set of "
        "readers that ships with Telic, such as 'smollm2'"
    )


def _error(message: str) -> ConfigError:
    return ConfigError(f"control 'belief': {message}")
