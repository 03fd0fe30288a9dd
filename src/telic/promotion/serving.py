"""The purpose as it is served: the file with the changes of the promoted version."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from telic.models.vllm.settings import VllmSettings
from telic.promotion.records import BASE
from telic.promotion.versions import Versions
from telic.purpose import Purpose

__all__ = ["PromotedPurpose", "load_version", "model_settings"]


@dataclass(frozen=True)
class PromotedPurpose:
    """A purpose with the changes of one of its versions."""

    purpose: Purpose
    """With the changes."""
    version: str
    """The version's name; `base` for the file as it is written."""
    written: Purpose
    """The purpose as its file has it."""
    versions: Versions
    named: bool = False
    """Whether the version was asked for by its name, whatever is promoted."""


def load_version(source: str | Path, version: str | None = None, *, trust: bool = False) -> PromotedPurpose:
    """Read a purpose file, with the changes of a version.

    Args:
        source: the file, or `demo`.
        version: its name, `latest`, or `base` for the file as it is written; by default the promoted one.
        trust: see `Purpose.from_file`.

    Raises:
        ConfigError: the file is wrong, there is no such version, or its changes do not fit the file.
        DataError: the record of a version is damaged.
    """
    written = Purpose.load(source, trust=trust)
    versions = Versions.of(written)
    name = version or (versions.promotion.version if written.file else BASE)
    if name != BASE:
        name = versions.get(name).name
    return PromotedPurpose(versions.apply(written, name), name, written, versions, named=version is not None)


def model_settings(purpose: Purpose) -> dict[str, Any]:
    """Return the settings that say which model replies: the model, its adapter if it has one, and how vLLM runs it.

    Raises:
        ConfigError: the table `[vllm]` is wrong.
    """
    settings = purpose.model_dump(include={"model", "adapter"}, exclude_none=True)
    if purpose.model.startswith("vllm:"):
        vllm = purpose.settings_of("vllm", VllmSettings) or VllmSettings()  # spelling defaults out changes nothing
        settings["vllm"] = vllm.options()
    return settings
