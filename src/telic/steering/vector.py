"""Steering vectors: directions that are added to the residual stream, removed from it, or held within bounds."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, NamedTuple

import torch

from telic.errors import ConfigError
from telic.models.control import OPEN_END, ControlBatch, ControlContext, ControlPoint, NamedModel
from telic.registry import suggest
from telic.rendering import Span
from telic.steering.saving import Origin, Stored, from_pretrained

__all__ = ["Bound", "Vector", "orthogonal", "vector"]

Bound = float | Literal["first"] | Mapping[int, float]
"""A number, one for each layer, or `first`: the mean over the dialogue's first reply."""

_CHOICES = {"mode": ("add", "ablate", "cap"), "positions": ("reply", "prompt", "all"), "by_system": (False, True)}
_Key = tuple[int, str]
_OPTIONS = ("mode", "strength", "scale", "positions", "floor", "ceiling", "by_system")


@dataclass(frozen=True, eq=False)
class Vector(Stored):
    """Bends the residual stream `h` after some layers along directions `d`, with `u = d / |d|`.

    - `add`: `h + strength * scale * d` (arXiv 2308.10248, 2312.06681).
    - `ablate`: `h - strength * (h . u) u` (arXiv 2406.11717). Several directions are made orthogonal first, in their
      order, so that at strength 1 nothing is left of any of them.
    - `cap`: `h + strength * (clip(h . u, floor, ceiling) - h . u) u` (activation capping, arXiv 2601.10387). Several
      directions are capped one after the other.

    A bound of `first` closes the loop: it is the mean projection over the tokens of the dialogue's own first reply, up
    to the end of which nothing is changed. A function of those tokens, it is the same in a cached and a fresh reading.

    Raises:
        ConfigError: an option is wrong, or the directions are not finite vectors of one size.
    """

    directions: Mapping[str, Mapping[int, torch.Tensor]] | Mapping[int, torch.Tensor]
    """Per name (which a single one does not need) and layer: float32 [hidden], at the residual stream's scale."""
    mode: Literal["add", "ablate", "cap"] = "add"
    """What is done along the directions."""
    strength: float | Mapping[str, float] = 1.0
    """0 does nothing; for `ablate` and `cap`, 1 does all. Or one for each name: those not listed do nothing."""
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
    """The names are system prompts: each row gets the direction of its own; a row whose prompt has none, nothing."""
    _named: dict[str, dict[int, torch.Tensor]] = field(init=False, repr=False)
    _strengths: dict[str, float] = field(init=False, repr=False)
    _layers: frozenset[int] = field(init=False, repr=False)
    _bands: dict[tuple[int, torch.device], list[_Band]] = field(init=False, repr=False)

    name: ClassVar[str] = "vector"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})
    of_tensors: ClassVar[frozenset[str]] = frozenset({"directions"})

    def __post_init__(self) -> None:
        for option, known in _CHOICES.items():
            value = getattr(self, option)
            if value not in known:
                raise _wrong(f"{option} is {value!r}{suggest(str(value), [str(choice) for choice in known])}")
        directions = _checked_directions(self.directions)
        layers = {layer for own in directions.values() for layer in own}
        strengths = _checked_strengths(self.strength, directions, self.mode)
        checked = {
            "directions": directions,
            "_named": directions,
            "strength": strengths if isinstance(self.strength, Mapping) else next(iter(strengths.values())),
            "scale": _number("scale", self.scale),
            "floor": _checked_bound("floor", self.floor, -math.inf, layers),
            "ceiling": _checked_bound("ceiling", self.ceiling, math.inf, layers),
            "_strengths": strengths,
            "_layers": frozenset(layer for name, own in directions.items() if strengths[name] for layer in own),
            "_bands": {},
        }
        for attribute, value in checked.items():
            object.__setattr__(self, attribute, value)  # as frozen dataclasses do it themselves
        self._check_bounds()

    def _check_bounds(self) -> None:
        if (self.floor == -math.inf and self.ceiling == math.inf) == (self.mode == "cap"):
            raise _wrong(f"mode is {self.mode!r}; 'cap' needs a floor or a ceiling, and the others take neither")
        for layer in self._layers:
            low, high = _at(self.floor, layer), _at(self.ceiling, layer)
            if not isinstance(low, str) and not isinstance(high, str) and low > high:
                raise _wrong(f"floor {low!r} is above ceiling {high!r} at layer {layer}")
        if self.closed_loop and self.positions == "prompt":
            raise _wrong("a bound of 'first' acts after the first reply, but positions is 'prompt'; use 'reply'")

    @property
    def closed_loop(self) -> bool:
        """Whether a bound is the dialogue's own first level."""
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
        """The same on some of its layers.

        Raises:
            ConfigError: it has no direction for one of them.
        """
        return replace(self, directions=_only(self._named, layers))

    def random_twin(self, seed: int) -> Vector:
        """The baseline: the same, but with random directions of the same lengths."""
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
            ConfigError: it is another model, or has another hidden size, or lacks a layer.
        """
        super().check(model)
        here, last = Origin.of(model), max(layer for _, layer, _ in self._each())
        if here.hidden_size != self.hidden_size or here.layers <= last:
            raise _wrong(
                f"the directions have {self.hidden_size} numbers and go up to layer {last}, but model {here.name!r} "
                f"has layers 0 to {here.layers - 1} of {here.hidden_size}; make a vector for this model"
            )

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Move the tokens acted on along the directions; the others stay as they are, bit for bit."""
        if layer not in self.layers:
            return hidden_N_D
        if hidden_N_D.shape[-1] != self.hidden_size:
            size = hidden_N_D.shape[-1]
            raise _wrong(f"its directions have {self.hidden_size} numbers, the model's hidden states {size}")
        where: _Where | None = batch.memo.get("where")
        if where is None:
            where = batch.memo["where"] = _Where(self, batch)
        bands = self._bands_of(layer, hidden_N_D.device)
        before_N_D = hidden_N_D.float()
        for band in bands:
            if where.measured:
                where.measure((layer, band.name), before_N_D, band.vector_S_D)
        if not where.acts:
            return hidden_N_D
        after_N_D = before_N_D
        for band in bands:
            after_N_D = after_N_D + self._change(band, where, layer, after_N_D)
        return torch.where(where.act_N_1, after_N_D, before_N_D).to(hidden_N_D.dtype)

    def _change(self, band: _Band, where: _Where, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        vector_N_D = where.pick(band.vector_S_D)
        if self.mode == "add":
            return vector_N_D
        projection_N_1 = (hidden_N_D * vector_N_D).sum(-1, keepdim=True)
        target_N_1 = torch.zeros_like(projection_N_1)
        if self.mode == "cap":
            level: Any = where.level((layer, band.name)) if self.closed_loop else None
            low, high = _at(self.floor, layer), _at(self.ceiling, layer)
            target_N_1 = projection_N_1.clamp(min=level.nan_to_num(-math.inf) if low == "first" else low)
            target_N_1 = target_N_1.clamp(max=level.nan_to_num(math.inf) if high == "first" else high)
        change_N_D: torch.Tensor = where.pick(band.strength_S_1) * (target_N_1 - projection_N_1) * vector_N_D
        return change_N_D

    def _bands_of(self, layer: int, device: torch.device) -> list[_Band]:
        if (layer, device) not in self._bands:
            self._bands[layer, device] = [
                _Band(name, vector_S_D.to(device), strength_S_1.to(device))
                for name, vector_S_D, strength_S_1 in self._make_bands(layer)
            ]
        return self._bands[layer, device]

    def _make_bands(self, layer: int) -> list[_Band]:
        own = {name: direction_D for name, at, direction_D in self._each() if at == layer and self._strengths[name]}
        if self.mode == "add":
            vectors = {name: self._strengths[name] * self.scale * direction_D for name, direction_D in own.items()}
        else:
            vectors = {name: direction_D / direction_D.norm() for name, direction_D in own.items()}
        if self.by_system:
            nothing_D = torch.zeros(self.hidden_size)
            vector_S_D = torch.stack([vectors.get(name, nothing_D) for name in self._named])
            return [_Band("", vector_S_D, torch.tensor(list(self._strengths.values()))[:, None])]
        if self.mode == "add":
            return [_Band("", torch.stack(list(vectors.values())).sum(0, keepdim=True), torch.ones(1, 1))]
        if self.mode == "ablate":
            vectors = orthogonal(vectors)
        return [
            _Band(name, unit_D[None], torch.full((1, 1), self._strengths[name])) for name, unit_D in vectors.items()
        ]


class _Band(NamedTuple):
    """Directions of which one acts on each token: the only one (S = 1), or that of the row's system prompt."""

    name: str
    vector_S_D: torch.Tensor
    strength_S_1: torch.Tensor


class _Where:
    """On which tokens of a pass a vector acts, and which it measures."""

    def __init__(self, vector: Vector, batch: ControlBatch) -> None:
        self.context_N, self.spans = batch.context_N, [context.first_reply for context in batch.contexts]
        limits_R_2 = batch.position_N.new_tensor([(span.start, span.end) for span in self.spans])
        start_N, end_N = limits_R_2[batch.context_N].T
        first_N = (batch.position_N >= start_N) & (batch.position_N < end_N)
        act_N = {"reply": batch.reply_N, "prompt": batch.position_N < start_N}.get(
            vector.positions, torch.ones_like(batch.reply_N)
        )
        self.index_N: torch.Tensor | None = None
        if vector.by_system:
            places: dict[Any, int] = {name: place for place, name in enumerate(vector.directions)}
            index_N = batch.position_N.new_tensor([places.get(_system(context), -1) for context in batch.contexts])[
                batch.context_N
            ]
            act_N, first_N = act_N & (index_N >= 0), first_N & (index_N >= 0)
            self.index_N = index_N.clamp(min=0)
        if vector.closed_loop:
            act_N = act_N & (batch.position_N >= end_N)
            # Under the directions' own name: two vectors on a row measure each for itself.
            self.levels = [
                context.control_state.setdefault(f"vector/{vector.sha256}", _Levels()) for context in batch.contexts
            ]
        self.act_N_1 = act_N[:, None]
        self.acts = bool(act_N.any())
        self.first_M = first_N.nonzero().flatten() if vector.closed_loop else first_N.new_zeros(0, dtype=torch.long)
        owners, positions = batch.context_N[self.first_M].tolist(), batch.position_N[self.first_M].tolist()
        self.measured = list(zip(owners, positions, strict=True))

    def pick(self, table_S_X: torch.Tensor) -> torch.Tensor:
        """Each token's line of a table; one line that is everybody's stays as it is."""
        return table_S_X if self.index_N is None else table_S_X[self.index_N]

    def measure(self, key: _Key, hidden_N_D: torch.Tensor, vector_S_D: torch.Tensor) -> None:
        """Note the projections of the first reply's tokens, each under its position."""
        projection_N = (hidden_N_D * self.pick(vector_S_D)).sum(-1)
        for (owner, position), value in zip(self.measured, projection_N[self.first_M].tolist(), strict=True):
            self.levels[owner].note(key, position, value)

    def level(self, key: _Key) -> torch.Tensor:
        """[N, 1]: mean projection over the first reply of each token's row; not a number where none is known."""
        pairs = zip(self.levels, self.spans, strict=True)
        means = [levels.mean(key, span) if span.end < OPEN_END else math.nan for levels, span in pairs]
        return torch.tensor(means, device=self.context_N.device)[self.context_N][:, None]


class _Levels:
    """What was measured on one row; the engine copies it for each request."""

    def __init__(self) -> None:
        self.projections: dict[_Key, dict[int, float]] = {}
        """Per layer and direction, by position."""
        self.means: dict[_Key, float] = {}
        """Over the first reply of this request's prompt."""

    def note(self, key: _Key, position: int, value: float) -> None:
        self.projections.setdefault(key, {})[position] = value
        self.means.pop(key, None)

    def mean(self, key: _Key, span: Span) -> float:
        if key not in self.means:
            values = [value for at, value in self.projections.get(key, {}).items() if span.start <= at < span.end]
            self.means[key] = sum(values) / len(values) if values else math.nan
        return self.means[key]

    def __deepcopy__(self, memo: Any) -> _Levels:
        twin = _Levels()
        twin.projections = {key: dict(values) for key, values in self.projections.items()}
        return twin


def _system(context: ControlContext) -> str | None:
    messages = context.rendering.messages
    return messages[0].content if messages and messages[0].role == "system" else None


def orthogonal(vectors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Each without what the ones before it cover, at length 1; those that are covered wholly are left out."""
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
    tensors: Mapping[str, torch.Tensor] | None = None,
    origin: Origin | None = None,
    layers: Iterable[int] | None = None,
    sha256: str = "",
    force: bool = False,
    **options: Any,
) -> Vector:
    """The factory: load a saved vector for a purpose file.

    Args:
        path: its folder or Hub id.
        tensors: the directions, as `Vector.tensors` gives them, instead of loading them.
        origin: the model that they were made for.
        layers: those to use; by default all.
        sha256: as in the vector's `spec`: refuse directions that are not those.
        force: use it also on a model that goes by another name.
        **options: of `Vector`, instead of those that it was saved with.

    Raises:
        ConfigError: there is no such vector, or an option is wrong.
    """
    for option in options:
        if option not in _OPTIONS:
            raise _wrong(f"unknown option {option!r}{suggest(option, [*_OPTIONS, 'path', 'layers'])}")
    if tensors is None:
        if not path:
            raise _wrong("expected path = the folder or Hub id of a saved vector (write one with save_pretrained)")
        given = options if layers is None else {**options, "layers": list(layers)}
        loaded = from_pretrained(path, force=force, sha256=sha256, **given)
        if not isinstance(loaded, Vector):
            raise _wrong(f"{path!r} holds a control of kind {loaded.name!r}, not a vector")
        return loaded
    directions: dict[str, dict[int, torch.Tensor]] = {}
    for entry, direction_D in tensors.items():
        name, _, layer = entry.rpartition("/")
        if not layer.isdecimal():
            raise _wrong(f"tensor {entry!r} in {path!r} is no direction; expected a name, a slash and a layer")
        directions.setdefault(name, {})[int(layer)] = direction_D
    kept = directions if layers is None else _only(directions, layers)
    return Vector(kept, **options, origin=origin, path=path or None)


def _wrong(message: str) -> ConfigError:
    return ConfigError(f"control 'vector': {message}")


def _number(what: str, value: Any, low: float = -math.inf, high: float = math.inf) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _wrong(f"{what} is {value!r}; expected a number")
    if not low <= value <= high:
        raise _wrong(f"{what} is {value!r}; expected a number between {low:g} and {high:g}")
    return float(value)


def _checked_directions(directions: Any) -> dict[str, dict[int, torch.Tensor]]:
    named = directions if all(isinstance(name, str) for name in directions) else {"direction": directions}
    checked: dict[str, dict[int, torch.Tensor]] = {}
    for name, own in named.items():
        for layer, direction in own.items():
            # A copy: whoever goes on with the tensor must not change what the key says.
            direction_D = torch.as_tensor(direction).detach().to("cpu", torch.float32, copy=True).contiguous()
            if direction_D.dim() != 1 or not direction_D.isfinite().all() or not direction_D.any():
                raise _wrong(f"direction {name!r} at layer {layer!r} is not a finite vector other than zero")
            checked.setdefault(name, {})[int(layer)] = direction_D
    if len({direction_D.shape for own in checked.values() for direction_D in own.values()}) != 1:
        raise _wrong("expected directions of one size, for at least one layer")
    return checked


def _checked_strengths(strength: Any, directions: Mapping[str, Any], mode: str) -> dict[str, float]:
    given = strength if isinstance(strength, Mapping) else dict.fromkeys(directions, strength)
    for name in given:
        if name not in directions:
            raise _wrong(f"strength names {name!r}{suggest(name, list(directions))}")
    limits = (-math.inf, math.inf) if mode == "add" else (0.0, 1.0)
    return {name: _number("strength", given.get(name, 0.0), *limits) for name in directions}


def _checked_bound(option: str, bound: Any, none: float, layers: Iterable[int]) -> Any:
    if bound in ("first", none):
        return bound
    if not isinstance(bound, Mapping):
        return _number(option, bound)
    numbers = {int(layer): value for layer, value in bound.items()}  # TOML's keys are texts
    missing = sorted(set(layers) - set(numbers))
    if missing:
        raise _wrong(f"{option} has no number for layer {missing[0]}")
    return {layer: _number(option, numbers[layer]) for layer in sorted(layers)}


def _at(bound: Any, layer: int) -> Any:
    return bound[layer] if isinstance(bound, Mapping) else bound


def _only(directions: Any, layers: Iterable[int]) -> dict[str, dict[int, torch.Tensor]]:
    kept = {name: {layer: own[layer] for layer in own if layer in set(layers)} for name, own in directions.items()}
    missing = sorted(set(layers) - {layer for own in kept.values() for layer in own})
    if missing:
        raise _wrong(f"there is no direction for layer {missing[0]}")
    return {name: own for name, own in kept.items() if own}
