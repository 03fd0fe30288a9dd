"""Settings for training readers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.readers.attributes import ATTRIBUTES, SUBJECTS
from telic.settings import Settings

__all__ = ["EvaluationConfig", "ReaderTrainingConfig"]


class ReaderTrainingConfig(Settings):
    """How readers are trained."""

    attributes: tuple[str, ...] = tuple(ATTRIBUTES)
    """Attributes to train readers of: age, gender, education, socioeconomic."""
    subjects: tuple[Literal["user", "self"], ...] = SUBJECTS
    """Subjects of the readers: the user, the model itself (self), or both."""
    per_class: int = Field(default=60, ge=10)
    """Number of conversations of each class, over all parts of the split."""
    max_tokens: int = Field(default=256, ge=32)
    """Maximum number of tokens that are read of a conversation."""
    reply_tokens: int = Field(default=32, ge=4)
    """Length of the model's own replies, in the dialogues on which readers of the model itself are trained."""
    precision: float = Field(default=0.8, gt=0, lt=1)
    """Share of validation readings at or above the confidence threshold that must be right; below the threshold, the
    reading is `unknown`. Where a validation dialogue gives no evidence of the attribute, any answer is wrong."""
    natural: bool = True
    """Evaluate the readers on natural messages too, for the card."""
    seed: int = 0
    """Seed of the sample, the split, and the model's own replies."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""


class EvaluationConfig(Settings):
    """How the figures of an evaluation are estimated."""

    seed: int = 0
    """Seed of the bootstrap."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""
