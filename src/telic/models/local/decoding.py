"""From logits to tokens: controls on logits, drawing the next token, scoring a given reply."""

from __future__ import annotations

import torch

from telic.models.local.sampling import draw
from telic.models.local.sequences import RequestState

__all__ = ["controlled_logits", "draw_tokens", "has_nan_logits", "score_tokens"]


def has_nan_logits(state: RequestState) -> bool:
    """Whether the model returned NaN for the next token, in the primary sequence or for a contrast prompt."""
    primary, *contrast = (sequence.pending_logits[-1] for sequence in state.sequences)
    return bool(primary[-1].amax().isnan()) or any(bool(logits_W_V.isnan().any()) for logits_W_V in contrast)


def draw_tokens(states: list[RequestState]) -> list[int]:
    """Draw the next token of each request from its pending logits; notes log-probabilities where they are asked for."""
    logits_R_V = torch.stack([state.primary.pending_logits[-1][-1] for state in states])
    contrast = [[sequence.pending_logits[-1][-1] for sequence in state.contrast_sequences] for state in states]
    logits_R_V = controlled_logits(states, logits_R_V, contrast)
    settings = [state.request.sampling for state in states]
    tokens = draw(logits_R_V, settings, [state.draws for state in states])
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
            primary sequence: a contrast prompt may be shorter.
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
            own_contrast.append([logits_V for sequence, logits_V in found if sequence.contrast_of == place])
            if place < len(controls) and "logits" in controls[place].points:
                carriers.setdefault((id(controls[place]), len(own_contrast[r])), []).append(r)
        for (_, count), rows in carriers.items():
            control = states[rows[0]].request.controls[place]
            contexts = [states[r].primary.context for r in rows]
            if count:
                others_K_R_V = torch.stack([torch.stack([own_contrast[r][k] for r in rows]) for k in range(count)])
                changed = control.contrast(contexts, logits_R_V[rows], others_K_R_V)
            else:
                changed = control.logits(contexts, logits_R_V[rows])
            logits_R_V = logits_R_V.index_copy(0, torch.tensor(rows, device=logits_R_V.device), changed)
    return logits_R_V
