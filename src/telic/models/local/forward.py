"""One forward pass over whatever the batch needs next: decoding sequences and prompt chunks, laid end to end."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import torch

from telic.errors import ModelError
from telic.models.control import Control
from telic.models.local.arena import Arena
from telic.models.local.attention import IMPLEMENTATION, AppliedAttention, Group, PassLayout, PrefixPart, use_layout
from telic.models.local.cache import CacheShape, Segment
from telic.models.local.chunks import (
    AppliedResidual,
    Chunk,
    by_control,
    change_residual,
    control_batch,
    residual_controls,
)
from telic.models.local.thread_governor import ThreadGovernor
from telic.rendering import Span

__all__ = ["Runner"]


class Runner:
    """Runs forward passes of a model of `transformers`.

    Args:
        model: the model.
        thread_governor: adapts the number of processor threads before each pass.
        paged: whether the batch's keys and values are kept in blocks; by default on a GPU.

    Raises:
        ModelError: the model's attention is of a kind that the engine does not support.
    """

    def __init__(self, model: Any, thread_governor: ThreadGovernor | None = None, *, paged: bool | None = None) -> None:
        self.model, self.thread_governor = model, thread_governor
        config = model.config.get_text_config()
        self.hidden_size = int(config.hidden_size)
        self.layers = int(config.num_hidden_layers)
        _check_supported(config)
        if not model._can_set_attn_implementation():
            raise ModelError(
                f"{type(model).__name__} has an attention implementation of its own, which the engine cannot observe; "
                "serve the model behind an endpoint instead"
            )
        model.set_attn_implementation(IMPLEMENTATION)
        if any(name.endswith(".sinks") for name, _ in model.named_parameters()):
            raise ModelError(
                f"{type(model).__name__} has attention sinks, which the engine does not support yet; serve the model "
                "behind an endpoint instead"
            )
        _check_devices(model)
        self.device, self.dtype = model.device, model.dtype
        heads = int(config.num_attention_heads)
        self.arena = Arena(
            CacheShape(
                layers=self.layers,
                kv_heads=int(getattr(config, "num_key_value_heads", None) or heads),
                head_dim=int(getattr(config, "head_dim", None) or self.hidden_size // heads),
            ),
            self.dtype,
            self.device,
            paged=paged,
        )
        # The engine's attention needs no mask. Where transformers gets one of four dimensions, it makes none; it would
        # look at the positions for that, and wait for the GPU.
        apart = self.device.type != "cpu"
        self._mask = {"attention_mask": torch.zeros(1, 1, 1, 1, device=self.device)} if apart else {}
        self._residuals: list[AppliedResidual] = []
        self._last_hidden_N_D = torch.empty(0)
        for layer, module in enumerate(decoder_layers(model, self.layers)):
            module.register_forward_hook(self._residual_hook(layer))
        model.get_output_embeddings().register_forward_pre_hook(self._keep_hidden)

    def run(self, chunks: list[Chunk]) -> list[torch.Tensor]:
        """Compute chunks, and return float32 logits [positions, vocabulary] for each.

        Chunks of one token must come first; those whose sequences share a prefix must come one after the other.
        """
        if self.thread_governor is not None:
            self.thread_governor.adapt()
        made = self.arena.prepare([(c.sequence.slot, c.start, c.end, len(c.sequence.tokens)) for c in chunks])
        tokens = [c.sequence.tokens[p] for c in chunks for p in range(c.start, c.end)]
        positions = [p for c in chunks for p in range(c.start, c.end)]
        wanted, offset = [], 0
        for chunk in chunks:
            wanted += [offset + p - chunk.start for p in chunk.logit_positions]
            offset += chunk.end - chunk.start
        members = self._members(chunks)
        layout = PassLayout(self.arena, self._groups(members, made))
        self._residuals = self._residual_controls(chunks)
        try:
            with torch.inference_mode(), use_layout(layout):
                output = self.model(
                    **self._inputs(tokens, positions, chunks),
                    position_ids=self._long(positions)[None],
                    use_cache=False,
                    **self._mask,
                    logits_to_keep=self._long(wanted or [offset - 1]),
                )
        finally:
            self._residuals = []  # the model may be used on its own, outside of the engine
        logits = output.logits[0].float()
        self._take_readings(members, layout.groups)
        for chunk, segment in zip(chunks, made, strict=True):
            chunk.sequence.computed = chunk.end
            if segment is not None:
                self.arena.extend_prefix(chunk.sequence.slot, segment)
        return list(logits.split([len(c.logit_positions) for c in chunks])) if wanted else [logits[:0] for _ in chunks]

    def _long(self, values: Iterable[int]) -> torch.Tensor:
        return torch.tensor(list(values), dtype=torch.long, device=self.device)

    def _inputs(self, tokens: list[int], positions: list[int], chunks: list[Chunk]) -> dict[str, torch.Tensor]:
        if min(tokens) >= 0:
            return {"input_ids": self._long(tokens)[None]}
        embedded = self.model.get_input_embeddings()(self._long([max(t, 0) for t in tokens])).clone()
        sequences = [c.sequence for c in chunks for _ in range(c.start, c.end)]
        for place, (token, position, sequence) in enumerate(zip(tokens, positions, sequences, strict=True)):
            if token < 0:
                embedded[place] = sequence.embeddings[position].to(embedded)
        return {"inputs_embeds": embedded[None]}

    def _members(self, chunks: list[Chunk]) -> list[list[Chunk]]:
        """The chunks of each group: those of one token, apart by whether their prefix is long, and each longer one."""
        single = [c for c in chunks if c.end - c.start == 1]
        by_prefix = itertools.groupby(single, lambda c: self.arena.has_long_prefix(c.sequence.slot))
        return [list(members) for _, members in by_prefix] + [[c] for c in chunks[len(single) :]]

    def _groups(self, members: list[list[Chunk]], made: list[Segment | None]) -> list[Group]:
        groups: list[Group] = []
        place = offset = 0
        for chunks in members:
            size = sum(c.end - c.start for c in chunks)
            groups.append(self._group(chunks, slice(offset, offset + size), made[place]))
            place, offset = place + len(chunks), offset + size
        return groups

    def _group(self, chunks: list[Chunk], tokens: slice, written: Segment | None) -> Group:
        chains = [self.arena.prefix(c.sequence.slot) for c in chunks]
        if written is not None:
            chains = [(*chain, written) for chain in chains]
        lengths = [sum(segment.length for segment in chain) for chain in chains]
        rows = [(c.sequence.slot, c.start - n, c.end - n) for c, n in zip(chunks, lengths, strict=True)]
        group = Group(
            tokens,
            torch.stack([torch.arange(c.start, c.end, device=self.device) for c in chunks]),
            self._long(lengths),
            self.arena.storage.entries(rows, write=written is None),
            max(lengths),
            _prefix_parts(chains),
            written=written,
            clear=chunks[0].start if len(chunks) == 1 else 0,
        )
        self._observe(group, chunks, lengths)
        return group

    def _observe(self, group: Group, chunks: list[Chunk], lengths: list[int]) -> None:
        """Mark the system prompts that controls act on, and those whose attention is read."""
        controlled = by_control(chunks, "attention")
        spans = [chunk.sequence.system_span(control.span) for control, members in controlled for _, chunk in members]
        read = [(r, c.sequence.system_span("content")) for r, c in enumerate(chunks) if _reads_attention(c)]
        end = max((span.end for span in (*spans, *(span for _, span in read))), default=0)
        # Among the first keys, unless a prefix is padded before they end.
        aligned = end <= min(lengths) or not group.prefix_length
        group.spanned = min(group.keys, end) if aligned else group.keys
        if read:
            group.reading_R_S = self._marked(group, read, lengths)
        if group.spanned and controlled:
            group.controls = [self._attention_control(c, members, group, lengths) for c, members in controlled]

    def _marked(self, group: Group, spans: list[tuple[int, Span]], lengths: list[int]) -> torch.Tensor:
        """float32 [R, S]: 1 on the keys of each row's span."""
        marked = torch.zeros(len(group.prefix_R), group.spanned, device=self.device)
        for row, span in spans:
            self._mark(marked[row], span, lengths[row], group.prefix_length)
        return marked

    @staticmethod
    def _mark(marked_S: torch.Tensor, span: Span, length: int, padded: int) -> None:
        """Mark a span of positions, of which the first `length` are in a prefix that is padded."""
        marked_S[span.start : min(span.end, length)] = 1.0
        moved = padded - length
        marked_S[max(span.start, length) + moved : max(span.end, length) + moved] = 1.0

    def _attention_control(
        self, control: Control, members: list[tuple[int, Chunk]], group: Group, lengths: list[int]
    ) -> AppliedAttention:
        chunks = [chunk for _, chunk in members]
        index_R = self._long(index for index, _ in members)
        spans = [chunk.sequence.system_span(control.span) for chunk in chunks]
        span_R_S = torch.zeros(len(chunks), group.spanned, device=self.device)
        for (index, _), span, marked_S in zip(members, spans, span_R_S, strict=True):
            self._mark(marked_S, span, lengths[index], group.prefix_length)
        after = group.position_R_Q[index_R] >= self._long(span.end for span in spans)[:, None]
        return AppliedAttention(control, control_batch(chunks, self.device), index_R, span_R_S, after)

    def _residual_controls(self, chunks: list[Chunk]) -> list[AppliedResidual]:
        starts = itertools.accumulate((chunk.end - chunk.start for chunk in chunks), initial=0)
        return residual_controls(chunks, list(starts), self.device)

    def _residual_hook(self, layer: int) -> Any:
        def hook(_module: Any, _inputs: Any, output: Any) -> Any:
            if not self._residuals:
                return None
            hidden = output[0] if isinstance(output, tuple) else output
            changed = change_residual(self._residuals, layer, hidden[0])
            return (changed[None], *output[1:]) if isinstance(output, tuple) else changed[None]

        return hook

    def _keep_hidden(self, _module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        self._last_hidden_N_D = inputs[0][0]

    def _take_readings(self, members: list[list[Chunk]], groups: list[Group]) -> None:
        """Take the readings of this pass."""
        place = 0
        for chunk in itertools.chain.from_iterable(members):
            wanted = len(chunk.logit_positions)
            if wanted and "state" in chunk.sequence.readings and chunk.sequence.hidden_state is None:
                chunk.sequence.hidden_state = self._last_hidden_N_D[place].float().cpu().numpy().copy()
            if wanted and "reply_state" in chunk.sequence.readings:
                chunk.sequence.last_state_D = self._last_hidden_N_D[place + wanted - 1].clone()
            place += wanted
        for group, belonging in zip(groups, members, strict=True):
            if not group.masses:
                continue
            mass_R_L = torch.stack(group.masses, dim=1)
            for row, chunk in enumerate(belonging):
                sequence = chunk.sequence
                if _reads_attention(chunk) and chunk.logit_positions:
                    mass = mass_R_L[row]
                    sequence.mass_L = mass if sequence.mass_L is None else sequence.mass_L + mass
                    sequence.mass_count += 1


def _prefix_parts(chains: list[tuple[Segment, ...]]) -> list[PrefixPart]:
    """The segments of the rows' prefixes; rows one after the other that have one at the same place share it."""
    parts: list[PrefixPart] = []
    last: dict[int, PrefixPart] = {}
    for row, chain in enumerate(chains):
        start = 0
        for segment in chain:
            before = last.get(start)
            if before is not None and before.rows.stop == row and before.segment.place == segment.place:
                before.rows = slice(before.rows.start, row + 1)
            else:
                last[start] = PrefixPart(slice(row, row + 1), segment, start)
                parts.append(last[start])
            start += segment.length
    return parts


def _reads_attention(chunk: Chunk) -> bool:
    return "attention" in chunk.sequence.readings


def decoder_layers(model: Any, count: int) -> list[torch.nn.Module]:
    for module in getattr(model, "base_model", model).modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return list(module)
    raise ModelError(
        f"{type(model).__name__}: found no list of {count} decoder layers, which the engine needs; serve the model "
        "behind an endpoint instead"
    )


def _check_devices(model: Any) -> None:
    """Refuse a model of which parts are elsewhere: the keys and values of all layers are on one device."""
    devices = sorted({str(weight.device) for weight in model.parameters()})
    if len(devices) > 1:
        raise ModelError(
            f"{type(model).__name__} is spread over {', '.join(devices)} (device_map), and the engine computes on one "
            "device; load it with device_map=None on one that has room for it, or run it on vLLM with "
            "tensor_parallel_size"
        )


def _check_supported(config: Any) -> None:
    kind = getattr(config, "model_type", "?")
    if getattr(config, "attn_logit_softcapping", None):
        raise ModelError(
            f"model type {kind!r} caps its attention logits, which the engine does not support yet; serve the model "
            "behind an endpoint instead"
        )
    types = set(getattr(config, "layer_types", None) or [])
    unknown = types - {"full_attention", "sliding_attention"}
    if unknown:
        raise ModelError(
            f"model type {kind!r} has layers of type {sorted(unknown)[0]!r}, which the engine does not support; serve "
            "the model behind an endpoint instead"
        )
    if getattr(config, "num_kv_shared_layers", 0):
        raise ModelError(
            f"model type {kind!r} shares keys between layers, which the engine does not support yet; serve the model "
            "behind an endpoint instead"
        )
