"""Settings of a stability measurement."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["MeasureConfig"]


class MeasureConfig(BaseModel):
    """How the self-chats are played and probed."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rounds: int = Field(default=8, ge=0)
    """Rounds per dialogue; one round is one utterance of each side."""
    dialogues: int = Field(default=32, ge=1)
    """Dialogues; the intervals are over them."""
    samples: int = Field(default=2, ge=1)
    """Answers sampled per probe. With two or more, the curve over the followed probes chooses on half of them."""
    utterance_tokens: int = Field(default=100, ge=1)
    """New tokens of an utterance, at most."""
    answer_tokens: int = Field(default=50, ge=1)
    """New tokens of an answer to a probe, at most."""
    temperature: float = Field(default=1.0, ge=0)
    """Of utterances and answers; 0 is greedy."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus of utterances and answers."""
    seed: int = 0
    """Draws the pairs, the openers and all replies."""
    attention: bool = True
    """Read how much attention goes to the system prompt, where the model can be looked into."""
    concurrency: int = Field(default=32, ge=1)
    """Dialogues under way at once."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples behind every interval."""
