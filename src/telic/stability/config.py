"""Settings of a stability measurement."""

from __future__ import annotations

from pydantic import Field

from telic.settings import Settings
from telic.stability.trunks import RecordedSide

__all__ = ["TOKENS_APART", "MeasureConfig", "TranscriptConfig", "TrunkSettings"]

TOKENS_APART = 500
"""Tokens between probes along a recorded dialogue, unless the settings say otherwise."""


class MeasureConfig(Settings):
    """Settings of self-chats and their probes."""

    rounds: int = Field(default=8, ge=0)
    """Rounds per dialogue; one round is one utterance of each side."""
    probe_every: int = Field(default=1, ge=1)
    """Ask the probes in round 0, then every this many rounds, and in the last round."""
    dialogues: int = Field(default=32, ge=1)
    """Number of dialogues. More dialogues make the intervals narrower."""
    samples: int = Field(default=2, ge=1)
    """Number of answers sampled per probe. With two or more, half of them decide which probes count as followed."""
    utterance_tokens: int | None = Field(default=None, ge=1)
    """Maximum number of new tokens of an utterance. By default the purpose's max_new_tokens, or else 100."""
    answer_tokens: int = Field(default=50, ge=1)
    """Maximum number of new tokens of an answer to a probe."""
    temperature: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Temperature of utterances and answers; 0 for greedy decoding. By default the purpose's, or else 1.0."""
    top_p: float | None = Field(default=None, gt=0, le=1)
    """Probability mass of nucleus sampling, for utterances and answers. By default the purpose's, or else 0.9."""
    seed: int = 0
    """Seed of the pairs, the openers and all replies."""
    attention: bool = True
    """Read attention to the system prompt, if the model offers it."""
    concurrency: int = Field(default=32, ge=1)
    """Number of dialogues played at once."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Play only what fits in about this many minutes, and report on that part; a resumed run plays the rest."""


class TrunkSettings(Settings):
    """How recorded dialogues are read and probed."""

    side: RecordedSide = "assistant"
    """Which recorded speaker the purpose stands in for: the assistant or the user."""
    probe_tokens: int | None = Field(default=None, ge=1)
    """Ask the probes each time the dialogue has grown by this many tokens, at the end of the round, and also before the
    dialogue and at its end. By default 500, unless --probe-every is given."""
    max_tokens: int | None = Field(default=None, ge=1)
    """Use at most this many tokens of each dialogue. By default as many as fit in the model's context."""
    join: int | None = Field(default=None, ge=1)
    """Join recorded dialogues until they have this many tokens. By default they are not joined."""


class TranscriptConfig(TrunkSettings, MeasureConfig):
    """Settings of a measurement on recorded dialogues. Nothing is said in them, so `utterance_tokens` plays no part."""

    rounds: int = Field(default=0, ge=0)
    """Maximum number of rounds of each dialogue; 0 for all."""

    @property
    def tokens_apart(self) -> int | None:
        """Tokens between probes; None if they are asked by rounds."""
        if self.probe_tokens is None and self.probe_every == 1:
            return TOKENS_APART
        return self.probe_tokens
