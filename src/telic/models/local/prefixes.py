"""Prefix tokens that controls choose once the prompt is read, given the hidden state at its end."""

from __future__ import annotations

from copy import deepcopy

import torch

from telic.models.local.admission import lay_out_prompt
from telic.models.local.arena import Arena
from telic.models.local.sequences import RequestState, SequenceStatus
from telic.models.local.session_caches import copy_cache
from telic.rendering import Template

__all__ = ["choose_prefixes"]


def choose_prefixes(state: RequestState, template: Template, arena: Arena) -> None:
    """Let the controls that waited for the state choose their prefix tokens, and go on with those.

    Contrast prompts get the prefix that the primary sequence's state calls for.
    """
    state_D = torch.from_numpy(state.primary.hidden_state)
    for sequence in state.sequences:
        before, ready = sequence.tokens, sequence.logits_from
        for place, control in enumerate(sequence.controls):
            if control.prefix_from_state:
                sequence.insertions[place] = control.steering_prefix(sequence.context, state_D)
                if sequence.insertions[place] and sequence.cache is not None and state.request.keep:
                    # All but the last token, which is computed again with the reply; controls record it then.
                    sequence.cache_without_prefix = sequence.cache_without_prefix or copy_cache(sequence, ready, arena)
        lay_out_prompt(state, sequence, template, final=True)
        sequence.computed = min(sequence.computed, _common_length(before, sequence.tokens))
        if sequence.computed < len(before):  # from here on, controls record a prompt with a prefix inside
            sequence.control_state_before_prefix = deepcopy(sequence.context.control_state)
        sequence.cached = min(sequence.cached, sequence.computed)
        if sequence.logits_from > ready:  # the prompt has a new end: discard what was read at the old one
            sequence.pending_logits.clear()
            sequence.hidden_state, sequence.mass_L, sequence.mass_count = None, None, 0
        if sequence is state.primary:
            sequence.readings = state.request.readings
        sequence.hidden_state = sequence.hidden_state if "state" in sequence.readings else None
        sequence.status = SequenceStatus.READING


def _common_length(one: list[int], other: list[int]) -> int:
    """Number of leading tokens that two sequences share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
