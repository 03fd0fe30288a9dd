"""What each pass computes: a token of every reply, and some tokens of the prompts that are being read."""

from __future__ import annotations

from collections.abc import Collection

from telic.models.fair_queue import BACKGROUND
from telic.models.local.arena import Arena
from telic.models.local.chunks import Chunk
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus

__all__ = ["PROMPT_CHUNK", "Schedule", "reading_order"]

PROMPT_CHUNK = 512
"""Prompt tokens of one sequence read in one pass, which bounds the memory of the attention weights."""


class Schedule:
    """Shares the prompt tokens of every pass between the clients whose prompts are being read.

    The client that was served the longest ago comes first, `BACKGROUND` last. While others are in the batch, it gets at
    most half of the tokens, for the replies of the others wait for the pass too. Its own prompts are read in the order
    of their arrival.
    """

    def __init__(self) -> None:
        self._now = 0
        self._served: dict[str, int] = {}
        """For each client with a prompt to read: when it was served last, or else arrived."""

    def chunks(self, states: Collection[RequestState], pass_tokens: int) -> list[Chunk]:
        """Choose what is computed next: single tokens, in the order of their slots, then parts of prompts.

        Args:
            states: the active requests.
            pass_tokens: prompt tokens to read.
        """
        single: list[Chunk] = []
        prompts: dict[str, list[Sequence]] = {}
        for state in sorted(states, key=lambda state: state.arrival):
            for sequence in state.sequences:
                if sequence.status is SequenceStatus.FOLLOWING or sequence.up_to_date:
                    continue
                if len(sequence.tokens) - sequence.computed == 1:
                    single.append(_chunk(sequence, 1))
                else:
                    prompts.setdefault(state.request.client, []).append(sequence)
        alone = len({state.request.client for state in states} - {BACKGROUND}) <= 1
        sizes = self._share(prompts, pass_tokens, pass_tokens if alone else -(-pass_tokens // 2))
        parts = [_chunk(sequence, size) for sequence, size in sizes.items()]
        single += [chunk for chunk in parts if chunk.end - chunk.start == 1]
        longer = [chunk for chunk in parts if chunk.end - chunk.start > 1]
        return sorted(single, key=lambda chunk: chunk.sequence.slot) + longer

    def _share(self, prompts: dict[str, list[Sequence]], pass_tokens: int, share: int) -> dict[Sequence, int]:
        """Choose how many tokens of each prompt are read, where a client gets at most its share."""
        self._now += 2
        self._served = {client: self._served.get(client, self._now) for client in prompts}
        turns = sorted(prompts, key=lambda client: (client == BACKGROUND, self._served[client]))
        sizes: dict[Sequence, int] = {}
        left = pass_tokens
        for client in turns:
            allowed = min(share, left)
            for sequence in prompts[client]:
                size = min(allowed, PROMPT_CHUNK, len(sequence.tokens) - sequence.computed)
                if size > 1 or (size and not sizes):  # a single token of a longer prompt waits for the next pass
                    sizes[sequence] = size
                    self._served[client] = self._now + 1
                    allowed, left = allowed - size, left - size
        return sizes


def reading_order(chunks: list[Chunk], arena: Arena) -> list[Chunk]:
    """Sort the single tokens so that sequences with the same prefix come one after the other; parts of prompts stay."""
    single = [chunk for chunk in chunks if chunk.end - chunk.start == 1]
    order = {chunk.sequence.slot: _prefix_order(chunk.sequence.slot, arena) for chunk in single}
    single.sort(key=lambda chunk: (order[chunk.sequence.slot], chunk.sequence.slot))
    return single + chunks[len(single) :]


def _prefix_order(slot: int, arena: Arena) -> tuple[bool, tuple[tuple[int, int], ...]]:
    return arena.has_long_prefix(slot), arena.prefix_places(slot)


def _chunk(sequence: Sequence, size: int) -> Chunk:
    return Chunk(sequence, sequence.computed, sequence.computed + size)
