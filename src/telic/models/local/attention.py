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
from telic.models.local.arena import Arena
from telic.models.local.cache import Segment
from telic.models.local.storage import Entries

__all__ = ["IMPLEMENTATION", "AppliedAttention", "Group", "PassLayout", "PrefixPart", "use_layout"]

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
class PrefixPart:
    """A segment with which consecutive rows of a group begin: one product reads it for all of them."""

    rows: slice
    segment: Segment
    start: int
    """Position of its first token."""


@dataclass(slots=True)
class Group:
    """All sequences that compute one token, or one that computes more: R rows of Q queries.

    The keys of a row are those of its prefix, padded to P, and then those of its slot: K in all.
    """

    tokens: slice
    """Their tokens in the pass, row after row."""
    position_R_Q: torch.Tensor
    """Position of each query."""
    prefix_R: torch.Tensor
    """Tokens of each row's prefix."""
    entries: Entries
    """What is read of their slots, L keys of each, and where the new keys and values go."""
    prefix_length: int = 0
    """P: tokens of the longest prefix."""
    prefixes: list[PrefixPart] = field(default_factory=list)
    written: Segment | None = None
    """Where the new keys and values go instead: a segment that is the last of the row's prefix."""
    clear: int = 0
    """The first keys, which all queries see unless a window limits how far back."""
    spanned: int = 0
    """S: the first keys, among which are those of all system prompts that are read or controlled."""
    controls: list[AppliedAttention] = field(default_factory=list)
    reading_R_S: torch.Tensor | None = None
    """float32: 1 on the system prompt's keys, for the rows whose attention is read."""
    masses: list[torch.Tensor] = field(default_factory=list)
    """Per layer: [R], attention mass on the system prompt of the row's last query, mean over heads."""
    _masks: dict[int, torch.Tensor] = field(default_factory=dict)

    @property
    def keys(self) -> int:
        """K: keys of a row, padding included."""
        return self.prefix_length + self.entries.length

    def mask(self, window: int) -> torch.Tensor:
        """Bool [R, Q, K]: which keys each query sees; `window` limits how far back, 0 does not."""
        if window not in self._masks:
            device = self.position_R_Q.device
            prefix_P = torch.arange(self.prefix_length, device=device)
            entry_L = torch.arange(self.entries.length, device=device)
            prefix_R_1 = self.prefix_R[:, None]
            beyond = torch.iinfo(torch.long).max
            prefix_R_P = torch.where(prefix_P < prefix_R_1, prefix_P, beyond)
            position_R_1_K = torch.cat([prefix_R_P, prefix_R_1 + entry_L], 1)[:, None]
            position = self.position_R_Q[:, :, None]
            seen = position_R_1_K <= position
            if window:
                seen &= position_R_1_K > position - window
            self._masks[window] = seen
        return self._masks[window]


@dataclass(slots=True)
class PassLayout:
    """Where the tokens of one forward pass live, and how they are grouped."""

    arena: Arena
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
    keys, values = layout.arena.layers[layer]
    window = kwargs.get("sliding_window") or 0
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    for group in layout.groups:
        _write(group, layer, key[0, :, group.tokens], value[0, :, group.tokens], keys, values)
    parts = [_attend(group, layer, query[0, :, group.tokens], keys, values, scale, window) for group in layout.groups]
    return torch.cat(parts)[None], None


def _write(
    group: Group,
    layer: int,
    key_KV_N_D: torch.Tensor,
    value_KV_N_D: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
) -> None:
    """Keep the keys and values of a group's tokens."""
    if group.written is not None:
        group.written.keys_values[layer, 0] = key_KV_N_D
        group.written.keys_values[layer, 1] = value_KV_N_D
    else:
        group.entries.write(keys, key_KV_N_D)
        group.entries.write(values, value_KV_N_D)


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
    """Attend each row of a group to its prefix and its slot; returns [N, H, D]."""
    rows, queries = group.position_R_Q.shape
    heads, _, dim = query_H_N_D.shape
    kv_heads = keys.shape[1]
    # Query heads that share a key head are folded into the query axis (M), so that keys and values are read once.
    spread = (query_H_N_D * scale).view(kv_heads, -1, rows, queries, dim)
    query_R_KV_M_D = spread.permute(2, 0, 1, 3, 4).reshape(rows, kv_heads, -1, dim)
    scores_R_KV_M_K = _slot_scores(group.entries, query_R_KV_M_D, keys)
    if group.prefixes:
        scores_R_KV_M_K = _with_prefix_scores(group, layer, query_R_KV_M_D, scores_R_KV_M_K)
    if group.controls or group.reading_R_S is not None:
        scores_R_KV_M_K = scores_R_KV_M_K.float()  # otherwise only within the softmax: the copies take longer than it
    scores = scores_R_KV_M_K.reshape(rows, heads, queries, group.keys)
    clear = 0 if window else group.clear
    scores[..., clear:].masked_fill_(~group.mask(window)[:, None, :, clear:], float("-inf"))
    weights_R_H_Q_K = torch.softmax(scores, dim=-1)
    # System prompts come first, so whatever is read or changed is among the first few keys; the weights on the rest
    # are only ever scaled as a whole.
    front_R_H_Q_S = weights_R_H_Q_K[..., : group.spanned]
    rest_R_H_Q: torch.Tensor | None = None
    for applied in group.controls:
        front_R_H_Q_S, rest_R_H_Q = _reweigh(front_R_H_Q_S, rest_R_H_Q, applied, layer)
    if group.reading_R_S is not None:
        group.masses.append((front_R_H_Q_S[:, :, -1] * group.reading_R_S[:, None]).sum(-1).mean(1))
    if rest_R_H_Q is not None:
        weights_R_H_Q_K.mul_(rest_R_H_Q[..., None])
        weights_R_H_Q_K[..., : group.spanned] = front_R_H_Q_S
    weights = weights_R_H_Q_K.to(values.dtype).view(rows, kv_heads, -1, group.keys)
    out = _slot_values(group.entries, weights[..., group.prefix_length :], values)
    for part in group.prefixes:
        out[part.rows] += _prefix_values(part, layer, weights)
    return out.view(rows, heads, queries, dim).transpose(1, 2).reshape(rows * queries, heads, dim)


def _slot_scores(entries: Entries, query_R_KV_M_D: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
    """Products of queries and the keys of their slots, [R, KV, M, L]."""
    rows, kv_heads, folded, dim = query_R_KV_M_D.shape
    if not entries.length:
        return query_R_KV_M_D.new_empty(rows, kv_heads, folded, 0)
    query = _to_read(entries, query_R_KV_M_D).reshape(-1, folded, dim)
    scores = _scores(query, entries.read(keys)).view(-1, kv_heads, folded, entries.length)
    return scores if entries.index_R is None else scores[entries.index_R]


def _slot_values(entries: Entries, weights_R_KV_M_L: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Sums of the values of the slots, [R, KV, M, D]."""
    rows, kv_heads, folded, _ = weights_R_KV_M_L.shape
    dim = values.shape[-1]
    if not entries.length:
        return values.new_zeros(rows, kv_heads, folded, dim)
    weights = _to_read(entries, weights_R_KV_M_L).reshape(-1, folded, entries.length)
    out = torch.bmm(weights, entries.read(values)).view(-1, kv_heads, folded, dim)
    return out if entries.index_R is None else out[entries.index_R]


def _to_read(entries: Entries, rows_R: torch.Tensor) -> torch.Tensor:
    """Put what belongs to the rows where they are among the sequences that are read; zeros elsewhere."""
    if entries.index_R is None:
        return rows_R
    return rows_R.new_zeros(entries.count, *rows_R.shape[1:]).index_copy_(0, entries.index_R, rows_R)


def _with_prefix_scores(
    group: Group, layer: int, query_R_KV_M_D: torch.Tensor, slot_scores: torch.Tensor
) -> torch.Tensor:
    """Products of queries and all their keys, [R, KV, M, K]; what lies between is masked later."""
    rows, kv_heads, folded, dim = query_R_KV_M_D.shape
    query_KV_R_M_D = query_R_KV_M_D.transpose(0, 1).contiguous()
    scores = slot_scores.new_empty(rows, kv_heads, folded, group.keys)
    scores[..., group.prefix_length :] = slot_scores
    for part in group.prefixes:
        length = part.segment.length
        query = query_KV_R_M_D[:, part.rows].reshape(kv_heads, -1, dim)
        found = torch.bmm(query, part.segment.keys_values[layer, 0].transpose(1, 2))
        target = scores[part.rows, :, :, part.start : part.start + length]
        target.copy_(found.view(kv_heads, -1, folded, length).transpose(0, 1))
    return scores


def _prefix_values(part: PrefixPart, layer: int, weights_R_KV_M_K: torch.Tensor) -> torch.Tensor:
    """Sums of the values of a segment, [R, KV, M, D] of its rows."""
    _, kv_heads, folded, _ = weights_R_KV_M_K.shape
    length = part.segment.length
    weights = weights_R_KV_M_K[part.rows, :, :, part.start : part.start + length].transpose(0, 1)
    out = torch.bmm(weights.reshape(kv_heads, -1, length), part.segment.keys_values[layer, 1])
    return out.view(kv_heads, -1, folded, out.shape[-1]).transpose(0, 1)


def _scores(query_B_M_D: torch.Tensor, key_B_L_D: torch.Tensor) -> torch.Tensor:
    """Products of queries and keys, [B, M, L]."""
    if query_B_M_D.shape[1] < 16:  # rows that decode: a CPU in bfloat16 is three times as fast with the keys first
        return torch.bmm(key_B_L_D, query_B_M_D.transpose(1, 2)).transpose(1, 2)
    return torch.bmm(query_B_M_D, key_B_L_D.transpose(1, 2))


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
