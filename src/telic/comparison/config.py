"""Settings of a comparison of controls."""

from __future__ import annotations

from pydantic import Field

from telic.stability.config import MeasureConfig

__all__ = ["ComparisonConfig"]


class ComparisonConfig(MeasureConfig):
    """Settings of a comparison of controls."""

    dialogues: int = Field(default=24, ge=2)
    """Number of dialogues on which the chosen strengths are compared. The intervals are over them."""
    tuning_dialogues: int = Field(default=12, ge=1)
    """Number of further dialogues, on which the strengths are chosen."""
    bank_dialogues: int = Field(default=0, ge=0)
    """Number of dialogues from the bank on which the chosen strengths are compared as well, to see whether the result
    holds in general."""
    samples: int = Field(default=1, ge=1)
    """Answers sampled per probe."""
    utterance_tokens: int | None = Field(default=60, ge=1)
    """Maximum number of new tokens of an utterance."""
    answer_tokens: int = Field(default=30, ge=1)
    """Maximum number of new tokens of an answer to a probe."""
    budget: float = Field(default=0.03, ge=0, le=1)
    """Largest share of the multiple-choice questions, and of those about the dialogue, that a control may lose."""
    questions: int = Field(default=160, ge=2, le=225)
    """Number of multiple-choice questions that measure the cost: half for tuning, half for the reported cost."""
    controls: tuple[str, ...] = ()
    """Controls to compare. By default all that the model supports. `refresh` is tried at several strengths,
    `refresh:strength=2` only at this one. A control with a single strength plays no tuning dialogues."""
