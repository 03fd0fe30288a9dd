"""How far controls move the next-token distributions: KL divergence along a given reply."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch

from telic.dialogue import Message
from telic.models.capabilities import Scorer
from telic.models.control import Control, ControlContext, ControlPoint
from telic.models.request import Continuation

__all__ = ["kl_divergence", "record_distributions"]

FLOOR = -30.0
"""Log-probabilities are at least this: a control that rules a token out has a large divergence, not an infinite one."""


class _DistributionRecorder(Control):
    """Records the next-token distributions along a reply that is scored, after the controls before it; changes nothing.

    Args:
        limit: positions of the reply to record, from its start.
        reference_T_V: log-probabilities to compare with; None to keep the distributions themselves.
        max_bytes: size of the kept distributions at most; it lowers the limit for large vocabularies.
    """

    name: ClassVar[str] = "recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __init__(self, limit: int, reference_T_V: torch.Tensor | None = None, max_bytes: int | None = None) -> None:
        self.limit, self.reference_T_V, self.max_bytes = limit, reference_T_V, max_bytes
        self.kept: dict[int, torch.Tensor] = {}
        self.kl: dict[int, float] = {}

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        """Keep the distribution, or its divergence from the reference."""
        for context, logits_V in zip(contexts, logits_R_V, strict=True):
            step = len(context.generated)
            if step >= self._steps(logits_V):
                continue
            log_q_V = torch.log_softmax(logits_V.float(), dim=-1).clamp_min(FLOOR)
            if self.reference_T_V is None:
                self.kept[step] = log_q_V.cpu()
            else:
                log_p_V = self.reference_T_V[step].to(log_q_V.device)
                # Rounding (and the floor) may take it below zero.
                self.kl[step] = float((log_p_V.exp() * (log_p_V - log_q_V)).sum().clamp_min(0.0))
        return logits_R_V

    def _steps(self, logits_V: torch.Tensor) -> int:
        if self.reference_T_V is not None:
            return len(self.reference_T_V)
        if self.max_bytes is None:
            return self.limit
        return min(self.limit, max(1, self.max_bytes // (4 * len(logits_V))))


def record_distributions(
    model: Scorer, messages: tuple[Message, ...], reply: str, *, limit: int, max_bytes: int
) -> torch.Tensor:
    """Record the model's next-token distributions along a reply, without controls.

    Returns:
        float32 [T, V]: log-probabilities at the first positions, at most `limit` and at most `max_bytes` in all.
    """
    # The recorder also sees the position after the reply's last token, which is not part of the reply.
    recorder = _DistributionRecorder(limit, max_bytes=max_bytes)
    tokens = model.score([Continuation(messages, reply)], [recorder])[0].tokens
    return torch.stack([recorder.kept[step] for step in range(min(tokens, len(recorder.kept)))])


def kl_divergence(
    model: Scorer,
    messages: tuple[Message, ...],
    reply: str,
    controls: Sequence[Control],
    reference_T_V: torch.Tensor,
) -> float | None:
    """Compute KL(uncontrolled || controlled) in nats per token, the mean over the reference's positions.

    The reply is forced, so that both distributions continue the same text. None if the result is not finite.
    """
    recorder = _DistributionRecorder(len(reference_T_V), reference_T_V)
    model.score([Continuation(messages, reply)], [*controls, recorder])
    value = sum(recorder.kl.values()) / len(recorder.kl)
    return value if math.isfinite(value) else None
