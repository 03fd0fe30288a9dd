"""Labelling in several processes. Each takes the conversations of its share of the users, in their order.

So each knows all times of its users, and the results are those of a single process, in the same order.
"""

from __future__ import annotations

import gc
import heapq
import multiprocessing
import queue
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from typing import Any, Protocol, TypeAlias, runtime_checkable

from telic.episodes import Episode
from telic.errors import RunError, TelicError
from telic.feedback.combination import Combination
from telic.feedback.labelling import Labeller
from telic.feedback.summaries import Conclusion, conclude
from telic.judges import Judge

__all__ = ["PartedSource", "conclude_in_parallel", "seldom_collecting"]

PAGE = 100
"""Conclusions that are sent at once."""
SELDOM = 100_000
"""Objects between two runs of the garbage collector while conversations are labelled: they form no cycles."""
WAITING = 8
"""Pages of a process that may wait to be read: they bound the memory."""

Place: TypeAlias = tuple[float, str]
Page: TypeAlias = list[tuple[Place, Conclusion | None]]


@runtime_checkable
class PartedSource(Protocol):
    """Conversations that several processes can share. It can be pickled."""

    def part(self, number: int, of: int) -> Iterable[Episode]:
        """Return the conversations of a share of the users, oldest first.

        Args:
            number: of the share, from 0.
            of: number of shares.
        """
        ...


@contextmanager
def seldom_collecting() -> Iterator[None]:
    """Let the garbage collector run seldom meanwhile."""
    usual = gc.get_threshold()
    gc.set_threshold(max(SELDOM, usual[0]), *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def conclude_in_parallel(
    source: PartedSource, processes: int, combination: Combination | None, limits: Sequence[Judge]
) -> Iterator[Conclusion | None]:
    """Label conversations in several processes, and yield their conclusions, the oldest conversation first.

    Raises:
        TelicError: what a process raised.
        RunError: a process was killed.
    """
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        streams = []
        for number in range(processes):
            pages: Any = context.Queue(WAITING)
            arguments = (source, number, processes, combination, tuple(limits), pages)
            process = context.Process(target=_label_part, args=arguments, daemon=True)
            process.start()
            stack.callback(process.terminate)
            streams.append(_received(pages, process))
        for _, conclusion in heapq.merge(*streams, key=lambda item: item[0]):
            yield conclusion


def _label_part(
    source: PartedSource,
    number: int,
    of: int,
    combination: Combination | None,
    limits: Sequence[Judge],
    pages: Any,
) -> None:
    try:
        with seldom_collecting():
            labelled = Labeller(combination, limits=limits).label_all(source.part(number, of))
            while page := [(_place(episode), conclude(episode)) for episode in islice(labelled, PAGE)]:
                pages.put(page)
            pages.put(None)
    except TelicError as error:
        pages.put(error)


def _place(episode: Episode) -> Place:
    return float(episode.metadata.get("created") or 0.0), episode.id


def _received(pages: Any, process: Any) -> Iterator[tuple[Place, Conclusion | None]]:
    while True:
        try:
            page: Page | TelicError | None = pages.get(timeout=1.0)
        except queue.Empty:
            if process.exitcode:
                raise RunError(f"a process that labels conversations ended with status {process.exitcode}") from None
            continue
        if isinstance(page, TelicError):
            raise page
        if page is None:
            return
        yield from page
