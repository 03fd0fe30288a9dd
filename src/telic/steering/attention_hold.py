"""Attention hold: a closed loop that keeps attention to the system prompt at the level of the first reply."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch

from telic.errors import ConfigError
from telic.models.control import Control, ControlBatch, ControlContext, ControlPoint

__all__ = ["AttentionHold"]


@dataclass(frozen=True)
class AttentionHold(Control):
    """Split-softmax with an exponent that follows the drift.

    Over the dialogue's first reply it measures the mean log of the attention mass on the system prompt, `log pi*`.
    After that reply each layer (or head) and token has the exponent
    `k = clip(1 + gain (log(level pi*) / log pi - 1), k_min, 1)`. With a gain of 1 the mass returns to `level pi*`;
    while it is above that, nothing is changed.

    The measurement is a function of the first reply's tokens, so it is the same whether they were cached or are read
    again.
    """

    gain: float = 1.0
    """0 changes nothing, 1 restores the level, more overshoots it: the more was lost, the further."""
    level: float = 1.0
    """The level to hold, in multiples of the first reply's mass."""
    k_min: float = 0.2
    """Smallest exponent: limits how far attention is changed."""
    per: Literal["layer", "head"] = "layer"
    """Whether a layer's heads share one level and exponent, or each has its own."""
    span: Literal["turn", "content"] = "content"
    """Which tokens count as the system prompt: its whole turn, or its content only."""

    name: ClassVar[str] = "attention_hold"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})

    def __post_init__(self) -> None:
        if self.gain < 0 or not 0 <= self.k_min <= 1 or not 0 < self.level < math.inf:
            raise ConfigError(
                f"control 'attention_hold': gain = {self.gain!r}, k_min = {self.k_min!r}, level = {self.level!r}; "
                "expected a gain of 0 or more, a k_min between 0 and 1, and a level above 0"
            )
        for field, known in (("per", ("layer", "head")), ("span", ("turn", "content"))):
            if getattr(self, field) not in known:
                expected = " or ".join(map(repr, known))
                raise ConfigError(f"control 'attention_hold': {field} is {getattr(self, field)!r}; expected {expected}")

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        """Measure the attention mass of the first reply's tokens, and raise that of the tokens after it."""
        if not self.gain:
            return log_mass_R_H_Q
        tokens: _FirstReplyTokens | None = batch.memo.get("tokens")
        if tokens is None:
            tokens = batch.memo["tokens"] = _FirstReplyTokens(batch, log_mass_R_H_Q.shape[2])
        level_R_H_Q = log_mass_R_H_Q
        if self.per == "layer":
            level_R_H_Q = log_mass_R_H_Q.exp().mean(1, keepdim=True).log()
        tokens.measure(layer, level_R_H_Q)
        if not tokens.any_later:
            return log_mass_R_H_Q
        first_R_H = tokens.first(layer, level_R_H_Q)
        held_R_H = first_R_H + math.log(self.level)
        k = 1 + self.gain * (held_R_H[..., None] / level_R_H_Q - 1)
        # A NaN level, where there was no first reply to measure, fails the comparison.
        act = tokens.later_R_Q[:, None] & (k < 1)
        return torch.where(act, k.clamp_min(self.k_min) * log_mass_R_H_Q, log_mass_R_H_Q)


class _FirstReplyTokens:
    """The tokens of a pass that belong to the first reply, those after it, and the measured levels."""

    def __init__(self, batch: ControlBatch, queries: int) -> None:
        self.contexts = batch.contexts
        position_R_Q = batch.position_N.view(len(batch.contexts), queries)
        spans = [context.first_reply for context in batch.contexts]
        starts, ends = position_R_Q.new_tensor([(span.start, span.end) for span in spans]).T[..., None]
        self.later_R_Q = position_R_Q >= ends
        self.any_later = bool(self.later_R_Q.any())
        self._measured: list[tuple[int, slice, slice]] = []
        inside = ((position_R_Q >= starts) & ~self.later_R_Q).tolist()
        for r, (flags, positions) in enumerate(zip(inside, position_R_Q.tolist(), strict=True)):
            if any(flags):
                count, at = sum(flags), flags.index(True)
                first = positions[at] - spans[r].start
                self._measured.append((r, slice(at, at + count), slice(first, first + count)))
        self._levels: torch.Tensor | None = None

    def measure(self, layer: int, level_R_H_Q: torch.Tensor) -> None:
        """Note the level of each token of the first reply at its index, so that reading it again changes nothing."""
        for r, queries, places in self._measured:
            levels = _levels_of(self.contexts[r]).setdefault(layer, level_R_H_Q.new_zeros(0, level_R_H_Q.shape[1]))
            if len(levels) < places.stop:
                more = levels.new_full((places.stop - len(levels), levels.shape[1]), torch.nan)
                levels = torch.cat([levels, more])
            levels[places] = level_R_H_Q[r, :, queries].T
            _levels_of(self.contexts[r])[layer] = levels

    def first(self, layer: int, level_R_H_Q: torch.Tensor) -> torch.Tensor:
        """Compute the mean level over the first reply, [R, H or 1]; NaN for sequences without one."""
        if self._measured:  # the first reply is still being read
            return torch.stack([_mean(context, layer, level_R_H_Q) for context in self.contexts])
        if self._levels is None:
            layers = max((max(_levels_of(context), default=0) for context in self.contexts), default=0) + 1
            self._levels = torch.stack(
                [torch.stack([_mean(context, at, level_R_H_Q) for at in range(layers)]) for context in self.contexts]
            )
        return self._levels[:, layer]


def _levels_of(context: ControlContext) -> dict[int, torch.Tensor]:
    """Return the levels of the first reply's tokens by layer, each [tokens, H or 1]."""
    levels: dict[int, torch.Tensor] = context.control_state.setdefault("attention_hold", {})
    return levels


def _mean(context: ControlContext, layer: int, like_R_H_Q: torch.Tensor) -> torch.Tensor:
    levels: Any = _levels_of(context).get(layer)
    return like_R_H_Q.new_full((like_R_H_Q.shape[1],), torch.nan) if levels is None else levels.nanmean(0)
