"""Draws of the assignment game: rejection sampling at 2 µs a draw instead of 25.

A draw is kept when knowing everything is worth at least a quarter more than what either player can do alone; one in
about 2,700 is. Solving up to three assignments for each draw takes 75 ms in all. Here a whole block of draws is
bounded at once: the pooled optimum from above by linear-programming duals, what a player earns alone from below by an
exact dynamic programme over sets of columns. Only what the bounds cannot decide is solved, so the draw that is kept is
the one that the plain loop over the same random numbers keeps.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

__all__ = ["BLOCK", "MAX_DRAWS", "Draw", "best_assignment", "blocks", "draw", "is_kept"]

SIZE = 8
"""Reviewers, and papers."""
UNSEEN = 50
"""What a cell counts that neither player sees: the middle of 0 to 99."""
MAX_DRAWS = 10_000
"""Draws after which the last one is kept as it is (about one episode in forty)."""
BLOCK, FEW = 1024, 192
"""Draws that are bounded at once; those of a block that the first bound leaves (15 %), likewise."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Draw:
    """A table, and who sees what of it."""

    table: Array
    """8 x 8 (reviewer, paper): what each assignment is worth; 50 where nobody sees it."""
    seen: tuple[Array, Array]
    """8 x 8 bool of each player."""
    number: int
    """How many draws were refused before."""


def best_assignment(table: Array) -> Array:
    """The paper of each reviewer in an assignment of the highest sum."""
    columns: Array = linear_sum_assignment(table, maximize=True)[1]
    return columns


def is_kept(table: Array, seen: tuple[Array, Array]) -> bool:
    """Whether the pooled optimum is more than 1.25 times what either player's own best guess earns.

    Args:
        table: what is known to both together.
        seen: what each player sees.
    """
    pooled = _total(table, table)
    # In integers: 1.25 x alone < pooled.
    return all(5 * _total(table, np.where(mask, table, UNSEEN)) < 4 * pooled for mask in seen)


def _total(table: Array, guess: Array) -> int:
    """What the assignment earns that is best by a guess."""
    return int(table[_ROWS, best_assignment(guess)].sum())


_ROWS = np.arange(SIZE)

# A cell is one number below 2,500: its value (0 to 99), and one of 25 equally likely codes of who sees it. Each player
# sees it with probability 0.4 = 10/25: both with codes 0-3, only the first with 4-9, only the second with 10-15.
_CELL = np.arange(2500)
_CODE, _VALUE = np.divmod(_CELL, 100)
_SEEN = (_CODE < 10, (_CODE < 4) | ((_CODE >= 10) & (_CODE < 16)))
_POOLED = np.where(_CODE < 16, _VALUE, UNSEEN)

_COSTS = tuple(-np.where(seen, _VALUE, float(UNSEEN)) for seen in _SEEN)
_POOLED_BYTES = _POOLED.astype(np.uint8)


# The key of a cell is what the dynamic programme adds up: 73 x what the player takes the cell for, less how much more
# it is really worth in tenths (rounded down, counted from 4 to be positive). The highest key of an assignment gives the
# player's best guess and, of all assignments that it takes to be that good, at most how little the worst one earns.
# Eight keys stay below 2**16, and the second term of their sum below 73.
_WEIGHT, _STEP, _OFFSET = 73, 10, 4


def _keys(seen: Array) -> Array:
    guess = np.where(seen, _VALUE, UNSEEN)
    keys: Array = _WEIGHT * guess + _OFFSET - (_POOLED - guess) // _STEP
    return keys.astype(np.uint16)


_KEYS = tuple(map(_keys, _SEEN))


class _Programme:
    """The highest sum of keys over all assignments, for `width` draws at once.

    Rows are matched in pairs, pairs in fours, the fours with each other: 28 pairs and 70 fours of columns. The draws
    lie last in memory, so that every step is one vector operation; all steps and their buffers are laid out once.
    Along the last axis of `keys` are rows 0-3 of all draws, then rows 4-7 of all draws.
    """

    def __init__(self, width: int) -> None:
        self.keys = np.zeros((4, SIZE, 2 * width), np.uint16)
        both = 4 * width
        half = 2 * width
        first, second = np.empty((28, both), np.uint16), np.empty((28, both), np.uint16)
        spare, fours = np.empty((36, both), np.uint16), np.empty((15, both), np.uint16)
        self._best = np.empty((70, half), np.uint16)
        self._width = width
        pairs = {pair: number for number, pair in enumerate(combinations(range(SIZE), 2))}
        self._steps: list[tuple[np.ufunc, Array, Array, Array]] = []
        for side in (0, 1):
            upper, lower = self.keys[2 * side], self.keys[2 * side + 1]
            for a in range(7):
                out = first[pairs[a, a + 1] :][: 7 - a, side * half : (side + 1) * half]
                self._either((upper[a], lower[a + 1 :]), (lower[a], upper[a + 1 :]), out, spare[: 7 - a, :half])
        # `second` has the pairs of the other two rows in the same place: both orders in one operation.
        self._swap = ((second[:, :half], first[:, half:]), (second[:, half:], first[:, :half]))
        self._pairs = len(self._steps)
        start = 0
        for a, b in combinations(range(6), 2):
            # Fours that begin with a, b: the columns of two rows are {a, b}, or {a, c}, or {b, c}.
            rest = 28 - pairs[b + 1, b + 2]
            out = fours[:rest]
            self._steps.append((np.add, first[pairs[a, b]], second[28 - rest :], out))
            # All {a, c} with all {b, d}: c < d and c > d are both wanted, c = d is not read.
            left, right = first[pairs[a, b + 1] :][: 7 - b], second[pairs[b, b + 1] :][: 7 - b]
            grid = spare[: (7 - b) ** 2].reshape(7 - b, 7 - b, both)
            self._steps.append((np.add, left[:, None], right, grid))
            done = 0
            for c in range(6 - b):
                part = out[done : done + 6 - b - c]
                self._steps.append((np.maximum, part, grid[c, c + 1 :], part))
                self._steps.append((np.maximum, part, grid[c + 1 :, c], part))
                done += 6 - b - c
            self._steps.append((np.maximum, out[:, :half], out[:, half:], self._best[start : start + rest]))
            start += rest

    def _either(self, one: tuple[Array, Array], other: tuple[Array, Array], out: Array, spare: Array) -> None:
        self._steps += [(np.add, *one, out), (np.add, *other, spare), (np.maximum, out, spare, out)]

    def least_earned(self, count: int) -> Array:
        """At least this is what a player earns who assigns by its own best guess, for the first `count` draws."""
        for ufunc, a, b, out in self._steps[: self._pairs]:
            ufunc(a, b, out=out)
        for target, source in self._swap:
            target[:] = source
        for ufunc, a, b, out in self._steps[self._pairs :]:
            ufunc(a, b, out=out)
        # Fours in lexicographic order: the complement of the first is the last, and so on.
        key = (self._best[:, : self._width] + self._best[::-1, self._width :]).max(0)[:count].astype(np.int32)
        guess = key // _WEIGHT
        least: Array = guess + _STEP * (SIZE * _OFFSET - (key - _WEIGHT * guess))
        return least


class _Workspace(threading.local):
    """Buffers of one thread, made when it first draws."""

    def __init__(self) -> None:
        self.many, self.few = _Programme(BLOCK), _Programme(FEW)


_workspace = _Workspace()


def _most_pooled(pooled: Array) -> Array:
    """No assignment of the pooled tables is worth more: two dual solutions each, the lower of both."""
    half = pooled.shape[2] // 2
    top = pooled.max(1)
    slack = (top[:, None] - pooled).min(0)
    by_row = top.sum(0, dtype=np.int32)
    by_row = by_row[:half] + by_row[half:] - np.minimum(slack[:, :half], slack[:, half:]).sum(0, dtype=np.int32)
    left = pooled.max(0)
    left = np.maximum(left[:, :half], left[:, half:])
    spare = (np.concatenate((left, left), axis=1) - pooled).min(1).sum(0, dtype=np.int32)
    by_column = left.sum(0, dtype=np.int32) - spare[:half] - spare[half:]
    most: Array = np.minimum(by_row, by_column)
    return most


def blocks(seed: int) -> Iterator[Array]:
    """The random cells of a seed's draws, (4, 8, 2 x BLOCK): draw i has its rows 0-3 at i, 4-7 at BLOCK + i."""
    rng = np.random.default_rng(seed)
    for _ in range(0, MAX_DRAWS, BLOCK):
        yield rng.integers(0, len(_CELL), (4, SIZE, 2 * BLOCK), dtype=np.uint16)


def _undecided(block: Array, indices: Array, most: Array) -> Array:
    """Those of some draws of a block in which neither player alone earns 0.8 of the bound `most` / 4 of the optimum."""
    for costs in _COSTS:
        halves = np.take(block, indices, axis=2), np.take(block, BLOCK + indices, axis=2)
        cells = np.concatenate(halves).transpose(2, 0, 1)
        columns = [linear_sum_assignment(cost)[1] for cost in costs[cells]]
        if columns:
            earned = _POOLED[np.take_along_axis(cells, np.array(columns)[:, :, None], axis=2)].sum((1, 2))
            indices = indices[5 * earned < most[indices]]
    return indices


def unpack(block: Array, index: int, number: int = 0) -> Draw:
    """One draw of a block."""
    half = block.shape[2] // 2
    cells = np.concatenate((block[:, :, index], block[:, :, half + index]))
    return Draw(_POOLED[cells], (_SEEN[0][cells], _SEEN[1][cells]), number)


def draw(seed: int) -> Draw:
    """The first draw of a seed that is kept; the last one if none is."""
    many, few = _workspace.many, _workspace.few
    start = 0
    for block in blocks(seed):
        most = 4 * _most_pooled(np.take(_POOLED_BYTES, block))
        np.take(_KEYS[0], block, out=many.keys, mode="clip")
        left = np.flatnonzero(5 * many.least_earned(BLOCK) < most)
        for part in (left[i : i + FEW] for i in range(0, len(left), FEW)):
            for half in (0, 1):
                cells = np.take(block, half * BLOCK + part, axis=2)
                few.keys[:, :, half * FEW :][:, :, : len(part)] = np.take(_KEYS[1], cells)
            for index in _undecided(block, part[5 * few.least_earned(len(part)) < most[part]], most):
                found = unpack(block, index, start + int(index))
                if found.number < MAX_DRAWS and is_kept(found.table, found.seen):
                    return found
        start += BLOCK
    return unpack(block, (MAX_DRAWS - 1) % BLOCK, MAX_DRAWS - 1)
