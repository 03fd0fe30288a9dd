"""How a pair programmer works."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["PairConfig"]


class PairConfig(Settings):
    """How a pair programmer works on an issue, and what it may use up."""

    ask: Literal["when_needed", "always", "never"] = "when_needed"
    """When it asks the author: if the answer would change the patch, as often as it may, or never."""
    questions: Annotated[int, Field(ge=0, le=10)] = 3
    """Questions that it may ask."""
    mode: Literal["auto", "functions", "tools"] = "auto"
    """How it works. `functions`: Telic looks and edits, and the model only writes the changed function; for small
    models. `tools`: the model calls tools that search, read, edit and run. `auto`: tools for a model behind an
    endpoint."""
    samples: Annotated[int, Field(ge=1, le=32)] = 3
    """With `functions`: versions of the function that are drawn at first. The tests choose among them."""
    repairs: Annotated[int, Field(ge=0, le=20)] = 2
    """With `functions`: further rounds, each with what the tests say of the best version."""
    steps: Annotated[int, Field(ge=1)] = 60
    """Replies of the model."""
    tokens: Annotated[int, Field(ge=1)] = 60_000
    """Tokens that the model may write."""
    minutes: Annotated[float, Field(gt=0)] | None = None
    """Time for one issue, without that in which a person is waited for."""
