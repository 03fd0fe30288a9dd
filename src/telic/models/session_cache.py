"""What a model keeps of a session between two requests."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

__all__ = ["SessionCache"]


@dataclass(slots=True, eq=False)
class SessionCache:
    """What a model has read of one dialogue, and what its controls carry from one turn to the next.

    It belongs to the model that the session was opened on. It may be dropped at any time without changing an answer,
    except that a control with a state starts afresh.
    """

    key_values: Any = None
    """Keys and values of the tokens read so far: the local engine's `KeyValueCache`."""
    control_state: dict[str, Any] = field(default_factory=dict)
    """What controls carry from one turn to the next, each under a name of its own. A fork gets a copy."""
    contrast: list[SessionCache] = field(default_factory=list)
    """The same for the contrast prompts of controls, in their order."""

    def fork(self) -> SessionCache:
        """Copy it for a branch: keys and values are shared, the controls' state is copied."""
        return SessionCache(self.key_values, deepcopy(self.control_state), [cache.fork() for cache in self.contrast])

    def contrast_cache(self, index: int) -> SessionCache:
        """The cache of a contrast prompt, made when it is first asked for."""
        while len(self.contrast) <= index:
            self.contrast.append(SessionCache())
        return self.contrast[index]
