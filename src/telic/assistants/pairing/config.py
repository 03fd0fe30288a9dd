"""How a pair programmer works."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["PairConfig"]


class PairConfig(Settings):
    """How a pair programmer works on an issue, and what it may use up."""

    ask: Literal["when_needed", "always", "never"] = "when_needed"
    """When to ask the author: only if the answer would change the patch, as often as --questions allows, or never."""
    questions: Annotated[int, Field(ge=0, le=10)] = 3
    """Maximum number of questions."""
    mode: Literal["auto", "functions", "tools"] = "auto"
    """How the patch is made. `functions`: Telic searches and edits, and the model only writes the changed function; for
    small models. `tools`: the model calls tools that search, read, edit and run. `auto`: `tools` for a model behind an
    endpoint, else `functions`."""
    samples: Annotated[int, Field(ge=1, le=32)] = 3
    """With `functions`: number of versions of the function to sample first. The tests choose among them."""
    repairs: Annotated[int, Field(ge=0, le=20)] = 2
    """With `functions`: number of further rounds. Each shows the model the test results of the best version."""
    steps: Annotated[int, Field(ge=1)] = 60
    """Maximum number of replies of the model."""
    tokens: Annotated[int, Field(ge=1)] = 60_000
    """Maximum number of tokens that the model may generate."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Time limit for one issue. The time that a person takes to answer does not count."""
