"""Controls on their way to a vLLM server: the files of a saved control, and no paths.

A server builds only controls that act inside the model, from what it was sent. It never opens a file that a client
names.
"""

from __future__ import annotations

import base64
import hashlib
import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from telic.errors import ConfigError, TelicError, UnsupportedControlError
from telic.models.control import Control

__all__ = ["BUILDABLE", "ControlFiles", "build_sent", "pack"]

BUILDABLE = frozenset({"anchor", "assume", "belief", "guidance", "planner", "refresh", "vector"})
"""Controls that a server builds. Those that change messages act before a request is sent."""

_CONFIG = "config.json"


@dataclass(frozen=True, slots=True)
class ControlFiles:
    """A saved control."""

    config: str
    """Its `config.json`."""
    tensors: bytes = b""
    """Its file of tensors; empty for a control without any."""

    @property
    def key(self) -> str:
        """Identifies the control: a hash of the files."""
        return hashlib.sha256(self.config.encode() + b"\0" + self.tensors).hexdigest()[:32]

    def as_dict(self) -> dict[str, str]:
        """As JSON."""
        return {"config": self.config, "tensors": base64.b64encode(self.tensors).decode("ascii")}

    @classmethod
    def from_dict(cls, given: Mapping[str, str]) -> ControlFiles:
        """Read what `as_dict` wrote.

        Raises:
            ValueError: the tensors are not base64.
        """
        return cls(given["config"], base64.b64decode(given.get("tensors", ""), validate=True))


def pack(control: Control) -> ControlFiles:
    """Save a control for a server.

    Raises:
        UnsupportedControlError: a server cannot build it.
    """
    if control.name not in BUILDABLE:
        raise UnsupportedControlError(
            f"control {control.name!r} cannot be sent to a vLLM server, which builds {', '.join(sorted(BUILDABLE))} "
            "only; drop the control, or run the model in this process (model = 'vllm:...')"
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            _steering("saving").save_pretrained(control, folder)
        except ConfigError as error:
            raise UnsupportedControlError(str(error)) from error
        config = (Path(folder) / _CONFIG).read_text(encoding="utf-8")
        files = [path.read_bytes() for path in Path(folder).glob("*.safetensors")]
    return ControlFiles(config, files[0] if files else b"")


def build_sent(files: ControlFiles) -> Control:
    """Build a control from what a client sent.

    Raises:
        ConfigError: it is not a control that a server builds, or it is damaged.
    """
    config = _parsed(files.config)
    if str(config.get("control")) not in BUILDABLE:
        raise ConfigError(f"control {config.get('control')!r}: expected one of {', '.join(sorted(BUILDABLE))}")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / _CONFIG).write_text(files.config, encoding="utf-8")
        if files.tensors:
            (Path(folder) / Path(str(config.get("file", "model.safetensors"))).name).write_bytes(files.tensors)
        try:
            control: Control = _steering("loading").from_pretrained(folder, force=True)
        except TelicError as error:
            raise ConfigError(str(error).replace(folder, "the control")) from error
    return control


def _parsed(text: str) -> dict[str, Any]:
    try:
        config = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"the control's config is not JSON: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"the control's config is {config!r}; expected a table")
    return config


def _steering(module: str) -> Any:
    """The package that implements controls; it is above this one, so it is imported when it is used."""
    import_module("telic.steering")  # declares the controls
    return import_module(f"telic.steering.{module}")
