"""Settings of `tune`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["TuningConfig", "TuningMethod"]

TuningMethod = Literal["kto", "dpo", "sft"]
"""`kto`: from single replies that were good or bad (arXiv 2402.01306). `dpo`: from pairs of replies (arXiv 2305.18290).
`sft`: imitation of the good replies, which filtered cloning is called too."""


class TuningConfig(Settings):
    """Settings of the training of an adapter."""

    method: TuningMethod = "kto"
    """How it is trained."""
    epochs: int = Field(default=3, ge=1)
    """Passes over the training examples, at most."""
    batch: int = Field(default=8, ge=2)
    """Examples of a step. KTO estimates the divergence from the base model within it."""
    learning_rate: float = Field(default=2e-4, gt=0, allow_inf_nan=False)
    """Learning rate of AdamW, after a short warm-up; it decays linearly."""
    beta: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    """KTO, DPO: how much the model pays for leaving the base model. A reward is beta times the log-ratio of both."""
    rank: int = Field(default=16, ge=1)
    """Rank of the update of every linear layer (LoRA, arXiv 2106.09685); its scale is twice the rank."""
    max_tokens: int = Field(default=512, ge=16)
    """Longest example. The oldest messages of a longer one are dropped; one whose reply alone is longer is left out."""
    held_out: float = Field(default=0.25, gt=0, lt=1)
    """Share of the users whose conversations are only evaluated on."""
    examples: int | None = Field(default=None, ge=8)
    """Train on this many examples, drawn at random; None for all."""
    least: int = Field(default=20, ge=4)
    """Fewer examples than this are refused."""
    patience: int = Field(default=2, ge=1)
    """Stop after this many evaluations in a row without a lower loss on the held-out users. Two in an epoch."""
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Train about this many minutes at most, evaluation included."""
    seed: int = 0
    """Seed of the split, of the order of the examples, and of the initial weights."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples of each interval."""

    @property
    def identity(self) -> dict[str, object]:
        """The settings that decide what is learnt; a time limit only decides how much of it."""
        return self.model_dump(exclude={"minutes", "resamples"})
