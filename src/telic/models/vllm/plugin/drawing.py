"""Draw the next token of many groups: controls on logits, Telic's own random numbers, given tokens, readings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING

import torch

from telic.models.local.constraint import advance, mask_logits, refusal_of
from telic.models.local.sampling import sample_tokens
from telic.models.logit_controls import LogitRow, controlled_logits
from telic.models.vllm.groups import SequenceGroup

if TYPE_CHECKING:
    from llguidance import LLMatcher

__all__ = ["DueGroup", "draw_tokens", "force_tokens"]


@dataclass(frozen=True, slots=True)
class DueGroup:
    """A group whose next token is due in this step."""

    group: SequenceGroup
    rows: Sequence[int]
    """The row of each member in the step's logits."""
    output: Sequence[int]
    """Tokens of the reply so far."""


def draw_tokens(due: Sequence[DueGroup], logits_R_V: torch.Tensor, hidden_R_D: torch.Tensor | None) -> list[int]:
    """Draw one token for each group, and note what it asks for.

    Args:
        due: the groups.
        logits_R_V: float32, of all rows of the step.
        hidden_R_D: the hidden states that the logits were computed from.
    """
    nan_R = logits_R_V.amax(-1).isnan().tolist()  # one transfer for all rows: on a GPU, each waits for it
    for each in due:
        for sequence in each.group.sequences:
            sequence.context.generated = list(each.output)
        each.group.stream.step = len(each.output)
        _take_readings(each, hidden_R_D)
        if any(nan_R[row] for row in each.rows):
            each.group.failure = "nan_logits"
    rows = [_logit_row(each, logits_R_V) for each in due]
    changed_G_V = controlled_logits(rows, logits_R_V[[each.rows[0] for each in due]])
    changed_G_V = _constrained(due, changed_G_V)
    tokens = sample_tokens(
        changed_G_V.nan_to_num(), [each.group.sampling for each in due], [each.group.stream for each in due]
    )
    tokens = [_forced(each, token) for each, token in zip(due, tokens, strict=True)]
    _note_logprobs(due, tokens, changed_G_V)
    return tokens


def force_tokens(due: Sequence[DueGroup], tokens: Sequence[int], logits_R_V: torch.Tensor) -> None:
    """Change the logits in place so that all members of a group get its token."""
    rows = torch.tensor(list(chain.from_iterable(each.rows for each in due)), device=logits_R_V.device)
    chosen = [token for each, token in zip(due, tokens, strict=True) for _ in each.rows]
    logits_R_V.index_fill_(0, rows, -torch.inf)
    logits_R_V[rows, torch.tensor(chosen, device=logits_R_V.device)] = 0.0


def _logit_row(due: DueGroup, logits_R_V: torch.Tensor) -> LogitRow:
    primary, *others = due.group.sequences
    contrast = [(s.contrast_control, logits_R_V[row]) for s, row in zip(others, due.rows[1:], strict=True)]
    return LogitRow(primary.controls, primary.context, contrast)


def _constrained(due: Sequence[DueGroup], logits_G_V: torch.Tensor) -> torch.Tensor:
    """The logits without the tokens that the groups' response formats rule out."""
    matchers = [_matcher_at(each) for each in due]
    masked_G_V = mask_logits(logits_G_V, matchers)
    for each, matcher in zip(due, matchers, strict=True):
        if matcher is not None and matcher.is_error():  # it exceeded a limit when it computed its mask
            _fail_in_format(each.group, refusal_of(matcher))
    return masked_G_V


def _matcher_at(due: DueGroup) -> LLMatcher | None:
    """A group's matcher, once it knows the reply so far; a step that is computed again takes it back."""
    group, output = due.group, due.output
    matcher = group.matcher
    if matcher is None or group.failure:
        return None
    if len(output) < group.matched:
        matcher.rollback(group.matched - len(output))
        group.matched = len(output)
    for token in output[group.matched :]:
        if matcher.is_stopped():
            break
        if problem := advance(matcher, token):
            _fail_in_format(group, problem)
            return None
        group.matched += 1
    # Complete: whoever reads the reply is about to end it, and leaves out what is drawn until then.
    return None if matcher.is_stopped() else matcher


def _fail_in_format(group: SequenceGroup, problem: str) -> None:
    group.failure, group.failure_detail = "response_format", problem


def _forced(due: DueGroup, drawn: int) -> int:
    forced, step = due.group.forced, len(due.output)
    if due.group.failure and due.group.stop_id >= 0:
        return due.group.stop_id
    return forced[step] if step < len(forced) else drawn


def _note_logprobs(due: Sequence[DueGroup], tokens: Sequence[int], logits_G_V: torch.Tensor) -> None:
    wanted = [g for g, each in enumerate(due) if each.group.sampling.logprobs or each.group.forced]
    if not wanted:
        return
    logprobs_W_V = torch.log_softmax(logits_G_V[wanted], dim=-1)
    chosen_W_1 = torch.tensor([[tokens[g]] for g in wanted], device=logits_G_V.device)
    logprobs = logprobs_W_V.gather(1, chosen_W_1).flatten().tolist()
    best = logits_G_V[wanted].argmax(-1).tolist()
    for place, g in enumerate(wanted):
        group = due[g].group
        group.logprobs[len(due[g].output) :] = [logprobs[place]]  # a step that is computed again takes its place
        group.greedy &= best[place] == tokens[g]


def _take_readings(due: DueGroup, hidden_R_D: torch.Tensor | None) -> None:
    group = due.group
    if hidden_R_D is None or not group.readings:
        return
    state_D = hidden_R_D[due.rows[0]]
    if "state" in group.readings and not due.output:
        group.state_D = state_D.float().cpu().clone()
    if "reply_state" in group.readings:
        group.reply_states[len(due.output) :] = [state_D.float().cpu().clone()]
