"""Admission: from a request in the queue to sequences with a place in the batch.

Nothing is read twice. A sequence starts from its session's cache, as far as its tokens agree with it; sequences with
the same prompt (several samples of one probe) read it once: the first of them leads, the others follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.compatibility import controlled_messages
from telic.models.control import ControlContext
from telic.models.local.cache import Arena, CachePool, KeyValueCache, take_prefix
from telic.models.local.forward import control_key
from telic.models.local.sampling import RandomStream, random_seed
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.request import Request
from telic.rendering import Template

__all__ = [
    "compact",
    "copy_cache",
    "copy_to_followers",
    "lay_out_prompt",
    "place_sequence",
    "prepare_sequences",
    "refuse_too_many",
]

ContrastPrompts = list[tuple[int, tuple[Message, ...]]]
"""Of each: the place of its control among the request's, and its messages."""


def refuse_too_many(request: Request, contrast: ContrastPrompts, max_batch: int) -> None:
    """Refuse a request whose sequences will never fit into the batch together.

    Raises:
        ModelError: which controls want how many.
    """
    if len(contrast) < max_batch:
        return
    names = " and ".join(dict.fromkeys(repr(request.controls[place].name) for place, _ in contrast))
    raise ModelError(
        f"{names}: a reply takes {len(contrast) + 1} rows of the batch, and this model's batch has {max_batch}; load "
        "the model with a larger max_batch",
        "batch_too_small",
    )


def prepare_sequences(state: RequestState, contrast: ContrastPrompts, template: Template, pool: CachePool) -> None:
    """Render a request's prompts, and find out what each can take over from the session's cache.

    Raises:
        ModelError: the chat template refuses the messages.
    """
    request = state.request
    state.seed = random_seed() if request.sampling.seed is None else request.sampling.seed
    state.random = RandomStream(state.seed)
    readings = request.readings
    if any(control.prefix_from_state for control in request.controls):
        readings |= {"state"}
    prompts: list[tuple[int | None, tuple[Message, ...]]] = [(None, controlled_messages(request)), *contrast]
    for number, (place, messages) in enumerate(prompts):
        cache = request.cache if request.cache is None or place is None else request.cache.contrast_cache(number - 1)
        rendering = template.render(messages)
        carried = deepcopy(cache.control_state) if cache else {}
        context = ControlContext(rendering, len(rendering.token_ids), carried, seed=state.seed)
        own_readings = readings if place is None else frozenset()
        sequence = Sequence(context, request.controls, own_readings, cache, place)
        sequence.insertions = [
            control.embeddings(context) if "embeddings" in control.points and not control.prefix_from_state else ()
            for control in request.controls
        ]
        lay_out_prompt(state, sequence, template, final=not sequence.chooses_prefix_from_state)
        _reuse(sequence, pool)
        state.sequences.append(sequence)


def lay_out_prompt(state: RequestState, sequence: Sequence, template: Template, *, final: bool) -> None:
    """Lay out the prompt and, unless there are prefix tokens to come in between, what is given of the reply."""
    sequence.lay_out([item for insertions in sequence.insertions for item in insertions])
    if final and state.request.reply_prefix:
        sequence.tokens += template.tokenizer(state.request.reply_prefix, add_special_tokens=False)["input_ids"]
    sequence.context.prompt_length = len(sequence.tokens)
    sequence.logits_from = len(sequence.tokens) - 1
    if final:
        sequence.tokens += state.forced


def _reuse(sequence: Sequence, pool: CachePool) -> None:
    """Take over what the session has read already, as far as the tokens agree."""
    cache = sequence.cache.key_values if sequence.cache else None
    if isinstance(cache, KeyValueCache) and cache.key == control_key(sequence.controls):
        # The last token is always computed: its logits start the reply.
        sequence.cached = min(cache.common_prefix(sequence.tokens), sequence.prompt_length - 1)
        sequence.reused = take_prefix(cache.segments, sequence.cached)
        pool.touch(cache)


def place_sequence(sequence: Sequence, slot: int, others: Iterable[Sequence], arena: Arena) -> None:
    """Give a sequence a slot, and let it follow a sequence that reads the same prompt, or read it."""
    sequence.slot = slot
    leader = next((other for other in others if _leads(other, sequence)), None)
    if leader is not None:
        sequence.follow(leader)
        return
    arena.ensure(slot + 1, sequence.prompt_length)
    arena.load(slot, sequence.reused, sequence.cached)
    sequence.start_reading(sequence.cached)


def _leads(leader: Sequence, other: Sequence) -> bool:
    """Whether a sequence reads a prompt that another one has as well."""
    return (
        leader.status is not SequenceStatus.FOLLOWING
        and leader.computed < leader.prompt_length - 1  # not read yet, so that reading it is still to save
        and leader.prompt_length == other.prompt_length
        and leader.tokens[: leader.prompt_length] == other.tokens[: other.prompt_length]
        and not leader.embeddings
        and control_key(leader.controls) == control_key(other.controls)
        and (leader.cache is other.cache or not (leader.context.control_state or other.context.control_state))
    )


def copy_to_followers(sequences: Iterable[Sequence], arena: Arena) -> None:
    """Give what leaders have read to those who wait for it."""
    for sequence in sequences:
        leader = sequence.leader
        if leader is None or leader.computed < sequence.prompt_length - 1:
            continue
        read = sequence.prompt_length - 1
        arena.ensure(sequence.slot + 1, sequence.prompt_length)
        arena.move(leader.slot, sequence.slot, read)
        sequence.cached, sequence.reused = read, ()
        sequence.context.control_state = deepcopy(leader.context.control_state)  # recorded while the leader read
        sequence.start_reading(read)


def compact(sequences: list[Sequence], arena: Arena) -> None:
    """Move sequences into consecutive slots, so that attention runs over no empty ones; sorts them by slot."""
    sequences.sort(key=lambda sequence: sequence.slot)
    taken = {sequence.slot for sequence in sequences}
    for sequence in reversed(sequences):
        free = next((slot for slot in range(sequence.slot) if slot not in taken), None)
        if free is None:
            break
        arena.move(sequence.slot, free, sequence.computed)
        taken.remove(sequence.slot)
        taken.add(free)
        sequence.slot = free
    sequences.sort(key=lambda sequence: sequence.slot)


def copy_cache(sequence: Sequence, length: int, arena: Arena) -> KeyValueCache:
    """Copy what was read of a sequence's first `length` tokens out of the arena."""
    kept = sum(segment.length for segment in sequence.reused)
    segments = sequence.reused
    if length > kept:
        segments = (*segments, arena.store(sequence.slot, kept, length))
    return KeyValueCache(tuple(sequence.tokens[:length]), segments, control_key(sequence.controls))
