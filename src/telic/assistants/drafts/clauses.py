"""The clauses of a mail: its sentences and the items of its lists, with their places."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from telic.memory.words import sentence_spans

__all__ = ["clause_spans", "unwrapped"]

_ITEM = re.compile(r"(?:^|\s)(?:\(\d{1,2}\)|\d{1,2}[.)]|[-*•])\s+", re.MULTILINE)
_MARKER = re.compile(r"(?:\(\d{1,2}\)|\d{1,2}[.)]|[-*•])\s+")


def unwrapped(text: str) -> str:
    """Return a text of the same length in which a line that goes on is no new line."""
    return re.sub(r"(?<=[^\n.!?:;])\n(?=[a-z0-9(\"'$])(?!\d{1,2}[.)] )", " ", text)


def clause_spans(flat: str) -> Iterator[tuple[int, int]]:
    """Yield the places of sentences, and of the items of lists within them."""
    for start, end in sentence_spans(flat):
        cuts = [match.start() + (flat[start + match.start()].isspace()) for match in _ITEM.finditer(flat[start:end])]
        edges = [0, *(cut for cut in cuts if cut), end - start]
        for first, last in pairwise(edges):
            begin = start + first
            marker = _MARKER.match(flat[begin : start + last])
            begin += marker.end() if marker else 0
            stop = start + last
            while stop > begin and flat[stop - 1] in " \n,":
                stop -= 1
            if stop > begin:
                yield begin, stop
