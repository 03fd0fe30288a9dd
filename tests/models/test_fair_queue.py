"""Clients take turns in a queue."""

from __future__ import annotations

import pytest

from telic.models.fair_queue import FairQueue


def filled(*items: tuple[str, int]) -> FairQueue[int]:
    queue: FairQueue[int] = FairQueue()
    for client, item in items:
        queue.append(client, item)
    return queue


def emptied(queue: FairQueue[int]) -> list[int]:
    return [queue.popleft() for _ in range(len(queue))]


def test_clients_take_turns_and_the_items_of_one_client_keep_their_order() -> None:
    queue = filled(("a", 1), ("a", 2), ("a", 3), ("b", 10), ("c", 20), ("b", 11))
    assert queue.first == 1
    assert emptied(queue) == [1, 10, 20, 2, 11, 3]
    assert not queue


def test_a_client_that_had_its_turn_comes_after_one_that_joins() -> None:
    queue = filled(("a", 1), ("a", 2))
    assert queue.popleft() == 1
    queue.append("b", 10)
    assert emptied(queue) == [2, 10]
    queue = filled(("a", 1), ("b", 10))
    assert queue.popleft() == 1
    queue.append("a", 2)
    assert emptied(queue) == [10, 2]


def test_items_are_removed() -> None:
    queue = filled(("a", 1), ("a", 2), ("b", 10))
    assert queue.remove("b", 10)
    assert not queue.remove("b", 10)
    assert not queue.remove("a", 10)
    assert list(queue) == [1, 2]
    queue.clear()
    assert (len(queue), bool(queue)) == (0, False)
    with pytest.raises(KeyError):
        queue.popleft()
