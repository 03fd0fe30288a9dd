"""Settings of a measurement of capability cost."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["CostConfig", "Form", "Normalise"]

Form = Literal["text", "letter"]
"""`text`: the question alone is asked, and each option is scored as the reply. `letter`: the options are listed with
letters, and the letters are scored; models of a billion parameters and more can do that, smaller ones guess."""

Normalise = Literal["none", "tokens", "characters"]
"""What the log-likelihood of an option is divided by, lest long options always lose."""


class CostConfig(BaseModel):
    """How capability is measured."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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

    @classmethod
    def of(cls, **settings: Any) -> CostConfig:
        """Make it from single settings.

        Raises:
            ConfigError: some are wrong; all of them are named, with what was found and what was expected.
        """
        try:
            return cls(**settings)
        except ValidationError as error:
            raise ConfigError("; ".join(_problems(error))) from None


def _problems(error: ValidationError) -> list[str]:
    problems = []
    for one in error.errors(include_url=False):
        name = ".".join(map(str, one["loc"]))
        if one["type"] == "extra_forbidden":
            problems.append(f"unknown setting {name!r}{suggest(name, list(CostConfig.model_fields))}")
        else:
            problems.append(f"{name} is {one['input']!r}; expected {one['msg'].removeprefix('Input should be ')}")
    return problems
