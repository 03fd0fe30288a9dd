"""One exception hierarchy, and failures as values.

A user's mistake is a `TelicError`: the command line prints its message without a traceback. A reply or an episode that
could not be completed carries a `Failure`, which says at which boundary it failed and how. The code that fails sets
both. So nobody has to parse a message, and a simulator's failure never counts against the agent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "Boundary",
    "ConfigError",
    "DataError",
    "Failure",
    "FailureKind",
    "JudgeError",
    "MissingExtraError",
    "ModelError",
    "RunError",
    "SandboxError",
    "TelicError",
    "UnsupportedControlError",
    "WorkspaceError",
]

Boundary = Literal["model", "judge", "player", "game"]
"""Who failed: the model or its endpoint, the judge's model, a player, or the game."""

FailureKind = Literal[
    "batch_too_small",
    "content_filter",
    "context_full",
    "exception",
    "http_status",
    "interrupted",
    "left",
    "malformed_reply",
    "nan_logits",
    "response_format",
    "template_refusal",
    "timeout",
    "unreachable",
    "unreadable_choice",
]
"""How it failed. `context_full`: no room for a reply in the model's context. `template_refusal`: the chat template does
not take these messages. `response_format`: the response format is wrong, the reply does not have it, or it exceeded a
limit. `left`: the player stopped playing. `exception`: the code of a model, a player or a game raised an exception of
another kind."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a reply or an episode could not be completed."""

    boundary: Boundary
    kind: FailureKind
    detail: str
    """Text for people. The first line is a reason that many episodes may share; further lines say where it happened."""

    @property
    def retryable(self) -> bool:
        """Whether a resumed run tries again: the cause was outside the dialogue, or a player left."""
        if self.kind == "left":
            return True
        return self.boundary in ("model", "judge") and self.kind != "context_full"

    @property
    def reason(self) -> str:
        """The boundary and the first line of the detail; reports count failures by it."""
        return f"{self.boundary}: {(self.detail.strip().splitlines() or [self.kind])[0]}"

    def __str__(self) -> str:
        return f"{self.boundary}: {self.detail}"


class TelicError(Exception):
    """Base of everything that Telic raises on purpose. The message says what, where and what to do."""


class ConfigError(TelicError, ValueError):
    """A purpose file, an option or an argument is wrong."""


class DataError(TelicError, ValueError):
    """A file of dialogues, episodes or triplets cannot be read as what it claims to be."""


class ModelError(TelicError, RuntimeError):
    """A model could not be found or loaded, or failed to answer.

    Args:
        message: what failed, where, and what to do.
        kind: how it failed.
    """

    def __init__(self, message: str, kind: FailureKind = "exception") -> None:
        super().__init__(message)
        self.kind: FailureKind = kind

    @property
    def failure(self) -> Failure:
        """The error as a value, for a reply or an episode."""
        return Failure("model", self.kind, str(self))


class UnsupportedControlError(ModelError):
    """A control or reading was asked of a model that does not support it. Raised before anything is generated."""


class JudgeError(TelicError, RuntimeError):
    """A judge could not be built; one that cannot decide returns a missing score instead."""


class RunError(TelicError, RuntimeError):
    """A run folder cannot be created, resumed or read."""


class SandboxError(TelicError, RuntimeError):
    """Untrusted code cannot be run safely on this machine."""


class WorkspaceError(TelicError, RuntimeError):
    """An operation on a workspace was refused or failed. Nothing was changed."""


_EXTRAS = {
    "local": ("torch", "transformers", "safetensors", "gguf", "llguidance"),
    "server": ("fastapi", "uvicorn", "sqlalchemy", "alembic", "nicegui", "prometheus_client"),
    "ray": ("ray",),
    "mcp": ("mcp",),
    "train": ("trl", "peft", "datasets"),
    "privacy": ("presidio_analyzer",),
    "embeddings": ("sentence_transformers",),
    "pair": ("tree_sitter", "tree_sitter_python"),
    "assistant": ("feedparser", "httpx", "imap_tools", "nh3", "rapidfuzz"),
    "vllm": ("vllm",),
}
"""The packages of each extra."""


class MissingExtraError(TelicError, ImportError):
    """A feature needs an optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the extra {extra!r}. Install it with: pip install 'telic[{extra}]'")

    @classmethod
    def of(cls, error: ModuleNotFoundError, feature: str) -> MissingExtraError | None:
        """Return the error that names the extra with a missing module; None if the module belongs to no extra."""
        package = (error.name or "").partition(".")[0]
        return next((cls(feature, extra) for extra, packages in _EXTRAS.items() if package in packages), None)
