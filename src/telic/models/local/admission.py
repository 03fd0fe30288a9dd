"""Admission: from a request in the queue to sequences with a place in the batch.

Prompts are not read again where that can be avoided. A sequence starts from its session's cache, as far as its tokens
agree with it. Sequences whose prompts begin alike (samples of one probe, probes of one dialogue, a dialogue under
several controls) read that once: the first of them leads, the others follow as far as they agree.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from telic.models.control import ControlContext
from telic.models.local.arena import Arena
from telic.models.local.cache_pool import CachePool
from telic.models.local.prompts import Prompts
from telic.models.local.sampling import RandomStream
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.local.session_caches import cache_of, control_key, reusable_length, reuse_cache
from telic.models.request import random_seed
from telic.rendering import Template

__all__ = [
    "bytes_with",
    "compact",
    "copy_to_followers",
    "lay_out_prompt",
    "place_sequence",
    "prepare_sequences",
    "release_followers",
]

WORTH_WAITING = 64
"""Positions from which on a sequence waits for another one to read what their prompts have in common."""


def prepare_sequences(state: RequestState, prompts: Prompts, template: Template, pool: CachePool) -> None:
    """Make a request's sequences, and find out what each can take over from the session's cache."""
    request = state.request
    state.seed = random_seed() if request.sampling.seed is None else request.sampling.seed
    state.random = RandomStream(state.seed)
    state.matcher = None if prompts.matcher is None else prompts.matcher.deep_copy()
    readings = request.readings
    if any(control.prefix_from_state for control in request.controls):
        readings |= {"state"}
    for number, (place, rendering) in enumerate(prompts.renderings):
        cache = cache_of(request, number)
        carried = deepcopy(cache.control_state) if cache else {}
        context = ControlContext(rendering, len(rendering.token_ids), carried, seed=state.seed)
        own_readings = readings if place is None else frozenset()
        sequence = Sequence(context, request.controls, own_readings, cache, request.cache_salt, place)
        sequence.insertions = [
            control.embeddings(context) if "embeddings" in control.points and not control.prefix_from_state else ()
            for control in request.controls
        ]
        lay_out_prompt(state, sequence, template, final=not sequence.chooses_prefix_from_state)
        reuse_cache(sequence, pool)
        state.sequences.append(sequence)


def bytes_with(state: RequestState, active: Iterable[RequestState], arena: Arena) -> int:
    """Forecast the memory of the active requests' keys and values with one request more, whose prompts are rendered."""
    assert state.prompts is not None
    sequences: list[tuple[int, int, RequestState]] = []
    for number, (_, prompt) in enumerate(state.prompts.renderings):
        cache, tokens = cache_of(state.request, number), prompt.token_ids
        read = reusable_length(cache, tokens, state.request.controls)
        sequences.append((len(tokens), min(read, len(tokens) - 1), state))
    for other in active:
        sequences += [(s.prompt_length, s.cached, other) for s in other.sequences]
    return arena.bytes_for(
        [(prompt, read, len(each.forced) or each.request.sampling.max_new_tokens) for prompt, read, each in sequences]
    )


def lay_out_prompt(state: RequestState, sequence: Sequence, template: Template, *, final: bool) -> None:
    """Lay out the prompt; if `final`, add the start of the reply and the forced tokens."""
    sequence.lay_out([item for insertions in sequence.insertions for item in insertions])
    if final and state.request.reply_prefix:
        sequence.tokens += template.encoder.encode(state.request.reply_prefix)
    sequence.context.prompt_length = len(sequence.tokens)
    sequence.logits_from = len(sequence.tokens) - 1
    if final:
        sequence.tokens += state.forced


def place_sequence(sequence: Sequence, slot: int, others: Iterable[Sequence], arena: Arena) -> None:
    """Give a sequence a slot, and let it read its prompt, or follow the sequence whose prompt agrees the furthest."""
    sequence.slot = slot
    leader, shared = None, sequence.cached
    for other in others:
        if (agreed := _agreed_length(other, sequence)) > shared:
            leader, shared = other, agreed
    if leader is not None:
        sequence.follow(leader, shared)
        return
    arena.load(slot, sequence.reused, sequence.cached, len(sequence.tokens))
    sequence.start_reading(sequence.cached)


def _agreed_length(leader: Sequence, other: Sequence) -> int:
    """Number of a prompt's positions that a sequence can take over from another one; 0 if it is to read them itself.

    A follower of another user would tell, by `cached_tokens` and by its time to the first token, what that one asked.
    """
    if leader.cache_salt != other.cache_salt or leader.status is SequenceStatus.FOLLOWING or leader.embeddings:
        return 0
    if _have_same_prompt(leader, other):
        return other.prompt_length - 1 if _takes_over_state(leader, other) else 0
    if _acts_while_reading(leader) or _acts_while_reading(other):
        return 0
    agreed = _common_blocks(leader.tokens[: leader.prompt_length - 1], other.tokens[: other.prompt_length - 1])
    return agreed if agreed >= other.cached + WORTH_WAITING else 0


def _have_same_prompt(one: Sequence, other: Sequence) -> bool:
    return one.tokens[: one.prompt_length] == other.tokens[: other.prompt_length]


def _takes_over_state(leader: Sequence, other: Sequence) -> bool:
    """Whether what controls have recorded of a prompt is what they would record of the same prompt again."""
    is_reading = leader.computed < leader.prompt_length - 1
    return (
        # Once it replies, the state of its controls is no longer that at the prompt's end.
        (is_reading or not leader.context.control_state)
        and control_key(leader.controls) == control_key(other.controls)
        and (leader.cache is other.cache or not (leader.context.control_state or other.context.control_state))
    )


def _acts_while_reading(sequence: Sequence) -> bool:
    """Whether a control changes or records what is read of the prompt, which depends on where that ends."""
    return any(control.points & {"embeddings", "attention", "residual"} for control in sequence.controls)


def _common_blocks(one: list[int], other: list[int]) -> int:
    """Number of leading tokens that agree, in whole blocks."""
    agreed = 0
    for start in range(0, min(len(one), len(other)) - WORTH_WAITING + 1, WORTH_WAITING):
        if one[start : start + WORTH_WAITING] != other[start : start + WORTH_WAITING]:
            break
        agreed = start + WORTH_WAITING
    return agreed


def copy_to_followers(sequences: Iterable[Sequence], arena: Arena, limit: int) -> None:
    """Copy the keys and values of leaders that have read their prompt to their followers.

    Args:
        sequences: the batch.
        arena: its keys and values.
        limit: positions to copy, about; further followers wait for the next pass.
    """
    for sequence in sequences:
        leader = sequence.leader
        if leader is None or leader.computed < sequence.shared:
            continue
        # What controls recorded while the leader read, and its prompt, may be different after this pass.
        if limit > 0 or leader.context.control_state or leader.chooses_prefix_from_state:
            _copy(leader, sequence, arena)
            limit -= sequence.cached


def _copy(leader: Sequence, sequence: Sequence, arena: Arena) -> None:
    arena.copy(leader.slot, sequence.slot, sequence.shared)
    sequence.cached, sequence.reused = sequence.shared, ()
    if _have_same_prompt(leader, sequence):
        sequence.context.control_state = deepcopy(leader.context.control_state)  # recorded while the leader read
    sequence.start_reading(sequence.shared)


def release_followers(leader: Sequence, sequences: Iterable[Sequence], arena: Arena, *, copy: bool) -> None:
    """Let the followers of a sequence that leaves the batch go on without it.

    Args:
        leader: the sequence.
        sequences: the others.
        arena: the batch's keys and values.
        copy: whether what the leader has read is good.
    """
    for follower in sequences:
        if follower.leader is not leader:
            continue
        if copy and leader.computed >= follower.shared:
            _copy(leader, follower, arena)
        else:  # the leader left before it had read the prompt: the follower reads it
            follower.cached, follower.reused = 0, ()
            follower.start_reading(0)


def compact(sequences: list[Sequence], arena: Arena) -> None:
    """Move sequences into consecutive slots, so that attention runs over no empty ones; sorts them by slot."""
    sequences.sort(key=lambda sequence: sequence.slot)
    taken = {sequence.slot for sequence in sequences}
    for sequence in reversed(sequences):
        free = next((slot for slot in range(sequence.slot) if slot not in taken), None)
        if free is None:
            break
        arena.copy(sequence.slot, free, sequence.computed)
        arena.release(sequence.slot)
        taken.remove(sequence.slot)
        taken.add(free)
        sequence.slot = free
    sequences.sort(key=lambda sequence: sequence.slot)
