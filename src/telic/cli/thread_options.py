"""The option `--threads` of all commands that load a local model."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ThreadOptions"]


@dataclass(kw_only=True)
class ThreadOptions:
    """A mixin for commands that load a model."""

    threads: int | None = None
    """CPU threads for a local model. By default the number of idle cores, adjusted while it runs."""
