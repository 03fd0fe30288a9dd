"""Splits by user: nobody's conversations are both learnt from and evaluated on."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Protocol, TypeVar

from telic.errors import ConfigError

__all__ = ["UserExample", "split_by_user"]

TRIES = 200
"""Splits that are drawn until both sides have what is needed."""


class UserExample(Protocol):
    """An example with its user."""

    @property
    def user(self) -> str:
        """Whose conversation it is from."""
        ...

    @property
    def good(self) -> bool:
        """Whether the user liked the reply."""
        ...


T = TypeVar("T", bound=UserExample)


def split_by_user(
    examples: Sequence[T], held_out: float, seed: int, *, both_kinds: bool = True
) -> tuple[list[T], list[T]]:
    """Split examples so that no user is on both sides.

    Args:
        examples: what to split.
        held_out: share of the users on the second side.
        seed: of the draw.
        both_kinds: whether both sides need good and bad examples.

    Raises:
        ConfigError: no split was found that leaves both sides what they need.
    """
    users = sorted({one.user for one in examples})
    drawn = random.Random(seed)
    for _ in range(TRIES):
        drawn.shuffle(users)
        chosen = set(users[: max(1, round(held_out * len(users)))])
        sides = [one for one in examples if one.user not in chosen], [one for one in examples if one.user in chosen]
        kinds = [{one.good for one in side} for side in sides]
        if all(sides) and (not both_kinds or all(len(kind) == 2 for kind in kinds)):
            return sides
    raise ConfigError(
        f"the {len(examples)} examples come from {len(users)} users, and no split by user leaves "
        f"{'good and bad replies' if both_kinds else 'examples'} on both sides; collect conversations from more users"
    )
