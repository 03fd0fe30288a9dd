"""Let controls change the logits of many rows: every engine that draws tokens itself does it here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from telic.models.control import Control, ControlContext

if TYPE_CHECKING:
    import torch

__all__ = ["LogitRow", "controlled_logits"]


@dataclass(frozen=True, slots=True)
class LogitRow:
    """One request whose next token is due."""

    controls: Sequence[Control]
    context: ControlContext
    """That of its primary prompt."""
    contrast: Sequence[tuple[int | None, torch.Tensor]] = ()
    """By contrast prompt: the place of its control among the request's, and its logits [V]."""


def controlled_logits(rows: Sequence[LogitRow], logits_R_V: torch.Tensor) -> torch.Tensor:
    """Let the controls of each row change its logits, in their order.

    Args:
        rows: the rows.
        logits_R_V: float32, of their primary prompts.
    """
    import torch

    most = max((len(row.controls) for row in rows), default=0)
    for place in range(most):
        carriers: dict[tuple[int, int], list[int]] = {}
        own_contrast: list[list[torch.Tensor]] = []
        for r, row in enumerate(rows):
            own_contrast.append([logits_V for owner, logits_V in row.contrast if owner == place])
            if place < len(row.controls) and "logits" in row.controls[place].points:
                carriers.setdefault((id(row.controls[place]), len(own_contrast[r])), []).append(r)
        for (_, count), chosen in carriers.items():
            control = rows[chosen[0]].controls[place]
            contexts = [rows[r].context for r in chosen]
            if count:
                others_K_R_V = torch.stack([torch.stack([own_contrast[r][k] for r in chosen]) for k in range(count)])
                changed = control.contrast_logits(contexts, logits_R_V[chosen], others_K_R_V)
            else:
                changed = control.logits(contexts, logits_R_V[chosen])
            logits_R_V = logits_R_V.index_copy(0, torch.tensor(chosen, device=logits_R_V.device), changed)
    return logits_R_V
