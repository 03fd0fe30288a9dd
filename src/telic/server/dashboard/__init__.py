"""The dashboard: chat with a purpose, see what the model believes and how far it has drifted, pin, compare."""

from __future__ import annotations

from telic.server.dashboard.mounting import PATH, mount, require_dashboard

__all__ = ["PATH", "mount", "require_dashboard"]
