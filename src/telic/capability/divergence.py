"""How far controls move the next-token distributions: KL divergence along a given reply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch

from telic.capability.scoring import Scorer
from telic.dialogue import Message
from telic.models.control import Control, ControlContext, ControlPoint
from telic.models.request import Continuation

__all__ = ["divergence", "record"]

FLOOR = -30.0
"""Log-probabilities are taken as at least this: a control that rules a token out has a large divergence, not an
infinite one."""


class _Recorder(Control):
    """Sees what the controls before it make of the logits of a reply that is scored, and changes nothing.

    Args:
        limit: positions of the reply that are looked at, from its start.
        reference_T_V: log-probabilities to compare with; None to keep those seen.
        max_bytes: of what is kept; it lowers the limit for large vocabularies.
    """

    name: ClassVar[str] = "recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, limit: int, reference_T_V: torch.Tensor | None = None, max_bytes: int | None = None) -> None:
        self.limit, self.reference_T_V, self.max_bytes = limit, reference_T_V, max_bytes
        self.kept: dict[int, torch.Tensor] = {}
        self.kl: dict[int, float] = {}

    def logits(self, rows: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        """Note the distribution, or its divergence from the reference."""
        for row, logits_V in zip(rows, logits_R_V, strict=True):
            step = len(row.generated)
            if step >= self._steps(logits_V):
                continue
            log_q_V = torch.log_softmax(logits_V.float(), dim=-1).clamp_min(FLOOR)
            if self.reference_T_V is None:
                self.kept[step] = log_q_V.cpu()
            else:
                log_p_V = self.reference_T_V[step].to(log_q_V.device)
                # Rounding (and the floor) may take it below zero, where no divergence is.
                self.kl[step] = float((log_p_V.exp() * (log_p_V - log_q_V)).sum().clamp_min(0.0))
        return logits_R_V

    def _steps(self, logits_V: torch.Tensor) -> int:
        if self.reference_T_V is not None:
            return len(self.reference_T_V)
        if self.max_bytes is None:
            return self.limit
        return min(self.limit, max(1, self.max_bytes // (4 * len(logits_V))))


def record(model: Scorer, messages: tuple[Message, ...], reply: str, *, limit: int, max_bytes: int) -> torch.Tensor:
    """The model's own next-token distributions along a reply.

    Returns:
        float32 [T, V]: log-probabilities at the first positions, at most `limit` and at most `max_bytes` in all.
    """
    # The position after the reply's last token is seen too; what comes there is not part of the reply.
    recorder = _Recorder(limit, max_bytes=max_bytes)
    tokens = model.score([Continuation(messages, reply)], [recorder])[0].tokens
    return torch.stack([recorder.kept[step] for step in range(min(tokens, len(recorder.kept)))])


def divergence(
    model: Scorer,
    messages: tuple[Message, ...],
    reply: str,
    controls: Sequence[Control],
    reference_T_V: torch.Tensor,
) -> float | None:
    """KL(uncontrolled || controlled) in nats a token, mean over the reference's positions.

    The reply is forced, so that both distributions continue the same text. None where it is not a number.
    """
    recorder = _Recorder(len(reference_T_V), reference_T_V)
    model.score([Continuation(messages, reply)], [*controls, recorder])
    value = sum(recorder.kl.values()) / len(recorder.kl)
    return value if math.isfinite(value) else None
