"""Admission: from a request in the queue to sequences with a place in the batch.

Prompts are not read again where that can be avoided. A sequence starts from its session's cache, as far as its tokens
agree with it. Sequences with the same prompt (several samples of one probe) read it once: the first of them leads, the
others follow.
"""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.compatibility import controlled_messages
from telic.models.control import ControlContext
from telic.models.local.cache import Arena, CachePool
from telic.models.local.sampling import RandomStream, random_seed
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.local.session_caches import control_key, reuse_cache
from telic.models.request import Request
from telic.rendering import Template

__all__ = [
    "compact",
    "copy_to_followers",
    "lay_out_prompt",
    "place_sequence",
    "prepare_sequences",
    "refuse_too_many_rows",
]

ContrastPrompts = list[tuple[int, tuple[Message, ...]]]
"""For each contrast prompt: the index of its control in the request, and its messages."""


def refuse_too_many_rows(request: Request, contrast: ContrastPrompts, max_batch: int) -> None:
    """Refuse a request whose sequences will never fit into the batch together.

    Raises:
        ModelError: the request needs more rows than the batch has; names the controls.
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
        render = template.render_user_turn if request.speaker == "user" else template.render
        rendering = render(messages)
        carried = deepcopy(cache.control_state) if cache else {}
        context = ControlContext(rendering, len(rendering.token_ids), carried, seed=state.seed)
        own_readings = readings if place is None else frozenset()
        sequence = Sequence(context, request.controls, own_readings, cache, place)
        sequence.insertions = [
            control.embeddings(context) if "embeddings" in control.points and not control.prefix_from_state else ()
            for control in request.controls
        ]
        lay_out_prompt(state, sequence, template, final=not sequence.chooses_prefix_from_state)
        reuse_cache(sequence, pool)
        state.sequences.append(sequence)


def lay_out_prompt(state: RequestState, sequence: Sequence, template: Template, *, final: bool) -> None:
    """Lay out the prompt; if `final`, add the start of the reply and the forced tokens."""
    sequence.lay_out([item for insertions in sequence.insertions for item in insertions])
    if final and state.request.reply_prefix:
        sequence.tokens += template.tokenizer(state.request.reply_prefix, add_special_tokens=False)["input_ids"]
    sequence.context.prompt_length = len(sequence.tokens)
    sequence.logits_from = len(sequence.tokens) - 1
    if final:
        sequence.tokens += state.forced


def place_sequence(sequence: Sequence, slot: int, others: Iterable[Sequence], arena: Arena) -> None:
    """Give a sequence a slot, and let it follow a sequence that reads the same prompt, or read it."""
    sequence.slot = slot
    leader = next((other for other in others if _reads_same_prompt(other, sequence)), None)
    if leader is not None:
        sequence.follow(leader)
        return
    arena.ensure(slot + 1, sequence.prompt_length)
    arena.load(slot, sequence.reused, sequence.cached)
    sequence.start_reading(sequence.cached)


def _reads_same_prompt(leader: Sequence, other: Sequence) -> bool:
    """Whether `leader` is still reading the same prompt as `other`, under the same controls."""
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
    """Copy the keys and values of leaders that have read their prompt to their followers."""
    for sequence in sequences:
        leader = sequence.leader
        if leader is None or leader.computed < sequence.prompt_length - 1:
            continue
        read = sequence.prompt_length - 1
        arena.ensure(sequence.slot + 1, sequence.prompt_length)
        arena.copy(leader.slot, sequence.slot, read)
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
        arena.copy(sequence.slot, free, sequence.computed)
        taken.remove(sequence.slot)
        taken.add(free)
        sequence.slot = free
    sequences.sort(key=lambda sequence: sequence.slot)
