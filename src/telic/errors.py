"""One exception hierarchy; each error names the boundary at which it arose.

A user's mistake is a `TelicError`: the command line prints its message without a traceback. Whoever plays
episodes records which boundary failed, so that a simulator's fault is never charged to the agent.
"""

from __future__ import annotations

__all__ = [
    "ConfigError",
    "DataError",
    "JudgeError",
    "MissingExtraError",
    "ModelError",
    "RunError",
    "TelicError",
    "UnsupportedControlError",
]


class TelicError(Exception):
    """Base of everything that Telic raises on purpose. The message says what, where and what to do."""


class ConfigError(TelicError, ValueError):
    """A purpose file, an option or an argument is wrong."""


class DataError(TelicError, ValueError):
    """A file of dialogues, episodes or triplets cannot be read as what it claims to be."""


class ModelError(TelicError, RuntimeError):
    """A model could not be found or loaded, or failed to answer."""


class UnsupportedControlError(ModelError):
    """A control or reading was asked of a model that cannot take it. Raised before anything is generated."""


class JudgeError(TelicError, RuntimeError):
    """A judge could not be built; one that cannot decide returns a missing score instead."""


class RunError(TelicError, RuntimeError):
    """A run folder cannot be created, resumed or read."""


class MissingExtraError(TelicError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}. Install it with: pip install 'telic[{extra}]'")
