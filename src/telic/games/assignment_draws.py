"""Rejection sampling for the assignment game, at 2 µs instead of 25 µs per draw.

A draw is kept if the pooled optimum is worth at least a quarter more than the best guess of either player. About one
draw in 2,700 is. A plain loop solves up to three assignment problems per draw, 75 ms in total. This module bounds a
block of draws at once: the pooled optimum from above by linear-programming duals, and the score of a player's own guess
from below by an exact dynamic programme over sets of columns. It solves only the draws that the bounds leave undecided,
so it keeps the same draw as the plain loop over the same random numbers.
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

__all__ = ["BLOCK", "MAX_DRAWS", "Draw", "best_assignment", "cell_blocks", "draw_assignment", "is_kept", "unpack"]

SIZE = 8
"""Number of reviewers, and of papers."""
UNSEEN = 50
"""Value of a cell that neither player sees: the middle of 0 to 99."""
MAX_DRAWS = 10_000
"""Maximum number of draws; the last one is then kept (about one episode in forty)."""
BLOCK, FEW = 1024, 192
"""Draws bounded at once, and draws per batch of the second bound (the first leaves 15 % of a block)."""

Array = NDArray[Any]


@dataclass(frozen=True)
class Draw:
    """A table, and the cells that each player sees."""

    table: Array
    """8 x 8 (reviewer, paper): value of each pair; 50 if nobody sees it."""
    seen: tuple[Array, Array]
    """8 x 8 bool per player."""
    number: int
    """Number of rejected draws before this one."""


def best_assignment(table: Array) -> Array:
    """Return the paper of each reviewer in an assignment with the highest sum."""
    columns: Array = linear_sum_assignment(table, maximize=True)[1]
    return columns


def is_kept(table: Array, seen: tuple[Array, Array]) -> bool:
    """Return whether the pooled optimum is more than 1.25 times the score of either player's best guess.

    Args:
        table: the pooled table.
        seen: the cells that each player sees.
    """
    pooled = _total(table, table)
    # In integers: 1.25 x alone < pooled.
    return all(5 * _total(table, np.where(mask, table, UNSEEN)) < 4 * pooled for mask in seen)


def _total(table: Array, guess: Array) -> int:
    """Return the score of the assignment that is best by a guess."""
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


# The dynamic programme adds up keys. The key of a cell is 73 x the value that the player assumes, minus the difference
# to the true value in tenths (rounded down, plus an offset of 4 to keep it positive). The highest sum of keys gives the
# value of the player's best guess and, among the assignments with that value, a lower bound of the true score.
# The sum of eight keys is below 2**16, and its second term below 73.
_WEIGHT, _STEP, _OFFSET = 73, 10, 4


def _keys(seen: Array) -> Array:
    guess = np.where(seen, _VALUE, UNSEEN)
    keys: Array = _WEIGHT * guess + _OFFSET - (_POOLED - guess) // _STEP
    return keys.astype(np.uint16)


_KEYS = tuple(map(_keys, _SEEN))


class _Programme:
    """The highest sum of keys over all assignments, for `width` draws at once.

    It combines rows to pairs, pairs to fours, and the two fours to an assignment: 28 pairs and 70 fours of columns. The
    draws are the last axis, so that every step is one vector operation. All steps and buffers are set up once. The last
    axis of `keys` holds rows 0-3 of all draws, then rows 4-7 of all draws.
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
        # `second` holds the pairs of the other two rows at the same index, so one operation covers both orders.
        self._swap = ((second[:, :half], first[:, half:]), (second[:, half:], first[:, :half]))
        self._pairs = len(self._steps)
        start = 0
        for a, b in combinations(range(6), 2):
            # Fours that begin with a, b: the columns of two rows are {a, b}, or {a, c}, or {b, c}.
            rest = 28 - pairs[b + 1, b + 2]
            out = fours[:rest]
            self._steps.append((np.add, first[pairs[a, b]], second[28 - rest :], out))
            # All {a, c} with all {b, d}: c < d and c > d are both used, c = d is never read.
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
        """Return a lower bound of the score of a player's best guess, for the first `count` draws."""
        for ufunc, a, b, out in self._steps[: self._pairs]:
            ufunc(a, b, out=out)
        for target, source in self._swap:
            target[:] = source
        for ufunc, a, b, out in self._steps[self._pairs :]:
            ufunc(a, b, out=out)
        # The fours are in lexicographic order, so the complement of the first is the last, and so on.
        key = (self._best[:, : self._width] + self._best[::-1, self._width :]).max(0)[:count].astype(np.int32)
        guess = key // _WEIGHT
        least: Array = guess + _STEP * (SIZE * _OFFSET - (key - _WEIGHT * guess))
        return least


class _Workspace(threading.local):
    """The buffers of one thread."""

    def __init__(self) -> None:
        self.many, self.few = _Programme(BLOCK), _Programme(FEW)


_workspace = _Workspace()


def _most_pooled(pooled: Array) -> Array:
    """Return an upper bound of the pooled optimum: the lower of two dual solutions."""
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


def cell_blocks(seed: int) -> Iterator[Array]:
    """Yield the random cells of a seed's draws, (4, 8, 2 x BLOCK): rows 0-3 of draw i at i, rows 4-7 at BLOCK + i."""
    rng = np.random.default_rng(seed)
    for _ in range(0, MAX_DRAWS, BLOCK):
        yield rng.integers(0, len(_CELL), (4, SIZE, 2 * BLOCK), dtype=np.uint16)


def _undecided(block: Array, indices: Array, most: Array) -> Array:
    """Return the draws of a block in which neither player alone scores 0.8 of the upper bound `most` / 4."""
    for costs in _COSTS:
        halves = np.take(block, indices, axis=2), np.take(block, BLOCK + indices, axis=2)
        cells = np.concatenate(halves).transpose(2, 0, 1)
        columns = [linear_sum_assignment(cost)[1] for cost in costs[cells]]
        if columns:
            earned = _POOLED[np.take_along_axis(cells, np.array(columns)[:, :, None], axis=2)].sum((1, 2))
            indices = indices[5 * earned < most[indices]]
    return indices


def unpack(block: Array, index: int, number: int = 0) -> Draw:
    """Return one draw of a block."""
    half = block.shape[2] // 2
    cells = np.concatenate((block[:, :, index], block[:, :, half + index]))
    return Draw(_POOLED[cells], (_SEEN[0][cells], _SEEN[1][cells]), number)


def draw_assignment(seed: int) -> Draw:
    """Return the first draw of a seed that is kept; the last draw if none is."""
    many, few = _workspace.many, _workspace.few
    start = 0
    for block in cell_blocks(seed):
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
