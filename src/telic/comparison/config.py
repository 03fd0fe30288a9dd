"""Settings of a comparison of controls."""

from __future__ import annotations

from pydantic import Field

from telic.stability.config import MeasureConfig

__all__ = ["ComparisonConfig"]


class ComparisonConfig(MeasureConfig):
    """How controls are compared."""

    dialogues: int = Field(default=24, ge=2)
    """Dialogues on which the chosen strengths are compared; the intervals are over them."""
    tuning_dialogues: int = Field(default=12, ge=1)
    """Dialogues on which strengths are chosen, other ones than those."""
    bank_dialogues: int = Field(default=0, ge=0)
    """Dialogues of the bank's triplets on which the chosen strengths are compared as well: does it hold in general?"""
    samples: int = Field(default=1, ge=1)
    """Answers sampled per probe."""
    utterance_tokens: int | None = Field(default=60, ge=1)
    """New tokens of an utterance, at most."""
    answer_tokens: int = Field(default=30, ge=1)
    """New tokens of an answer to a probe, at most."""
    budget: float = Field(default=0.03, ge=0, le=1)
    """Share of the multiple-choice questions that a control may cost, and of those about the dialogue."""
    questions: int = Field(default=160, ge=2, le=225)
    """Multiple-choice questions behind each cost: one half to choose by, the other to report."""
    controls: tuple[str, ...] = ()
    """Controls to compare; by default all that the model supports. `refresh` is tried at several strengths,
    `refresh:strength=2` at that one only; a control with one strength plays no tuning dialogues."""
