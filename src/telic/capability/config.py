"""Settings of a measurement of capability cost."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["CostConfig", "Form", "Normalise"]

Form = Literal["text", "letter"]
"""`text`: the question alone is asked, and each option is scored as the reply. `letter`: the options are listed with
letters, and the letters are scored; models with fewer than a billion parameters can only guess then."""

Normalise = Literal["none", "tokens", "characters"]
"""What the log-likelihood of an option is divided by, so that long options do not always lose."""


class CostConfig(Settings):
    """How capability is measured."""

    form: Form = "text"
    """How the items are asked: `text` scores each option as the reply, `letter` lists them and scores the letters."""
    normalise: Normalise = "characters"
    """What an option's log-likelihood is divided by: none, tokens, or characters."""
    reply_tokens: int = Field(default=48, ge=2)
    """New tokens of a reply to a neutral prompt, at most."""
    kl_tokens: int = Field(default=32, ge=1)
    """Tokens of each reply along which the next-token distributions are compared, at most."""
    temperature: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    """Of the replies; 0 is greedy."""
    top_p: float = Field(default=0.9, gt=0, le=1)
    """Nucleus of the replies."""
    seed: int = 0
    """Draws the replies, with and without the controls alike, and the bootstrap resamples."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples behind every interval."""
