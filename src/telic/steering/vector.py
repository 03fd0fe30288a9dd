"""Steering vectors: directions that are added to the residual stream, removed from it, or held within bounds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple, Self

import torch

from telic.models.control import ControlBatch, ControlPoint, NamedModel
from telic.registry import suggest
from telic.steering.loading import build_saved, read_saved
from telic.steering.saving import Origin, SavedControl, TensorControl
from telic.steering.vector_options import (
    bound_at,
    check_choices,
    checked_bound,
    checked_directions,
    checked_number,
    checked_strengths,
    directions_of_tensors,
    keep_layers,
    vector_error,
)
from telic.steering.vector_tokens import TokenSelection

__all__ = ["Bound", "Vector", "orthogonal", "vector"]

Bound = float | Literal["first"] | Mapping[int, float]
"""A number, one for each layer, or `first`: the mean over the dialogue's first reply."""

_OPTIONS = ("mode", "strength", "scale", "positions", "floor", "ceiling", "by_system")


@dataclass(frozen=True, eq=False)
class Vector(TensorControl):
    """Changes the residual stream `h` after some layers along directions `d`, with `u = d / |d|`.

    - `add`: `h + strength * scale * d` (arXiv 2308.10248, 2312.06681).
    - `ablate`: `h - strength * (h . u) u` (arXiv 2406.11717). Several directions are made orthogonal first, in their
      order, so that at strength 1 nothing is left of any of them.
    - `cap`: `h + strength * (clip(h . u, floor, ceiling) - h . u) u` (activation capping, arXiv 2601.10387). Several
      directions are capped one after the other.

    A bound of `first` closes the loop: it is the mean projection over the tokens of the dialogue's own first reply.
    Nothing is changed before the end of that reply. The bound is a function of those tokens alone, so it is the same
    whether they were cached or are read again.

    Raises:
        ConfigError: an option is wrong, or the directions are not finite vectors of one size.
    """

    directions: Mapping[str, Mapping[int, torch.Tensor]] | Mapping[int, torch.Tensor]
    """Per name (optional for a single one) and layer: float32 [hidden], at the residual stream's scale."""
    mode: Literal["add", "ablate", "cap"] = "add"
    """What is done along the directions."""
    strength: float | Mapping[str, float] = 1.0
    """0 changes nothing; for `ablate` and `cap`, 1 is the full effect. Or one for each name; names that are not listed
    have strength 0."""
    scale: float = 1.0
    """For `add`: what strength 1 stands for, in lengths of the direction."""
    positions: Literal["reply", "prompt", "all"] = "reply"
    """Tokens acted on: those of all replies, each with the token from which it starts; those before the first reply
    (system prompt and first message); or all."""
    floor: Bound = -math.inf
    """For `cap`: the projection is kept at or above it."""
    ceiling: Bound = math.inf
    """For `cap`: the projection is kept at or below it."""
    by_system: bool = False
    """The names are system prompts: each sequence gets the direction of its own system prompt. A sequence whose system
    prompt has no direction is not changed."""
    _named: dict[str, dict[int, torch.Tensor]] = field(init=False, repr=False)
    _strengths: dict[str, float] = field(init=False, repr=False)
    _layers: frozenset[int] = field(init=False, repr=False)
    _tables: dict[tuple[int, torch.device], list[_DirectionTable]] = field(init=False, repr=False)

    name: ClassVar[str] = "vector"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})
    of_tensors: ClassVar[frozenset[str]] = frozenset({"directions"})

    def __post_init__(self) -> None:
        check_choices(mode=self.mode, positions=self.positions, by_system=self.by_system)
        directions = checked_directions(self.directions)
        layers = {layer for own in directions.values() for layer in own}
        strengths = checked_strengths(self.strength, directions, self.mode)
        checked = {
            "directions": directions,
            "_named": directions,
            "strength": strengths if isinstance(self.strength, Mapping) else next(iter(strengths.values())),
            "scale": checked_number("scale", self.scale),
            "floor": checked_bound("floor", self.floor, -math.inf, layers),
            "ceiling": checked_bound("ceiling", self.ceiling, math.inf, layers),
            "_strengths": strengths,
            "_layers": frozenset(layer for name, own in directions.items() if strengths[name] for layer in own),
            "_tables": {},
        }
        for attribute, value in checked.items():
            object.__setattr__(self, attribute, value)  # as frozen dataclasses do it themselves
        self._check_bounds()

    def _check_bounds(self) -> None:
        if (self.floor == -math.inf and self.ceiling == math.inf) == (self.mode == "cap"):
            raise vector_error(f"mode is {self.mode!r}; 'cap' needs a floor or a ceiling, and the others take neither")
        for layer in self._layers:
            low, high = bound_at(self.floor, layer), bound_at(self.ceiling, layer)
            if not isinstance(low, str) and not isinstance(high, str) and low > high:
                raise vector_error(f"floor {low!r} is above ceiling {high!r} at layer {layer}")
        if self.closed_loop and self.positions == "prompt":
            raise vector_error("a bound of 'first' acts after the first reply, but positions is 'prompt'; use 'reply'")

    @classmethod
    def from_saved(cls, saved: SavedControl, options: Mapping[str, Any]) -> Self:
        """Build a vector from its saved directions; besides `Vector`'s options, `layers` lists those to use."""
        for option in options:
            if option not in (*_OPTIONS, "layers"):
                raise vector_error(f"unknown option {option!r}{suggest(option, [*_OPTIONS, 'path', 'layers'])}")
        own = dict(options)
        layers = own.pop("layers", None)
        directions = directions_of_tensors(saved.tensors, saved.source)
        kept = directions if layers is None else keep_layers(directions, layers)
        return cls(kept, **own, origin=saved.origin, path=saved.source)

    @property
    def closed_loop(self) -> bool:
        """Whether a bound is the level of the dialogue's own first reply."""
        return "first" in (self.floor, self.ceiling)

    @property
    def hidden_size(self) -> int:
        """Length of the directions."""
        return len(next(self._each())[2])

    @property
    def layers(self) -> frozenset[int]:
        """Layers at which some direction acts."""
        return self._layers

    def _each(self) -> Iterator[tuple[str, int, torch.Tensor]]:
        return ((name, layer, direction_D) for name, own in self._named.items() for layer, direction_D in own.items())

    def spec(self) -> dict[str, Any]:
        """As for all stored controls, with the layers that it has directions for."""
        layers = {"layers": sorted({layer for _, layer, _ in self._each()})} if self.path is not None else {}
        return {**super().spec(), **layers}

    def tensors(self) -> dict[str, torch.Tensor]:
        """The directions by `name/layer`."""
        return {f"{name}/{layer}": direction_D for name, layer, direction_D in self._each()}

    def only(self, layers: Iterable[int]) -> Vector:
        """Return the same vector on some of its layers.

        Raises:
            ConfigError: it has no direction for one of them.
        """
        return replace(self, directions=keep_layers(self._named, layers))

    def random_twin(self, seed: int) -> Vector:
        """Return the same vector with random directions of the same lengths, for comparison."""
        twins: dict[str, dict[int, torch.Tensor]] = {}
        for name, layer, direction_D in self._each():
            # A seed of its own for each, so that the others stay as they are when one is left out.
            digest = hashlib.sha256(f"{seed}/{name}/{layer}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
            random_D = torch.randn(len(direction_D), generator=generator, dtype=torch.float64)
            twins.setdefault(name, {})[layer] = random_D * (direction_D.double().norm() / random_D.norm())
        return replace(self, directions=twins, path=None)

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: it was made for another model, or the model has another hidden size or lacks a layer.
        """
        super().check(model)
        here, last = Origin.of(model), max(layer for _, layer, _ in self._each())
        if here.hidden_size != self.hidden_size or here.layers <= last:
            raise vector_error(
                f"the directions have {self.hidden_size} numbers and go up to layer {last}, but model {here.name!r} "
                f"has layers 0 to {here.layers - 1} of {here.hidden_size}; make a vector for this model"
            )

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Move the tokens acted on along the directions; the others stay as they are, bit for bit."""
        if layer not in self.layers:
            return hidden_N_D
        if hidden_N_D.shape[-1] != self.hidden_size:
            size = hidden_N_D.shape[-1]
            raise vector_error(f"its directions have {self.hidden_size} numbers, the model's hidden states {size}")
        tokens: TokenSelection | None = batch.memo.get("tokens")
        if tokens is None:
            systems = list(self._named) if self.by_system else None
            # The state is kept under the directions' hash: two vectors on a sequence measure each for itself.
            state_key = f"vector/{self.sha256}" if self.closed_loop else None
            tokens = batch.memo["tokens"] = TokenSelection(batch, self.positions, systems, state_key)
        tables = self._tables_of(layer, hidden_N_D.device)
        before_N_D = hidden_N_D.float()
        for table in tables:
            if tokens.measured:
                tokens.measure((layer, table.name), before_N_D, table.vector_S_D)
        if not tokens.acts:
            return hidden_N_D
        after_N_D = before_N_D
        for table in tables:
            after_N_D = after_N_D + self._change(table, tokens, layer, after_N_D)
        return torch.where(tokens.act_N_1, after_N_D, before_N_D).to(hidden_N_D.dtype)

    def _change(
        self, table: _DirectionTable, tokens: TokenSelection, layer: int, hidden_N_D: torch.Tensor
    ) -> torch.Tensor:
        vector_N_D = tokens.pick(table.vector_S_D)
        if self.mode == "add":
            return vector_N_D
        projection_N_1 = (hidden_N_D * vector_N_D).sum(-1, keepdim=True)
        target_N_1 = torch.zeros_like(projection_N_1)
        if self.mode == "cap":
            level: Any = tokens.level((layer, table.name)) if self.closed_loop else None
            low, high = bound_at(self.floor, layer), bound_at(self.ceiling, layer)
            target_N_1 = projection_N_1.clamp(min=level.nan_to_num(-math.inf) if low == "first" else low)
            target_N_1 = target_N_1.clamp(max=level.nan_to_num(math.inf) if high == "first" else high)
        change_N_D: torch.Tensor = tokens.pick(table.strength_S_1) * (target_N_1 - projection_N_1) * vector_N_D
        return change_N_D

    def _tables_of(self, layer: int, device: torch.device) -> list[_DirectionTable]:
        if (layer, device) not in self._tables:
            self._tables[layer, device] = [
                _DirectionTable(name, vector_S_D.to(device), strength_S_1.to(device))
                for name, vector_S_D, strength_S_1 in self._make_tables(layer)
            ]
        return self._tables[layer, device]

    def _make_tables(self, layer: int) -> list[_DirectionTable]:
        own = {name: direction_D for name, at, direction_D in self._each() if at == layer and self._strengths[name]}
        if self.mode == "add":
            vectors = {name: self._strengths[name] * self.scale * direction_D for name, direction_D in own.items()}
        else:
            vectors = {name: direction_D / direction_D.norm() for name, direction_D in own.items()}
        if self.by_system:
            zeros_D = torch.zeros(self.hidden_size)
            vector_S_D = torch.stack([vectors.get(name, zeros_D) for name in self._named])
            return [_DirectionTable("", vector_S_D, torch.tensor(list(self._strengths.values()))[:, None])]
        if self.mode == "add":
            return [_DirectionTable("", torch.stack(list(vectors.values())).sum(0, keepdim=True), torch.ones(1, 1))]
        if self.mode == "ablate":
            vectors = orthogonal(vectors)
        return [
            _DirectionTable(name, unit_D[None], torch.full((1, 1), self._strengths[name]))
            for name, unit_D in vectors.items()
        ]


class _DirectionTable(NamedTuple):
    """A table of directions, one of which acts on each token: the only one (S = 1), or that of its system prompt."""

    name: str
    vector_S_D: torch.Tensor
    strength_S_1: torch.Tensor


def orthogonal(vectors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Make vectors orthonormal in their order (Gram-Schmidt); one that the earlier ones span is left out."""
    found: dict[str, torch.Tensor] = {}
    for name, vector_D in vectors.items():
        rest_D = vector_D.double()
        for other_D in found.values():
            rest_D = rest_D - (rest_D @ other_D) * other_D
        if rest_D.norm() > 1e-5:
            found[name] = rest_D / rest_D.norm()
    return {name: unit_D.float() for name, unit_D in found.items()}


def vector(
    path: str = "",
    *,
    layers: Iterable[int] | None = None,
    sha256: str = "",
    force: bool = False,
    **options: Any,
) -> Vector:
    """Load a saved vector for a purpose file.

    Args:
        path: its folder or Hub id.
        layers: those to use; by default all.
        sha256: as in the vector's `spec`: refuse directions with another hash.
        force: use it also on a model that goes by another name.
        **options: options of `Vector` that replace the saved ones.

    Raises:
        ConfigError: there is no such vector, or an option is wrong.
    """
    if not path:
        raise vector_error("expected path = the folder or Hub id of a saved vector (write one with save_pretrained)")
    given = options if layers is None else {**options, "layers": list(layers)}
    return build_saved(read_saved(path, force=force), Vector, sha256=sha256, **given)
