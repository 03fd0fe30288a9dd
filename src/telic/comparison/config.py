"""Settings of a comparison of controls."""

from __future__ import annotations

from pydantic import Field

from telic.stability.config import MeasureConfig

__all__ = ["ComparisonConfig"]


class ComparisonConfig(MeasureConfig):
    """Settings of a comparison of controls."""

    dialogues: int = Field(default=24, ge=2)
    """Number of dialogues on which the chosen strengths are compared; the intervals are over them."""
    tuning_dialogues: int = Field(default=12, ge=1)
    """Number of other dialogues, on which the strengths are chosen."""
    bank_dialogues: int = Field(default=0, ge=0)
    """Number of dialogues of the bank's triplets on which the chosen strengths are compared as well, to see whether the
    result holds in general."""
    samples: int = Field(default=1, ge=1)
    """Answers sampled per probe."""
    utterance_tokens: int | None = Field(default=60, ge=1)
    """Maximum number of new tokens of an utterance."""
    answer_tokens: int = Field(default=30, ge=1)
    """Maximum number of new tokens of an answer to a probe."""
    budget: float = Field(default=0.03, ge=0, le=1)
    """Largest share of the multiple-choice questions, and of those about the dialogue, that a control may lose."""
    questions: int = Field(default=160, ge=2, le=225)
    """Multiple-choice questions by which costs are measured: one half for tuning, the other for the reported costs."""
    controls: tuple[str, ...] = ()
    """Controls to compare; by default all that the model supports. `refresh` is tried at several strengths,
    `refresh:strength=2` at this one only. A control with one strength plays no tuning dialogues."""
