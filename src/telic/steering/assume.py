"""Assume: a statement, such as who the user is, has the effect that it would have if the system prompt said it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from telic.dialogue import Message
from telic.models.control import Control, ControlContext, ControlPoint
from telic.steering.anchor import first_turn_prompt
from telic.steering.refresh import check_effect_settings, on_plausible

__all__ = ["Assume"]


@dataclass(frozen=True)
class Assume(Control):
    """Lets the model reply as if its system prompt said something more, in every turn as in the first.

    `l_dialogue + strength (log p_first_with - log p_first_without)`. There are two contrast prompts: the system prompt
    and the last user message, with the statement and without it; in the first turn, the latter is the dialogue itself.
    (An expert and an anti-expert, as in DExperts, arXiv 2105.03023; both are the model.) As with `refresh`, only tokens
    that are plausible somewhere are changed, and a long dialogue does not weaken the effect.

    The statement is in no prompt that the dialogue goes on with. So it changes what the model says, not what it has
    read, and it can change at every turn without reading the dialogue again. A small model may recite it, as it recites
    its system prompt.
    """

    text: str = ""
    """The statement, such as "You are talking to a child of eight."; empty is the model without the control."""
    strength: float = 2.0
    """0 is the model without the control (and needs no contrast prompts), 1 gives the statement the effect that it has
    in a system prompt, more amplifies it."""
    plausible: float = 0.1
    """Least probability of a token in the dialogue or under one of the contrast prompts, as a share of that of the most
    likely token there; 0 changes all tokens."""
    keep: int = 0
    """Exchanges before the last user message that the contrast prompts include."""

    name: ClassVar[str] = "assume"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        check_effect_settings(self.name, self.strength, self.plausible, self.keep)

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The end of the dialogue with the statement in its system prompt, and, unless that is all of it, without."""
        if not self.strength or not self.text.strip() or not messages:
            return ()
        first = first_turn_prompt(messages, self.keep)
        end = first or messages
        system, rest = (end[0].content, end[1:]) if end[0].role == "system" else ("", end)
        said = Message(role="system", content=f"{system} {self.text}".strip())
        return ((said, *rest), *((first,) if first else ()))

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Change the logits by the statement's effect."""
        without_R_V = contrast_K_R_V[1] if len(contrast_K_R_V) > 1 else logits_R_V
        effect_R_V = contrast_K_R_V[0].log_softmax(-1) - without_R_V.log_softmax(-1)
        effect_R_V = on_plausible(effect_R_V, (logits_R_V, *contrast_K_R_V), self.plausible)
        return logits_R_V + self.strength * effect_R_V
