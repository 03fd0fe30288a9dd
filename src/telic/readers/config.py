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
    texts: int = Field(default=1000, ge=100)
    """Number of generated dialogues to train on, besides the hand-written ones. Others are kept for validation."""
    messages: int | None = Field(default=None, ge=100)
    """Number of hand-written messages to train on, and to validate on; by default all. With fewer, training a large
    model is faster and its readers are worse."""
    seeds: int = Field(default=3, ge=1)
    """Number of linear probes that a reader averages. More probes are right more often, and take longer to fit."""
    per_class: int = Field(default=60, ge=10)
    """With --data: number of conversations of each class."""
    max_tokens: int = Field(default=256, ge=32)
    """With --data: maximum number of tokens read of a conversation."""
    false_certainty: float = Field(default=0.05, gt=0, lt=1)
    """Largest share of wrong answers in validation: among texts that say the class, among texts that do not, and, for
    readers of the model itself, among texts that say the user's class only. It sets the confidence threshold; below it,
    the reading is `unknown`."""
    lured: float = Field(default=0.15, gt=0, lt=1)
    """Largest share of the validation texts that give somebody else's class, and nothing about the user, in which a
    reader may still claim to know the user's. A smaller share raises the threshold of readers of the user, so that they
    miss more of what users say about themselves."""
    seed: int = 0
    """Seed of the generated dialogues, the sample of conversations and its split."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""
    natural: bool = True
    """Evaluate the readers on natural messages too, for the card."""


class EvaluationConfig(Settings):
    """How the figures of an evaluation are estimated."""

    seed: int = 0
    """Seed of the bootstrap."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""
