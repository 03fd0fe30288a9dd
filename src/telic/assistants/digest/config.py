"""The table `[digest]` of a purpose file: what is read, and how much of it is shown."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["DigestConfig"]


def _words(text: str) -> str:
    if not any(map(str.isalnum, text)):
        raise ValueError("some words")
    return text


Words = Annotated[str, AfterValidator(_words)]


class DigestConfig(Settings):
    """Settings of the morning digest."""

    sources: Annotated[tuple[dict[str, Any], ...], Field(min_length=1)]
    """What is read: tables with the `kind` of the source, its settings, and a `name` if you like. `{ kind = "feed",
    url = "https://example.org/feed.xml" }`"""
    items: Annotated[int, Field(ge=1, le=100)] = 10
    """Most items of a digest."""
    topics: tuple[Words, ...] = ()
    """What you want to read about, in a few words each: `["night trains", "compilers"]`."""
    avoid: tuple[Words, ...] = ()
    """What you do not want to read about."""
    most_per_source: Annotated[int | None, Field(ge=1)] = None
    """Most items of one source. By default half of `items`."""
    max_age_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 14.0
    """Days after which an item is too old to show."""
    half_life_days: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 14.0
    """Days after which a reaction counts for half. The words of `topics`, and what you said in a chat, last longer."""
    summaries: Literal["extractive", "model"] = "extractive"
    """`extractive`: sentences of the item. `model`: one sentence by the purpose's model, if it keeps to the item."""
    timeout: Annotated[float, Field(gt=0, le=600, allow_inf_nan=False)] = 30.0
    """Seconds that reading one source may take."""
    max_megabytes: Annotated[float, Field(gt=0, le=500, allow_inf_nan=False)] = 10.0
    """Largest answer of a server, or file, unpacked."""

    @classmethod
    def of_purpose(cls, purpose: Purpose) -> DigestConfig | None:
        """Read the settings of a purpose file; None if it has no table `[digest]`.

        Raises:
            ConfigError: a setting is invalid; the message names its line.
        """
        return purpose.settings_of("digest", cls)

    @property
    def source_limit(self) -> int:
        """Most items of one source."""
        return self.most_per_source or -(-self.items // 2)
