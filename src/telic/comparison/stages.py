"""The stages of a comparison, and the dialogues of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from telic.comparison.config import ComparisonConfig
from telic.errors import ConfigError
from telic.models import Control
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.plan import DialoguePlan, plan_dialogues, replies_to_come

__all__ = ["BANK", "HELD_OUT", "TUNING", "StagePlans"]

TUNING, HELD_OUT, BANK = "tuning", "held-out", "bank"
"""The stages: strengths are chosen, then compared on other dialogues; then the winner on those of a bank."""
TUNING_SHARE = 0.35
"""Share of a bank's triplets that only tuning dialogues use."""
TRANSFER_BANK = "ifeval"
"""Where none is given: its held-out half, on which no control of Telic's was designed."""


class StagePlans:
    """Plans of every stage's dialogues.

    The tuning part shares no seeds with the rest, and no triplets unless the bank is too small to be split.
    """

    def __init__(
        self,
        purpose: Purpose | Bank,
        partner: Purpose | Bank | None,
        config: ComparisonConfig,
        bank: Bank | None = None,
    ) -> None:
        self.purpose, self.partner, self.config = purpose, partner, config
        self.bank = bank
        """On which the winner is compared with the baseline once more; None if that is left out."""
        if bank is None and isinstance(purpose, Purpose) and config.bank_dialogues:
            _, self.bank = Bank.find(TRANSFER_BANK).split(0.5, 0)
        self.halves = _halves(purpose, config.seed) if isinstance(purpose, Bank) else None

    @property
    def shares_triplets(self) -> bool:
        """Whether tuning dialogues use the same triplets as the others, because the bank is too small to be split."""
        return self.halves is not None and self.halves[0] is self.halves[1]

    def of(self, stage: str) -> Callable[[Sequence[Control]], list[DialoguePlan]]:
        """Return a function that plans a stage's dialogues under given controls."""
        what: Purpose | Bank | None = self.purpose
        if stage == BANK:
            what = self.bank
        elif self.halves:
            what = self.halves[stage == HELD_OUT]
        assert what is not None
        count = {
            TUNING: self.config.tuning_dialogues,
            HELD_OUT: self.config.dialogues,
            BANK: self.config.bank_dialogues,
        }
        # The seeds of the stages are far apart, so that neighbouring seeds of a user share no dialogue either.
        offset = {TUNING: 1 << 20, HELD_OUT: 0, BANK: 1 << 21}
        settings = {"dialogues": count[stage], "seed": self.config.seed + offset[stage]}
        config = self.settings(stage).model_copy(update=settings)
        return lambda controls: plan_dialogues(what, None if stage == BANK else self.partner, config, controls)

    def settings(self, stage: str) -> ComparisonConfig:
        """Return the settings of a stage: a bank's probes are asked before the dialogue and after it only."""
        if stage != BANK:
            return self.config
        return self.config.model_copy(update={"probe_every": max(1, self.config.rounds)})

    def systems(self) -> list[str]:
        """List the system prompts of all sides that controls act on."""
        if isinstance(self.purpose, Purpose):
            return [self.purpose.system_prompt]
        return [triplet.system for half in self.halves or () for triplet in half]

    def cost_systems(self) -> list[str]:
        """List the system prompts under which costs are measured: the purpose's own, or a few of the tuning part."""
        if self.halves is None:
            return self.systems()
        tuning, _ = self.halves
        return [triplet.system for triplet in tuning.sample(min(5, len(tuning)), self.config.seed)]

    def replies(self, stage: str) -> int:
        """Count the replies of one arm in a stage."""
        return replies_to_come(self.of(stage)(()), self.settings(stage))


def _halves(bank: Bank, seed: int) -> tuple[Bank, Bank]:
    """Split a bank into a tuning part and the rest; twice the whole bank where a part would have no pair."""
    try:
        halves = bank.split(TUNING_SHARE, seed)
    except ConfigError:  # a family with a single system prompt
        return bank, bank
    return halves if min(map(len, halves)) > 1 else (bank, bank)
