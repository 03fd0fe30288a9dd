"""Attention over a batch of sequences of different lengths, laid end to end.

The engine gives the model one row of N tokens: first one token for each sequence that decodes, then the tokens of those
that read their prompt. All linear layers see a dense [N, hidden]; nothing is padded. Only attention needs to know
which token belongs to which sequence. This module replaces the model's attention function by one that writes keys and
values into the arena and attends to the sequence's own slot.

The weights are computed explicitly (two batched products around a softmax in float32). On a CPU this is faster than
the flash kernel for one query per sequence. It also gives the attention mass on the system prompt, and control over it
(split-softmax and its variants, arXiv 2402.10962), for the cost of one small reduction.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from telic.models.control import Control, ControlBatch
from telic.models.local.cache import Arena

__all__ = ["IMPLEMENTATION", "AppliedAttention", "Group", "PassLayout", "use_layout"]

IMPLEMENTATION = "telic"


@dataclass(slots=True)
class AppliedAttention:
    """One control on some rows of a group."""

    control: Control
    batch: ControlBatch
    index_R: torch.Tensor
    """Rows of the group that carry it."""
    span_R_S: torch.Tensor
    """float32: 1 on the keys of the system prompt, among the group's first S keys."""
    after_R_Q: torch.Tensor
    """bool: queries after the system prompt; earlier ones are left alone."""


@dataclass(slots=True)
class Group:
    """All sequences that compute one token, or one that computes more: R rows of Q queries, unused slots included."""

    tokens: slice
    """Their tokens in the pass, row after row."""
    first_slot: int
    position_R_Q: torch.Tensor
    """Position of each query; -1 for a slot in between that is not part of the pass."""
    length: int
    """Keys read: those of the longest sequence, or all that the arena has room for."""
    spanned: int = 0
    """S: the first keys, among which are those of all system prompts that are read or controlled."""
    controls: list[AppliedAttention] = field(default_factory=list)
    reading_R_S: torch.Tensor | None = None
    """float32: 1 on the system prompt's keys, for the rows whose attention is read."""
    masses: list[torch.Tensor] = field(default_factory=list)
    """Per layer: [R], attention mass on the system prompt of the row's last query, mean over heads."""
    gather_N: torch.Tensor | None = None
    """The row of each token, where there are unused slots in between."""
    _masks: dict[int, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int) -> torch.Tensor:
        """Bool [R, Q, length]: which keys each query sees; `window` limits how far back, 0 does not."""
        if window not in self._masks:
            key_L = torch.arange(self.length, device=self.position_R_Q.device)
            position = self.position_R_Q[:, :, None]
            seen = key_L <= position
            if window:
                seen &= key_L > position - window
            # An unused slot must not divide by zero: it sees its first key.
            self._masks[window] = seen | ((position < 0) & (key_L == 0))
        return self._masks[window]


@dataclass(slots=True)
class PassLayout:
    """Where the tokens of one forward pass live, and how they are grouped."""

    arena: Arena
    slot_N: torch.Tensor
    position_N: torch.Tensor
    groups: list[Group]


_current = threading.local()


@contextmanager
def use_layout(layout: PassLayout) -> Iterator[None]:
    """Attend as this layout says within the block (in this thread)."""
    _current.layout = layout
    try:
        yield
    finally:
        _current.layout = None


def _attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """The attention function for `transformers`: query [1, H, N, D]; key and value [1, KV, N, D]."""
    layout: PassLayout | None = getattr(_current, "layout", None)
    if layout is None:  # the model is used on its own, outside of the engine
        out, _ = sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **kwargs)
        return out, None
    layer = int(module.layer_idx)  # type: ignore[arg-type]
    keys, values = layout.arena.data[layer]
    keys[layout.slot_N, :, layout.position_N] = key[0].transpose(0, 1)
    values[layout.slot_N, :, layout.position_N] = value[0].transpose(0, 1)
    window = kwargs.get("sliding_window") or 0
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    parts = [_attend(group, layer, query[0, :, group.tokens], keys, values, scale, window) for group in layout.groups]
    return torch.cat(parts)[None], None


def _mask(*args: Any, **kwargs: Any) -> torch.Tensor | None:
    return None if getattr(_current, "layout", None) is not None else sdpa_mask(*args, **kwargs)


AttentionInterface.register(IMPLEMENTATION, _attention)
AttentionMaskInterface.register(IMPLEMENTATION, _mask)


def _attend(
    group: Group,
    layer: int,
    query_H_N_D: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    scale: float,
    window: int,
) -> torch.Tensor:
    """Attend each row of a group to its slot; returns [N, H, D]."""
    rows, queries = group.position_R_Q.shape
    heads, _, dim = query_H_N_D.shape
    slots = slice(group.first_slot, group.first_slot + rows)
    kv_heads = keys.shape[1]
    # Query heads that share a key head are folded into the query axis, so that keys and values are read once.
    key = keys[slots, :, : group.length].reshape(rows * kv_heads, group.length, dim)
    value = values[slots, :, : group.length].reshape(rows * kv_heads, group.length, dim)
    query_R_H_Q_D = _spread(query_H_N_D * scale, group)
    folded = query_R_H_Q_D.reshape(rows * kv_heads, -1, dim)
    scores = _scores(folded, key).float().reshape(rows, heads, queries, group.length)
    scores.masked_fill_(~group.mask(window)[:, None], float("-inf"))
    weights_R_H_Q_L = torch.softmax(scores, dim=-1)
    # System prompts come first, so whatever is read or changed is among the first few keys; the weights on the rest
    # are only ever scaled as a whole.
    front_R_H_Q_S = weights_R_H_Q_L[..., : group.spanned]
    rest_R_H_Q: torch.Tensor | None = None
    for applied in group.controls:
        front_R_H_Q_S, rest_R_H_Q = _reweigh(front_R_H_Q_S, rest_R_H_Q, applied, layer)
    if group.reading_R_S is not None:
        group.masses.append((front_R_H_Q_S[:, :, -1] * group.reading_R_S[:, None]).sum(-1).mean(1))
    if rest_R_H_Q is not None:
        weights_R_H_Q_L.mul_(rest_R_H_Q[..., None])
        weights_R_H_Q_L[..., : group.spanned] = front_R_H_Q_S
    weights = weights_R_H_Q_L.to(value.dtype).view(rows * kv_heads, -1, group.length)
    out = torch.bmm(weights, value).view(rows, heads, queries, dim)
    return _gather(out, group)


def _scores(query_B_M_D: torch.Tensor, key_B_L_D: torch.Tensor) -> torch.Tensor:
    """Products of queries and keys, [B, M, L]."""
    if query_B_M_D.shape[1] < 16:  # rows that decode: a CPU in bfloat16 is three times as fast with the keys first
        return torch.bmm(key_B_L_D, query_B_M_D.transpose(1, 2)).transpose(1, 2)
    return torch.bmm(query_B_M_D, key_B_L_D.transpose(1, 2))


def _spread(query_H_N_D: torch.Tensor, group: Group) -> torch.Tensor:
    """[H, N, D] tokens to [R, H, Q, D] rows; unused slots stay zero."""
    rows, queries = group.position_R_Q.shape
    heads, _, dim = query_H_N_D.shape
    if group.gather_N is None:
        return query_H_N_D.view(heads, rows, queries, dim).transpose(0, 1)
    spread = query_H_N_D.new_zeros(rows, heads, queries, dim)
    spread[group.gather_N, :, 0] = query_H_N_D.transpose(0, 1)
    return spread


def _gather(out_R_H_Q_D: torch.Tensor, group: Group) -> torch.Tensor:
    """[R, H, Q, D] rows to [N, H, D] tokens."""
    if group.gather_N is not None:
        return out_R_H_Q_D[group.gather_N, :, 0]
    rows, heads, queries, dim = out_R_H_Q_D.shape
    return out_R_H_Q_D.transpose(1, 2).reshape(rows * queries, heads, dim)


def _reweigh(
    front_R_H_Q_S: torch.Tensor, rest_R_H_Q: torch.Tensor | None, applied: AppliedAttention, layer: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Let a control set the attention mass on the system prompt.

    Returns:
        The weights on the first S keys, and the factor on those on all other keys.
    """
    if rest_R_H_Q is None:
        rest_R_H_Q = front_R_H_Q_S.new_ones(front_R_H_Q_S.shape[:3])
    every = len(applied.index_R) == len(front_R_H_Q_S)
    front = front_R_H_Q_S if every else front_R_H_Q_S[applied.index_R]
    span = applied.span_R_S[:, None, None]
    # The weights of a query sum to 1, so the mass outside is 1 minus the mass inside. Rounding may push the latter
    # above 1.
    tiny = torch.finfo(torch.float32).tiny
    inside = (front * span).sum(-1).clamp_max(1.0)
    outside = 1.0 - inside
    log_mass = inside.clamp_min(tiny).log()
    wanted = applied.control.attention(applied.batch, layer, log_mass).clamp_max(0.0)
    # Queries that the control leaves alone stay bitwise identical.
    change = (wanted != log_mass) & applied.after_R_Q[:, None] & (inside > 0) & (outside > 0)
    up = torch.where(change, wanted.exp() / inside.clamp_min(tiny), 1.0)
    down = torch.where(change, -torch.expm1(wanted) / outside.clamp_min(tiny), 1.0)
    front = front * torch.where(span > 0, up[..., None], down[..., None])
    if every:
        return front, rest_R_H_Q * down
    rest = rest_R_H_Q.index_copy(0, applied.index_R, rest_R_H_Q[applied.index_R] * down)
    return front_R_H_Q_S.index_copy(0, applied.index_R, front), rest
