"""The settings of a server: the table `[serve]` of a purpose file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from telic.errors import ConfigError
from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["ServeConfig"]

Count = Annotated[int, Field(ge=1)]


class ServeConfig(Settings):
    """What a server takes in, keeps and gives out."""

    store: str = "telic.db"
    """Where conversations are kept: a file (SQLite), or a database's address (`postgresql://...`)."""
    client_system: Literal["append", "refuse"] = "append"
    """A client's own system message comes after the purpose's, or is refused. The purpose's is always first."""
    readings: tuple[Literal["attention", "state"], ...] = ()
    """What is read off every reply and kept with it; the model must be local."""
    readers: str | None = None
    """What the dashboard reads beliefs with: a folder that `telic readers train` wrote, or the name of a set that ships
    with Telic. Left out: the set that ships for the model, if there is one."""
    runs: str = "runs"
    """Where the runs are that the dashboard lists."""
    max_body_bytes: Count = 1 << 20
    """Longest body of a request; beyond it, status 413."""
    max_messages: Count = 256
    """Most messages in a request."""
    max_new_tokens: Count = 1024
    """Most tokens that a request may ask for; one that does not say gets the purpose's own limit, at most this."""
    max_context: Count = 4096
    """Longest conversation in tokens, the reply included; never more than the model's own. With `max_batch`, it bounds
    the memory of the batch."""
    max_batch: Count = 32
    """Replies generated at once; further ones wait. Both are for a local model."""
    max_choices: Count = 8
    """Largest `n` of a request."""
    max_requests: Count = 128
    """Requests under way at once, those that wait for a place in the batch included; beyond it, status 429."""
    max_requests_per_key: Count = 64
    """The same for one API key."""
    tokens_per_minute: Annotated[int, Field(ge=0)] = 0
    """Tokens that one API key may have computed per minute, cached ones not counted; beyond it, 429. 0: no limit."""
    body_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Time within which the body of a request must have come; beyond it, status 408."""
    cache_megabytes: Count | None = None
    """Memory for what conversations keep between turns; the least recently used goes first. Left out: a third of
    this machine's."""
    max_conversations: Annotated[int, Field(ge=0)] = 10_000
    """Conversations that may keep something in memory between turns; 0: every turn reads all that was said again."""
    shutdown_seconds: Annotated[int, Field(ge=0)] = 30
    """Time that replies under way have to end when the server is told to."""

    @classmethod
    def of_purpose(cls, purpose: Purpose, **overrides: object) -> ServeConfig:
        """The settings of a purpose file, and what goes before them.

        Raises:
            ConfigError: some are wrong; the message says where.
        """
        try:
            return cls.of(**{**purpose.serve, **{k: v for k, v in overrides.items() if v is not None}})
        except ConfigError as error:
            where = f"{purpose.where('serve')}: " if purpose.serve else ""
            raise ConfigError(f"{where}{error}") from None
