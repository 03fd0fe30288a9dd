"""The stages of a comparison, and the dialogues of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from telic.comparison.config import ComparisonConfig
from telic.models import Control
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.plan import DialoguePlan, plan_dialogues, replies_to_come

__all__ = ["BANK", "HELD_OUT", "TUNING", "StagePlans"]

TUNING, HELD_OUT, BANK = "tuning", "held-out", "bank"
"""The stages: strengths are chosen, then compared on other dialogues, and on those of the bank."""
TUNING_SHARE = 0.35
"""Share of the bank's triplets that only tuning dialogues use."""


class StagePlans:
    """Plans of every stage's dialogues. The tuning part shares neither triplets nor seeds with the rest."""

    def __init__(
        self,
        purpose: Purpose | Bank,
        partner: Purpose | Bank | None,
        config: ComparisonConfig,
        bank: Bank | None = None,
    ) -> None:
        self.purpose, self.partner, self.config = purpose, partner, config
        self.bank = purpose if isinstance(purpose, Bank) else bank or Bank.load()
        self.tuning, self.held_out = self.bank.split(TUNING_SHARE, config.seed)

    def of(self, stage: str) -> Callable[[Sequence[Control]], list[DialoguePlan]]:
        """Return a function that plans a stage's dialogues under given controls."""
        what = self.purpose
        if stage == BANK or isinstance(what, Bank):
            what = self.tuning if stage == TUNING else self.held_out
        count = {
            TUNING: self.config.tuning_dialogues,
            HELD_OUT: self.config.dialogues,
            BANK: self.config.bank_dialogues,
        }
        # The seeds of the stages are far apart, so that neighbouring seeds of a user share no dialogue either.
        offset = {TUNING: 1 << 20, HELD_OUT: 0, BANK: 1 << 21}
        settings = {"dialogues": count[stage], "seed": self.config.seed + offset[stage]}
        config = self.config.model_copy(update=settings)
        return lambda controls: plan_dialogues(what, None if stage == BANK else self.partner, config, controls)

    def systems(self) -> list[str]:
        """List the system prompts of all sides that controls act on."""
        own = [self.purpose.system_prompt] if isinstance(self.purpose, Purpose) else []
        general = [*self.tuning, *self.held_out] if not own or self.config.bank_dialogues else []
        return [*own, *(triplet.system for triplet in general)]

    def cost_systems(self) -> list[str]:
        """List the system prompts under which costs are measured: the purpose's own, or a few of the tuning part."""
        if isinstance(self.purpose, Purpose):
            return [self.purpose.system_prompt]
        return [triplet.system for triplet in self.tuning.sample(min(5, len(self.tuning)), self.config.seed)]

    def held_out_replies(self) -> int:
        """Count the replies of one arm after the tuning."""
        stages = [HELD_OUT, *([BANK] if self.config.bank_dialogues else [])]
        return sum(replies_to_come(self.of(stage)(()), self.config) for stage in stages)
