"""The dashboard: chat with a purpose, see the model's beliefs and drift, pin beliefs, compare replies."""

from __future__ import annotations

from telic.server.dashboard.mounting import mount, require_dashboard
from telic.server.dashboard.paths import PATH

__all__ = ["PATH", "mount", "require_dashboard"]
