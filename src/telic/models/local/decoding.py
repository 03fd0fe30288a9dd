"""From logits to tokens: controls on logits, choosing the next token, scoring a given reply."""

from __future__ import annotations

import torch

from telic.models.local.constraint import mask_logits
from telic.models.local.sampling import sample_tokens
from telic.models.local.sequences import RequestState
from telic.models.logit_controls import LogitRow, controlled_logits

__all__ = ["nan_rows", "next_logits", "next_tokens", "score_tokens"]


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
    rows = [_row(s, [sequence.pending_logits[-1][-1] for sequence in s.contrast_sequences]) for s in states]
    logits_R_V = controlled_logits(rows, logits_R_V)
    logits_R_V = mask_logits(logits_R_V, [state.matcher for state in states])
    settings = [state.request.sampling for state in states]
    tokens = sample_tokens(logits_R_V, settings, [state.random for state in states])
    wanted = [r for r, setting in enumerate(settings) if setting.logprobs]
    if wanted:
        log_probabilities = torch.log_softmax(logits_R_V[wanted], dim=-1)
        drawn = torch.tensor([[tokens[r]] for r in wanted], device=log_probabilities.device)
        for r, logprob in zip(wanted, log_probabilities.gather(1, drawn).flatten().tolist(), strict=True):
            states[r].logprobs.append(logprob)
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
        logits_V = controlled_logits([_row(state, others)], logits_V[None])[0]
        if position + 1 < len(sequence.tokens):
            token = sequence.tokens[position + 1]
            state.logprobs.append(float(torch.log_softmax(logits_V, dim=-1)[token]))
            state.greedy &= int(logits_V.argmax()) == token
    for each in state.sequences:
        each.pending_logits.clear()


def _row(state: RequestState, contrast: list[torch.Tensor]) -> LogitRow:
    owners = [sequence.contrast_control for sequence in state.contrast_sequences]
    return LogitRow(state.request.controls, state.primary.context, list(zip(owners, contrast, strict=True)))
