"""Telic's controls on vLLM: in this process, or in a vLLM server with Telic's plug-in."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.models.vllm.endpoint import VllmEndpoint
    from telic.models.vllm.model import VllmModel

__all__ = ["VllmEndpoint", "VllmModel"]

__getattr__ = imports(
    __name__,
    {
        "VllmEndpoint": "telic.models.vllm.endpoint",
        "VllmModel": "telic.models.vllm.model",
    },
)
