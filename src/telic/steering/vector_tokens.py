"""On which tokens of a forward pass a steering vector acts, and the levels that its closed loop measures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch

from telic.models.control import OPEN_END, ControlBatch, ControlContext
from telic.rendering import Span

__all__ = ["FirstReplyLevels", "LevelKey", "TokenSelection"]

LevelKey = tuple[int, str]
"""Layer and name of a direction."""


class FirstReplyLevels:
    """The projections that were measured on one dialogue's first reply; the engine copies them for each request."""

    def __init__(self) -> None:
        self.projections: dict[LevelKey, dict[int, float]] = {}
        """Per layer and direction, by position."""
        self.means: dict[LevelKey, float] = {}
        """Over the first reply of this request's prompt."""

    def note(self, key: LevelKey, position: int, value: float) -> None:
        """Note the projection of the token at a position."""
        self.projections.setdefault(key, {})[position] = value
        self.means.pop(key, None)

    def mean(self, key: LevelKey, span: Span) -> float:
        """Compute the mean over a span; NaN if no token of it was measured."""
        if key not in self.means:
            values = [value for at, value in self.projections.get(key, {}).items() if span.start <= at < span.end]
            self.means[key] = sum(values) / len(values) if values else math.nan
        return self.means[key]

    def __deepcopy__(self, memo: Any) -> FirstReplyLevels:
        twin = FirstReplyLevels()
        twin.projections = {key: dict(values) for key, values in self.projections.items()}
        return twin


class TokenSelection:
    """The tokens of one pass on which a vector acts, and those that it measures.

    Args:
        batch: the pass.
        positions: `reply`, `prompt` or `all`, as the vector's option.
        systems: the system prompts that have a direction of their own; None if all sequences share one.
        state_key: where `control_state` keeps the levels of the closed loop; None without a closed loop.
    """

    def __init__(
        self, batch: ControlBatch, positions: str, systems: Sequence[str] | None, state_key: str | None
    ) -> None:
        self.context_N, self.spans = batch.context_N, [context.first_reply for context in batch.contexts]
        limits_R_2 = batch.position_N.new_tensor([(span.start, span.end) for span in self.spans])
        start_N, end_N = limits_R_2[batch.context_N].T
        first_N = (batch.position_N >= start_N) & (batch.position_N < end_N)
        act_N = {"reply": batch.reply_N, "prompt": batch.position_N < start_N}.get(
            positions, torch.ones_like(batch.reply_N)
        )
        self.system_N: torch.Tensor | None = None
        """int64 [N]: index of each token's system prompt, if each has a direction of its own."""
        if systems is not None:
            places: dict[Any, int] = {system: place for place, system in enumerate(systems)}
            system_R = batch.position_N.new_tensor([places.get(_system(context), -1) for context in batch.contexts])
            system_N = system_R[batch.context_N]
            act_N, first_N = act_N & (system_N >= 0), first_N & (system_N >= 0)
            self.system_N = system_N.clamp(min=0)
        self.measured_M = first_N.new_zeros(0, dtype=torch.long)
        """int64 [M]: tokens of first replies, which the closed loop measures."""
        if state_key is not None:
            act_N = act_N & (batch.position_N >= end_N)
            self.measured_M = first_N.nonzero().flatten()
            self.levels: list[FirstReplyLevels] = [
                context.control_state.setdefault(state_key, FirstReplyLevels()) for context in batch.contexts
            ]
        self.act_N_1 = act_N[:, None]
        # To look would wait for a GPU, which computes a pass in vain sooner.
        self.acts = act_N.device.type != "cpu" or bool(act_N.any())
        self.measured: list[tuple[int, int]] = []
        """Context and position of each measured token."""
        if state_key is not None:
            indices, at = batch.context_N[self.measured_M].tolist(), batch.position_N[self.measured_M].tolist()
            self.measured = list(zip(indices, at, strict=True))

    def pick(self, table_S_X: torch.Tensor) -> torch.Tensor:
        """Return each token's line of a table with a line per system prompt; a single line is returned as it is."""
        return table_S_X if self.system_N is None else table_S_X[self.system_N]

    def measure(self, key: LevelKey, hidden_N_D: torch.Tensor, vector_S_D: torch.Tensor) -> None:
        """Note the projections of the first replies' tokens, each under its position."""
        projection_N = (hidden_N_D * self.pick(vector_S_D)).sum(-1)
        for (index, position), value in zip(self.measured, projection_N[self.measured_M].tolist(), strict=True):
            self.levels[index].note(key, position, value)

    def level(self, key: LevelKey) -> torch.Tensor:
        """Compute for each token the mean projection over its dialogue's first reply, [N, 1]; NaN if it is unknown."""
        pairs = zip(self.levels, self.spans, strict=True)
        means = [levels.mean(key, span) if span.end < OPEN_END else math.nan for levels, span in pairs]
        return torch.tensor(means, device=self.context_N.device)[self.context_N][:, None]


def _system(context: ControlContext) -> str | None:
    messages = context.rendering.messages
    return messages[0].content if messages and messages[0].role == "system" else None
