"""Models: local ones with their batched engine, remote endpoints, scripted models, the catalog."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports
from telic.models.base import Model
from telic.models.catalog import load
from telic.models.control import Control
from telic.models.request import Continuation, Reply, Request, Sampling, ScoredContinuation
from telic.models.response_format import ResponseFormat
from telic.models.session import Session

if TYPE_CHECKING:
    from telic.models.local import LocalModel
    from telic.models.remote import RemoteModel
    from telic.models.scripted import FakeModel, ScriptedModel

__all__ = [
    "Continuation",
    "Control",
    "FakeModel",
    "LocalModel",
    "Model",
    "RemoteModel",
    "Reply",
    "Request",
    "ResponseFormat",
    "Sampling",
    "ScoredContinuation",
    "ScriptedModel",
    "Session",
    "load",
]

__getattr__ = imports(
    __name__,
    {
        "FakeModel": "telic.models.scripted",
        "LocalModel": "telic.models.local",
        "RemoteModel": "telic.models.remote",
        "ScriptedModel": "telic.models.scripted",
    },
)
