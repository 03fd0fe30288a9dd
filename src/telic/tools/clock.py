"""The tool `now`."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from telic.tools.base import ToolError

__all__ = ["now"]


def now(timezone: str = "UTC") -> str:
    """Get the current date and time.

    Args:
        timezone: an IANA name, such as Europe/Lisbon.
    """
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ToolError(f"there is no time zone {timezone!r}; expected one such as Europe/Lisbon") from None
    return datetime.now(zone).strftime("%A, %Y-%m-%d %H:%M %Z")
