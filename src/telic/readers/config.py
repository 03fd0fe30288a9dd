"""Settings of the training of readers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.readers.attributes import ATTRIBUTES, SUBJECTS
from telic.settings import Settings

__all__ = ["TrainConfig"]


class TrainConfig(Settings):
    """How readers are trained."""

    attributes: tuple[str, ...] = tuple(ATTRIBUTES)
    """Which attributes: age, gender, education, socioeconomic."""
    subjects: tuple[Literal["user", "self"], ...] = SUBJECTS
    """Whose: the user's, the model's own (self), or both."""
    per_class: int = Field(default=60, ge=10)
    """Conversations of each class, all parts of the split together."""
    max_tokens: int = Field(default=256, ge=32)
    """Length of what is read of a conversation."""
    reply_tokens: int = Field(default=32, ge=4)
    """Length of the model's own replies in the dialogues of which the readers of itself learn."""
    precision: float = Field(default=0.8, gt=0, lt=1)
    """Share of readings in validation that must be right for a confidence to be enough; below it is `unknown`. Some are
    of dialogues in which the one who is asked about shows nothing, where any answer is wrong."""
    seed: int = 0
    """Draws the sample, the split, and the model's own replies."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples behind every interval."""
