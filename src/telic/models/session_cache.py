"""What a model keeps of a session between two requests."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakSet

__all__ = ["SessionCache"]


@dataclass(slots=True, eq=False, weakref_slot=True)
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
    holders: WeakSet[SessionCache] = field(default_factory=WeakSet)
    """Those that hold the same keys and values, itself among them; empty before the first fork.

    One thread forks while another one stores, so it is only counted, and never iterated over.
    """

    def fork(self) -> SessionCache:
        """Copy it for a branch: keys and values are shared, the controls' state is copied."""
        contrast = [cache.fork() for cache in self.contrast]
        made = SessionCache(self.key_values, deepcopy(self.control_state), contrast, self.holders)
        made.holders.update((self, made))
        return made

    @property
    def shares_key_values(self) -> bool:
        """Whether a fork, or what it was forked from, holds the same keys and values."""
        return len(self.holders) > 1

    def store(self, key_values: Any) -> None:
        """Hold other keys and values from now on; forks keep theirs."""
        self.holders.discard(self)
        self.key_values, self.holders = key_values, WeakSet()

    def contrast_cache(self, index: int) -> SessionCache:
        """The cache of a contrast prompt, made when it is first asked for."""
        while len(self.contrast) <= index:
            self.contrast.append(SessionCache())
        return self.contrast[index]
