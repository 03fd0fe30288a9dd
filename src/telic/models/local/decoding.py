"""From logits to tokens: controls on logits, choosing the next token, scoring a given reply."""

from __future__ import annotations

import torch

from telic.models.local.constraint import mask_logits
from telic.models.local.sampling import sample_tokens
from telic.models.local.sequences import RequestState

__all__ = ["controlled_logits", "nan_rows", "next_logits", "next_tokens", "score_tokens"]


def next_logits(states: list[RequestState]) -> torch.Tensor:
    """The logits of each request's next token, float32 [R, V], before its controls change them."""
    return torch.stack([state.primary.pending_logits[-1][-1] for state in states])


def nan_rows(states: list[RequestState], logits_R_V: torch.Tensor) -> torch.Tensor:
    """Which requests the model returned NaN for, in the primary sequence or for a contrast prompt: bool [R]."""
    nan_R = logits_R_V.amax(-1).isnan()
    for r, state in enumerate(states):
        for sequence in state.contrast_sequences:
            nan_R[r] |= sequence.pending_logits[-1].isnan().any()
    return nan_R


def next_tokens(states: list[RequestState], logits_R_V: torch.Tensor) -> list[int]:
    """Choose the next token of each request, and keep its log-probability where that is asked for."""
    contrast = [[sequence.pending_logits[-1][-1] for sequence in state.contrast_sequences] for state in states]
    logits_R_V = controlled_logits(states, logits_R_V, contrast)
    logits_R_V = mask_logits(logits_R_V, [state.matcher for state in states])
    settings = [state.request.sampling for state in states]
    tokens = sample_tokens(logits_R_V, settings, [state.random for state in states])
    wanted = [r for r, setting in enumerate(settings) if setting.logprobs]
    if wanted:
        log_probabilities = torch.log_softmax(logits_R_V[wanted], dim=-1)
        for place, r in enumerate(wanted):
            states[r].logprobs.append(float(log_probabilities[place, tokens[r]]))
    return tokens


def score_tokens(state: RequestState, positions: range) -> None:
    """Look up the forced tokens that follow these positions in the pending logits, and use those up.

    Args:
        state: a request with a given reply.
        positions: those that the pending logits of each sequence belong to, one row each. They are counted in the
            primary sequence: a contrast prompt may be shorter or longer.
    """
    primary_W_V, *contrast = (torch.cat(sequence.pending_logits) for sequence in state.sequences)
    sequence = state.primary
    for place, (position, logits_V) in enumerate(zip(positions, primary_W_V, strict=True)):
        sequence.context.generated = sequence.tokens[sequence.prompt_length : position + 1]
        others = [logits_W_V[place] for logits_W_V in contrast]
        logits_V = controlled_logits([state], logits_V[None], [others])[0]
        if position + 1 < len(sequence.tokens):
            token = sequence.tokens[position + 1]
            state.logprobs.append(float(torch.log_softmax(logits_V, dim=-1)[token]))
            state.greedy &= int(logits_V.argmax()) == token
    for each in state.sequences:
        each.pending_logits.clear()


def controlled_logits(
    states: list[RequestState], logits_R_V: torch.Tensor, contrast: list[list[torch.Tensor]]
) -> torch.Tensor:
    """Let the controls of each request change its logits, in their order.

    Args:
        states: the requests.
        logits_R_V: float32, of their primary sequences.
        contrast: [V] of each request's contrast sequences.
    """
    most = max((len(state.request.controls) for state in states), default=0)
    for place in range(most):
        carriers: dict[tuple[int, int], list[int]] = {}
        own_contrast: list[list[torch.Tensor]] = []
        for r, state in enumerate(states):
            controls = state.request.controls
            found = zip(state.contrast_sequences, contrast[r], strict=True)
            own_contrast.append([logits_V for sequence, logits_V in found if sequence.contrast_control == place])
            if place < len(controls) and "logits" in controls[place].points:
                carriers.setdefault((id(controls[place]), len(own_contrast[r])), []).append(r)
        for (_, count), rows in carriers.items():
            control = states[rows[0]].request.controls[place]
            contexts = [states[r].primary.context for r in rows]
            if count:
                others_K_R_V = torch.stack([torch.stack([own_contrast[r][k] for r in rows]) for k in range(count)])
                changed = control.contrast_logits(contexts, logits_R_V[rows], others_K_R_V)
            else:
                changed = control.logits(contexts, logits_R_V[rows])
            logits_R_V = logits_R_V.index_copy(0, torch.tensor(rows, device=logits_R_V.device), changed)
    return logits_R_V
