"""The kinds of events that other systems report, and what they say of a conversation."""

from __future__ import annotations

__all__ = ["EVENT_KINDS", "event_meaning"]

EVENT_KINDS: dict[str, tuple[float, float]] = {
    "purchase": (1.0, 0.8),
    "donation": (1.0, 0.8),
    "booking": (1.0, 0.8),
    "refund": (-1.0, 0.8),
    "cancelled": (-0.8, 0.75),
    "ticket_closed": (0.6, 0.7),
    "ticket_reopened": (-1.0, 0.8),
    "suggestion_accepted": (0.8, 0.8),
    "suggestion_rejected": (-0.8, 0.8),
    "copied": (0.6, 0.7),
    "code_kept": (0.8, 0.75),
    "code_reverted": (-0.8, 0.75),
    "tests_passed": (0.8, 0.8),
    "tests_failed": (-0.8, 0.8),
}
"""By kind: the reward, and how sure its sign is. They are priors: no data set has all of them."""
OWN_CONFIDENCE = 0.8
"""How sure the sign of a reward is that the sender of an event stated."""


def event_meaning(kind: str, reward: float | None = None) -> tuple[float, float] | None:
    """Return the reward and the confidence of an event; None for an unknown kind without a reward of its own."""
    if reward is not None:
        return reward, OWN_CONFIDENCE
    return EVENT_KINDS.get(kind)
