"""The address of the dashboard."""

__all__ = ["PATH"]

PATH = "/dashboard"
"""The server's root redirects there."""
