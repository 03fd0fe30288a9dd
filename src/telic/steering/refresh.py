"""Refresh: gives the system prompt in every turn the effect that it has in the first."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import Control, ControlContext, ControlPoint
from telic.steering.anchor import first_turn_prompt
from telic.steering.guidance import without_system

__all__ = ["Refresh", "check_effect_settings", "on_plausible"]


@dataclass(frozen=True)
class Refresh(Control):
    """Changes a token's logit by as much as the system prompt changes it at the dialogue's first turn.

    `l_dialogue + strength (log p_first_with - log p_first_without)`. There are two contrast prompts: the system prompt
    and the last user message only, and that message alone. Their difference is the system prompt's effect in a first
    turn. (An expert and an anti-expert, as in DExperts, arXiv 2105.03023; both are the model.) `guidance` multiplies
    the effect that is left in the whole dialogue instead, which nearly vanishes within four exchanges. Unlike `anchor`,
    this control takes no effect of the dialogue away.

    Only tokens that are plausible in the dialogue or under a contrast prompt are changed (a constraint of contrastive
    decoding, arXiv 2210.15097, which looks at one of them): for the others the difference is noise. So where the system
    prompt has no effect, the model answers as before.

    In the first turn the first contrast prompt is the whole dialogue. There the strength is one less, but at least 0,
    since the system prompt has its first effect without the control.
    """

    strength: float = 2.0
    """0 is the model without the control (and needs no contrast prompts), 1 restores the first turn's effect, more
    amplifies it."""
    plausible: float = 0.1
    """Least probability of a token in the dialogue or under one of the contrast prompts, as a share of that of the most
    likely token there; 0 changes all tokens."""
    keep: int = 0
    """Exchanges before the last user message that the contrast prompts include."""
    against: str = ""
    """System prompt of the second contrast prompt; empty for none (the chat template may then insert a default one)."""

    name: ClassVar[str] = "refresh"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"logits"})

    def __post_init__(self) -> None:
        check_effect_settings(self.name, self.strength, self.plausible, self.keep)

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """The end of the dialogue with the system prompt, and without it; in the first turn only the latter."""
        if not self.strength or not messages or messages[0].role != "system":
            return ()
        first = first_turn_prompt(messages, self.keep)
        if first is not None:
            return (first, without_system(first, self.against))
        return (without_system(messages, self.against),) if self.strength > 1 else ()

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Change the logits by the system prompt's effect."""
        in_first_turn = len(contrast_K_R_V) == 1
        pair = (logits_R_V, contrast_K_R_V[0]) if in_first_turn else contrast_K_R_V.unbind()
        with_R_V, without_R_V = (logits.log_softmax(-1) for logits in pair)
        effect_R_V = on_plausible(with_R_V - without_R_V, (logits_R_V, *contrast_K_R_V), self.plausible)
        return logits_R_V + (self.strength - in_first_turn) * effect_R_V


def check_effect_settings(name: str, strength: float, plausible: float, keep: int) -> None:
    """Check the settings that controls with a first turn's effect share.

    Raises:
        ConfigError: one is out of range.
    """
    if not 0 <= strength < math.inf or not 0 <= plausible <= 1 or keep < 0:
        raise ConfigError(
            f"control {name!r}: strength = {strength!r}, plausible = {plausible!r}, keep = {keep!r}; expected a "
            "strength of 0 or more, plausible from 0 to 1, and keep of 0 or more"
        )


def on_plausible(effect_R_V: torch.Tensor, logits: Iterable[torch.Tensor], share: float) -> torch.Tensor:
    """Keep an effect on tokens that are plausible under one of several prompts.

    Args:
        effect_R_V: what is added to the logits.
        logits: under each prompt, [R, V].
        share: least probability of a plausible token, as a share of that of the most likely one; 0 keeps all.
    """
    if not share:
        return effect_R_V
    plausible_R_V = torch.zeros_like(effect_R_V, dtype=torch.bool)
    for logits_R_V in logits:
        plausible_R_V |= logits_R_V >= logits_R_V.amax(-1, keepdim=True) + math.log(share)
    return effect_R_V.where(plausible_R_V, 0.0)
