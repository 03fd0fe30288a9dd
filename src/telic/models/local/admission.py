"""Admission: from a request in the queue to sequences with a place in the batch.

Prompts are not read again where that can be avoided. A sequence starts from its session's cache, as far as its tokens
agree with it. Sequences with the same prompt (several samples of one probe) read it once: the first of them leads, the
others follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from telic.models.control import ControlContext
from telic.models.local.cache import Arena
from telic.models.local.cache_pool import CachePool
from telic.models.local.prompts import Prompts
from telic.models.local.sampling import RandomStream, random_seed
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.local.session_caches import cache_of, control_key, reusable_length, reuse_cache
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
    """Give a sequence a slot, and let it follow a sequence that has the same prompt, or read it."""
    sequence.slot = slot
    leader = next((other for other in others if _can_lead(other, sequence)), None)
    if leader is not None:
        sequence.follow(leader)
        return
    arena.load(slot, sequence.reused, sequence.cached, len(sequence.tokens))
    sequence.start_reading(sequence.cached)


def _can_lead(leader: Sequence, other: Sequence) -> bool:
    """Whether `leader` reads, or has read, the same prompt as `other`, under the same controls and for the same user.

    A follower of another user would tell, by `cached_tokens` and by its time to the first token, what that one asked.
    """
    is_reading = leader.computed < leader.prompt_length - 1
    return (
        leader.cache_salt == other.cache_salt
        and leader.status is not SequenceStatus.FOLLOWING
        # Once it replies, the state of its controls is no longer that at the prompt's end.
        and (is_reading or not leader.context.control_state)
        and other.cached < other.prompt_length - 1  # there is something to save
        and leader.prompt_length == other.prompt_length
        and leader.tokens[: leader.prompt_length] == other.tokens[: other.prompt_length]
        and not leader.embeddings
        and control_key(leader.controls) == control_key(other.controls)
        and (leader.cache is other.cache or not (leader.context.control_state or other.context.control_state))
    )


def copy_to_followers(sequences: Iterable[Sequence], arena: Arena, limit: int) -> None:
    """Copy the keys and values of leaders that have read their prompt to their followers.

    Args:
        sequences: the batch.
        arena: its keys and values.
        limit: positions to copy, about; further followers wait for the next pass.
    """
    for sequence in sequences:
        leader = sequence.leader
        if leader is None or leader.computed < sequence.prompt_length - 1:
            continue
        # What controls recorded while the leader read, and its prompt, may be different after this pass.
        if limit > 0 or leader.context.control_state or leader.chooses_prefix_from_state:
            _copy(leader, sequence, arena)
            limit -= sequence.cached


def _copy(leader: Sequence, sequence: Sequence, arena: Arena) -> None:
    read = sequence.prompt_length - 1
    arena.copy(leader.slot, sequence.slot, read)
    sequence.cached, sequence.reused = read, ()
    sequence.context.control_state = deepcopy(leader.context.control_state)  # recorded while the leader read
    sequence.start_reading(read)


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
        if copy and leader.computed >= follower.prompt_length - 1:
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
