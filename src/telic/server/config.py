"""The settings of a server: the table `[serve]` of a purpose file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from telic.errors import ConfigError
from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["ServeConfig"]

Count = Annotated[int, Field(ge=1)]
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[^/?#\s]+)$")]


class ServeConfig(Settings):
    """Settings of a server."""

    store: str = "telic.db"
    """The conversation store: a file (SQLite), or an address (`postgresql://...`)."""
    client_system: Literal["append", "refuse"] = "append"
    """Whether a client's own system message is appended to the purpose's, or refused."""
    readings: tuple[Literal["attention", "state"], ...] = ()
    """Readings taken of every reply and stored with it; the model must be local."""
    probe_share: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the replies after which the purpose's probes are asked aside, on branches that the conversation never
    sees, when no other request waits. The metrics get the scores, the purpose's limits, and the attention. 0: none."""
    readers: str | None = None
    """The readers of the dashboard: a folder that `telic readers train` wrote, or the name of a bundled set. By default
    the bundled set for the model, if there is one."""
    unsupported_readings: bool = False
    """Show what the model takes itself to be even if the readers' card does not support it."""
    versions: str = "versions"
    """Folder of the versions, relative to the purpose file."""
    keep_version_minutes: Annotated[float, Field(ge=0)] = 30.0
    """When another version is promoted, a conversation keeps the one that it has until nothing was said in it for so
    long. 0: its next reply is of the new version."""
    canary: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Share of the users who get a candidate version instead of the promoted one. 0: none."""
    canary_version: str | None = None
    """The candidate. By default the newest that has passed its gate."""
    canary_margin: Annotated[float, Field(ge=0, le=1)] = 0.0
    """The candidate is rolled back when users are less satisfied with it by more than this, significantly."""
    canary_no_worse: Annotated[float, Field(gt=0, le=1)] = 0.05
    """The candidate counts as no worse when users are less satisfied with it by less than this, significantly."""
    canary_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.05
    """Probability of rolling back a candidate that is as good, however long the canary runs."""
    canary_promote: bool = False
    """Promote the candidate when it counts as no worse. Otherwise a person promotes it."""
    canary_idle_minutes: Annotated[float, Field(gt=0)] = 30.0
    """A conversation counts when nothing was said in it for so long."""
    learn: Literal["all", "consented", "none"] = "all"
    """Whose conversations `telic learn` and the canary read: `all`, of everybody who has not objected; `consented`, of
    those who have consented (`PUT /telic/consent`); `none`."""
    keep_days: Annotated[int | None, Field(ge=1)] = None
    """Conversations are deleted when nothing was said in them for so many days. By default they are kept."""
    runs: str = "runs"
    """Folder of the runs that the dashboard lists."""
    allow_origins: tuple[Origin, ...] = ()
    """Origins of other sites whose pages may use the API from a browser (CORS): `https://app.example`; `*`: any."""
    max_body_bytes: Count = 1 << 20
    """Longest body of a request; longer ones get status 413."""
    max_messages: Count = 256
    """Largest number of messages in a request."""
    max_new_tokens: Count = 1024
    """Largest number of tokens of a reply. A request that asks for more gets this many; one that does not ask gets the
    purpose's own limit, at most this one."""
    max_context: Count = 4096
    """Longest conversation of a local model in tokens, with the reply; never more than the model's own limit. With
    `max_batch`, it bounds the memory of the batch."""
    max_batch: Count = 32
    """Replies that a local model generates at once; further ones wait."""
    max_choices: Count = 8
    """Largest `n` of a request."""
    max_requests: Count = 128
    """Active requests, with those that wait for a slot in the batch; further ones get status 429."""
    max_requests_per_key: Count = 64
    """Active requests of one API key; further ones get status 429."""
    tokens_per_minute: Annotated[int, Field(ge=0)] = 0
    """Tokens computed per minute for one API key, without cached ones; beyond it, status 429. 0: no limit."""
    body_seconds: Annotated[float, Field(gt=0)] = 30.0
    """Time for the body of a request to arrive; slower ones get status 408."""
    write_seconds: Annotated[float, Field(gt=0)] = 60.0
    """Time for a client to read what it was sent; the connection of a slower one is cut, and its reply interrupted."""
    cache_megabytes: Count | None = None
    """Memory for the caches of conversations between turns; the least recently used one is dropped first. By default a
    third of the machine's memory."""
    max_conversations: Annotated[int, Field(ge=0)] = 10_000
    """Conversations with a session between turns. 0: every turn reads its whole conversation again."""
    shutdown_seconds: Annotated[int, Field(ge=0)] = 30
    """Time that active replies have to complete when the server is stopped."""

    @classmethod
    def of_purpose(cls, purpose: Purpose, **overrides: object) -> ServeConfig:
        """Read the settings of a purpose file.

        Args:
            purpose: the purpose.
            **overrides: settings that replace the purpose's, unless they are None.

        Raises:
            ConfigError: a setting is invalid; the message names its line.
        """
        try:
            return cls.of(**{**purpose.serve, **{k: v for k, v in overrides.items() if v is not None}})
        except ConfigError as error:
            where = f"{purpose.where('serve')}: " if purpose.serve else ""
            raise ConfigError(f"{where}{error}") from None
