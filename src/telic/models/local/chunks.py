"""The tokens of a forward pass, sequence by sequence, and what the controls on the residual stream do to them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from telic.models.control import Control, ControlBatch
from telic.models.local.sequences import Sequence as TokenSequence

__all__ = ["AppliedResidual", "Chunk", "by_control", "change_residual", "control_batch", "residual_controls"]


@dataclass(slots=True)
class Chunk:
    """The tokens of one sequence that a pass computes: [start, end)."""

    sequence: TokenSequence
    start: int
    end: int

    @property
    def logit_positions(self) -> range:
        """Positions in the chunk whose logits are wanted."""
        return range(max(self.start, self.sequence.logits_from), self.end)


@dataclass(slots=True)
class AppliedResidual:
    """A control on the residual stream in one pass."""

    control: Control
    batch: ControlBatch
    index_N: torch.Tensor
    """int64 [N]: where its tokens are in the pass."""


def by_control(chunks: Sequence[Chunk], point: str) -> list[tuple[Control, list[tuple[int, Chunk]]]]:
    """Controls that act at a point, with the chunks that carry them, so that each sequence's act in their own order."""
    found: dict[tuple[int, int], tuple[Control, list[tuple[int, Chunk]]]] = {}
    for index, chunk in enumerate(chunks):
        for depth, control in enumerate(chunk.sequence.controls):
            if point in control.points:
                found.setdefault((depth, id(control)), (control, []))[1].append((index, chunk))
    return [found[key] for key in sorted(found, key=lambda key: key[0])]


def control_batch(chunks: Sequence[Chunk], device: torch.device) -> ControlBatch:
    """Describe chunks, laid end to end, to the control that they carry."""
    position_N = _long((p for c in chunks for p in range(c.start, c.end)), device)
    context_N = _long((r for r, c in enumerate(chunks) for _ in range(c.start, c.end)), device)
    reply_N = torch.tensor([p for c in chunks for p in c.sequence.in_replies(c.start, c.end)], device=device)
    return ControlBatch([c.sequence.context for c in chunks], context_N, position_N, reply_N)


def residual_controls(chunks: Sequence[Chunk], offsets: Sequence[int], device: torch.device) -> list[AppliedResidual]:
    """Find the controls on the residual stream that act in a pass.

    Args:
        chunks: the tokens of the pass.
        offsets: where each chunk begins among them.
        device: that of the model.
    """
    found = []
    for control, members in by_control(chunks, "residual"):
        index = (offsets[i] + k for i, chunk in members for k in range(chunk.end - chunk.start))
        batch = control_batch([chunk for _, chunk in members], device)
        found.append(AppliedResidual(control, batch, _long(index, device)))
    return found


def change_residual(applied: Iterable[AppliedResidual], layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
    """Let controls change the residual stream of a pass after a layer."""
    for each in applied:
        if each.control.layers is None or layer in each.control.layers:
            part = each.control.residual(each.batch, layer, hidden_N_D[each.index_N])
            hidden_N_D = hidden_N_D.index_copy(0, each.index_N, part.to(hidden_N_D.dtype))
    return hidden_N_D


def _long(values: Iterable[int], device: torch.device) -> torch.Tensor:
    return torch.tensor(list(values), dtype=torch.long, device=device)
