"""Refresh: the system prompt says in every turn what it would say in the first."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint
from telic.steering.anchor import begun_anew
from telic.steering.guidance import without_system

__all__ = ["Refresh"]


@dataclass(frozen=True)
class Refresh(Control):
    """Makes a token as much likelier as the system prompt makes it at the dialogue's first turn.

    `l_dialogue + strength max(0, log p_fresh_with - log p_fresh_without)`. Of two more streams, the first knows the
    system prompt and the last user message only, the second that message alone: what sets them apart is the system
    prompt's doing, while it was still heeded. (An expert and an anti-expert, as in DExperts, arXiv 2105.03023; both are
    the model.) What `guidance` multiplies is what is left of it in the whole dialogue, which falls to next to nothing
    within four exchanges; and unlike `anchor`, nothing is taken away from what the dialogue says.

    Only tokens that the first stream finds plausible are raised (a constraint of contrastive decoding, arXiv
    2210.15097): what it says of the others is noise. And none is lowered: all others keep their order, whatever the
    dialogue has said of them, so what the system prompt has no opinion on is answered as before.

    A token that the reply already has is not raised either: the system prompt has had its way there. Without this a
    small model that is to begin with a word says nothing but that word, again and again.

    In the first turn, where the whole dialogue and its end are one, the strength is one less, and not below zero: the
    system prompt has its first effect by itself.
    """

    strength: float = 1.5
    """0 raises nothing (and needs no stream), 1 gives back what the first turn had, more adds to it."""
    plausible: float = 0.1
    """How likely a token has to be under the system prompt, as a share of the likeliest one there; 0 raises all."""
    keep: int = 0
    """Exchanges before the last user message that the further streams still know."""
    against: str = ""
    """System prompt of the last stream; empty for none (where the chat template may put in one of its own)."""

    name: ClassVar[str] = "refresh"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf or not 0 <= self.plausible <= 1 or self.keep < 0:
            raise ConfigError(
                f"control 'refresh': strength = {self.strength!r}, plausible = {self.plausible!r}, keep = "
                f"{self.keep!r}; expected a strength of 0 or more, a share from 0 to 1, and a number of exchanges of 0 "
                "or more"
            )

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The end of the dialogue with the system prompt, and without; in the first turn only the latter."""
        if not self.strength or not messages or messages[0].role != "system":
            return ()
        fresh = begun_anew(messages, self.keep)
        if fresh is not None:
            return (fresh, without_system(fresh, self.against))
        return (without_system(messages, self.against),) if self.strength > 1 else ()

    def contrast(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Raise what the system prompt makes likelier."""
        first = len(contrast_K_R_V) == 1
        streams = (logits_R_V, contrast_K_R_V[0]) if first else contrast_K_R_V.unbind()
        with_R_V, without_R_V = (stream_R_V.log_softmax(-1) for stream_R_V in streams)
        effect_R_V = (with_R_V - without_R_V).clamp(min=0)
        if self.plausible:
            least_R_1 = with_R_V.amax(-1, keepdim=True) + math.log(self.plausible)
            effect_R_V = effect_R_V.where(with_R_V >= least_R_1, 0.0)
        for context, effect_V in zip(contexts, effect_R_V, strict=True):
            effect_V[torch.tensor(context.generated, dtype=torch.int64, device=effect_V.device)] = 0.0
        return logits_R_V + (self.strength - first) * effect_R_V
