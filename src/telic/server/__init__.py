"""Serving a purpose: the OpenAI-compatible API, the conversation store, the dashboard."""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports
from telic.server.config import ServeConfig

if TYPE_CHECKING:
    from telic.server.app import create_app
    from telic.server.keys import Keys
    from telic.server.service import Service
    from telic.server.store import ConversationStore

__all__ = ["ConversationStore", "Keys", "ServeConfig", "Service", "create_app"]

__getattr__ = imports(
    __name__,
    {
        "ConversationStore": "telic.server.store",
        "Keys": "telic.server.keys",
        "Service": "telic.server.service",
        "create_app": "telic.server.app",
    },
)
