"""Restore: gives the system prompt the effect of a first turn, as far as the dialogue has lost it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint
from telic.steering.refresh import first_turn_contrast

__all__ = ["Restore"]


@dataclass(frozen=True)
class Restore(Control):
    """Brings the system prompt's effect on the next token to a multiple of what it is in a first turn.

    `l_dialogue + max(0, strength - left) effect`. The `effect` is the system prompt's in a first turn, as in `refresh`:
    `log p_first_with - log p_first_without`. Unlike there, it acts on all tokens, up and down.

    `left` is the share of the effect that the dialogue still shows: the coefficient of `log p_dialogue - log
    p_first_without` on `effect`, by least squares over the tokens, weighted by `p_first_with + p_first_without`. Where
    the effect holds, less is done. In the first turn `left` is 1, and the control is `guidance` of the same strength.

    A token that would repeat the last `repeat` tokens of the reply is not raised. That ends loops, and unlike in
    `refresh` a word may come again.
    """

    strength: float = 3.0
    """0 is the model without the control (and needs no contrast prompts), 1 restores the first turn's effect, more
    amplifies it."""
    repeat: int = 3
    """Length in tokens from which on a repetition is not encouraged."""
    keep: int = 0
    """Exchanges before the last user message that the contrast prompts include."""
    against: str = ""
    """System prompt of the second contrast prompt; empty for none (the chat template may then insert a default one)."""

    name: ClassVar[str] = "restore"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        if not 0 <= self.strength < math.inf or self.keep < 0 or self.repeat < 1:
            raise ConfigError(
                f"control 'restore': strength = {self.strength!r}, repeat = {self.repeat!r}, keep = {self.keep!r}; "
                "expected a strength of 0 or more, repeat of 1 or more, and keep of 0 or more"
            )

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The end of the dialogue with the system prompt, and without it; in the first turn only the latter."""
        return first_turn_contrast(messages, self.strength, self.keep, self.against)

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Raise and lower tokens as the system prompt does, by what is lost of its effect."""
        in_first_turn = len(contrast_K_R_V) == 1
        pair = (logits_R_V, contrast_K_R_V[0]) if in_first_turn else contrast_K_R_V.unbind()
        with_R_V, without_R_V = (logits.log_softmax(-1) for logits in pair)
        effect_R_V = with_R_V - without_R_V
        shown_R_V = logits_R_V.log_softmax(-1) - without_R_V
        weighted_R_V = (with_R_V.exp() + without_R_V.exp()) * effect_R_V
        square_R_1 = (weighted_R_V * effect_R_V).sum(-1, keepdim=True)
        left_R_1 = (weighted_R_V * shown_R_V).sum(-1, keepdim=True) / square_R_1.clamp(min=1e-9)
        change_R_V = (self.strength - left_R_1.clamp(min=0)).clamp(min=0) * effect_R_V
        for context, change_V in zip(contexts, change_R_V, strict=True):
            again = torch.tensor(self._repetitions(context.generated), dtype=torch.int64, device=change_V.device)
            change_V[again] = change_V[again].clamp(max=0)
        return logits_R_V + change_R_V

    def _repetitions(self, reply: Sequence[int]) -> list[int]:
        """List the tokens with which the reply would end in `repeat` tokens that it has already."""
        last = self.repeat - 1
        end = list(reply[len(reply) - last :])
        return [reply[i + last] for i in range(len(reply) - last) if list(reply[i : i + last]) == end]
