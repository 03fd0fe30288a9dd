"""The option `--adapter` of the commands that talk with the model of a purpose."""

from __future__ import annotations

from dataclasses import dataclass

from telic.cli.thread_options import ThreadOptions

__all__ = ["AdapterOptions"]


@dataclass(kw_only=True)
class AdapterOptions(ThreadOptions):
    """A mixin for commands that load the model of a purpose."""

    adapter: str | None = None
    """Folder of a LoRA adapter to merge into the model's weights, instead of the one that the purpose names."""
