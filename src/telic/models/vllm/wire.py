"""Groups as plain values, for workers of vLLM that run in another process than the requests come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import torch

from telic.dialogue import Message
from telic.models.control import Control, ControlContext
from telic.models.grammars import GrammarCache
from telic.models.local.sequences import Sequence as TokenSequence
from telic.models.request import Sampling
from telic.models.response_format import ResponseFormat
from telic.models.vllm.groups import ReplayedStream, SequenceGroup
from telic.rendering import Rendering, Span

__all__ = [
    "CONTROLS",
    "MOST_CONTROLS",
    "format_from_wire",
    "format_to_wire",
    "group_from_wire",
    "group_to_wire",
    "known_key",
    "results_to_wire",
    "take_results",
]

CONTROLS: dict[str, Control] = {}
"""The controls of this process by the keys under which groups name them."""

MOST_CONTROLS = 256
"""Controls that a server keeps. The one that was sent first is forgotten first; its client sends it again."""


def known_key(control: Control) -> str:
    """The key of a control that is in `CONTROLS`."""
    return next(key for key, known in CONTROLS.items() if known is control)


def group_to_wire(group: SequenceGroup, key_of: Callable[[Control], str] = known_key) -> dict[str, Any]:
    """Describe a group.

    Args:
        group: the group.
        key_of: tells the key under which the workers know a control.
    """
    controls = [key_of(control) for control in group.sequences[0].controls]
    return {
        "sampling": asdict(group.sampling),
        "seed": group.stream.seed,
        "forced": list(group.forced),
        "readings": sorted(group.readings),
        "stop_id": group.stop_id,
        "format": None if group.response_format is None else format_to_wire(group.response_format),
        "controls": controls,
        "sequences": [_sequence_to_wire(sequence) for sequence in group.sequences],
    }


def format_to_wire(response_format: ResponseFormat) -> dict[str, str]:
    """Describe a response format."""
    return asdict(response_format)


def format_from_wire(wire: Mapping[str, str]) -> ResponseFormat:
    """Read what `format_to_wire` wrote."""
    return ResponseFormat(**wire)  # type: ignore[arg-type]  # its kind is one of the known ones


def group_from_wire(name: str, wire: Mapping[str, Any], grammars: GrammarCache) -> SequenceGroup:
    """Make the group that a worker needs."""
    sampling = dict(wire["sampling"])
    for key in filter(None, wire["controls"]):
        CONTROLS[key] = CONTROLS.pop(key)  # used last, so forgotten last
    controls = tuple(CONTROLS[key] for key in wire["controls"])
    form = None if wire["format"] is None else format_from_wire(wire["format"])
    return SequenceGroup(
        id=name,
        sequences=[_sequence_from_wire(sequence, controls, wire["seed"]) for sequence in wire["sequences"]],
        sampling=Sampling(**{**sampling, "stop": tuple(sampling["stop"])}),
        stream=ReplayedStream(wire["seed"]),
        forced=tuple(wire["forced"]),
        readings=frozenset(wire["readings"]),
        stop_id=wire["stop_id"],
        response_format=form,
        matcher=None if form is None else grammars.matcher(form),
    )


def _sequence_to_wire(sequence: TokenSequence) -> dict[str, Any]:
    context, rendering = sequence.context, sequence.context.rendering
    return {
        "owner": sequence.contrast_control,
        "prompt_length": context.prompt_length,
        "replies": [[span.start, span.end] for span in context.replies],
        "text": rendering.text,
        "token_ids": list(rendering.token_ids),
        "turns": [[span.start, span.end] for span in rendering.turns],
        "contents": [[span.start, span.end] for span in rendering.contents],
        "messages": [message.model_dump(exclude_defaults=True) for message in rendering.messages],
    }


def _sequence_from_wire(wire: Mapping[str, Any], controls: tuple[Control, ...], seed: int) -> TokenSequence:
    rendering = Rendering(
        text=wire["text"],
        token_ids=tuple(wire["token_ids"]),
        turns=_spans(wire["turns"]),
        contents=_spans(wire["contents"]),
        messages=tuple(Message(**message) for message in wire["messages"]),
    )
    context = ControlContext(rendering, wire["prompt_length"], replies=_spans(wire["replies"]), seed=seed)
    return TokenSequence(context, controls, contrast_control=wire["owner"])


def _spans(wire: Sequence[Sequence[int]]) -> tuple[Span, ...]:
    return tuple(Span(start, end) for start, end in wire)


def results_to_wire(group: SequenceGroup) -> dict[str, Any]:
    """What a worker has found for a group."""
    return {
        "logprobs": group.logprobs,
        "greedy": group.greedy,
        "failure": group.failure,
        "failure_detail": group.failure_detail,
        "state": None if group.state_D is None else group.state_D.tolist(),
        "reply_state": group.reply_states[-1].tolist() if group.reply_states else None,
    }


def take_results(group: SequenceGroup, wire: Mapping[str, Any]) -> None:
    """Take over what a worker in another process has found."""
    group.logprobs, group.greedy, group.failure = list(wire["logprobs"]), wire["greedy"], wire["failure"]
    group.failure_detail = wire["failure_detail"]
    group.state_D = None if wire["state"] is None else torch.tensor(wire["state"])
    group.reply_states = [] if wire["reply_state"] is None else [torch.tensor(wire["reply_state"])]
