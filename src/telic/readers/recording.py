"""Recording of the residual stream at the end of prompts, on forks of their sessions; and a cache of recordings."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from telic.dialogue import Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.files import read_arrays, tensor_names, write_arrays
from telic.models.base import Model
from telic.models.control import Control, ControlBatch, ControlPoint
from telic.models.request import Reply, Request
from telic.models.session import Replier, Session

__all__ = [
    "ActivationCache",
    "ActivationRecorder",
    "Floats",
    "Halves",
    "example_key",
    "record_activations",
    "require_hidden_states",
]

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]

_STATE = "readers/residual"


class ActivationRecorder(Control):
    """Records the residual stream of each sequence at the last tokens of its prompt, and changes nothing.

    It records into the session's control state, so the activations come back with the session of a kept request.

    Args:
        layers: layers to record; 0 is the first block's output.
        backs: tokens to record, counted back from the prompt's last one, which is 0.
    """

    name: ClassVar[str] = "activation_recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

    def __init__(self, layers: Iterable[int], backs: Iterable[int] = (0,)) -> None:
        self._layers = frozenset(layers)
        self._backs = sorted(set(backs))

    @property
    def key(self) -> str:
        """Empty, since it changes nothing: a cache that was filled with it can be used without it, and vice versa."""
        return ""

    @property
    def layers(self) -> frozenset[int]:
        """Layers that are recorded."""
        return self._layers

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Record those of the prompts' last tokens that are in this pass."""
        wanted: list[tuple[int, int, int]] | None = batch.memo.get("wanted")
        if wanted is None:
            last_R = batch.position_N.new_tensor([context.prompt_length - 1 for context in batch.contexts])
            back_N = last_R[batch.context_N] - batch.position_N
            tokens = torch.isin(back_N, back_N.new_tensor(self._backs)).nonzero().flatten().tolist()
            wanted = batch.memo["wanted"] = [
                (token, int(batch.context_N[token]), int(back_N[token])) for token in tokens
            ]
        for token, index, back in wanted:
            noted: dict[tuple[int, int], Floats] = batch.contexts[index].control_state.setdefault(_STATE, {})
            noted[layer, back] = hidden_N_D[token].float().cpu().numpy().copy()
        return hidden_N_D


def require_hidden_states(model: Model) -> None:
    """Refuse a model without access to its residual stream.

    Raises:
        UnsupportedControlError: the model does not run locally.
    """
    if "residual" not in model.points:
        raise UnsupportedControlError(
            f"model {model.name!r} gives no access to its hidden states, which readers need; run one locally, for "
            'example with telic.load("smollm2")'
        )


def record_activations(
    sessions: Sequence[Session],
    prefixes: Sequence[str],
    layers: Sequence[int],
    controls: Sequence[Control] = (),
    backs: Sequence[int] | None = None,
) -> Floats:
    """Record the residual stream at the end of each session's prompt, followed by each prefix of a reply.

    Each prompt is read once, into its session's cache, and each prefix on a fork, all in one batch. The dialogues stay
    unchanged.

    Args:
        sessions: sessions of one model, each with a message to reply to.
        prefixes: beginnings of the reply; an empty one stands for the prompt's own end. One that is there several times
            is read once.
        layers: layers to record; 0 is the first block's output.
        controls: act on the model meanwhile.
        backs: the token to record for each prefix, counted back from its last one, which is 0; by default the last.

    Returns:
        float32 [sessions, prefixes, layers, hidden].

    Raises:
        ModelError: a dialogue does not fit in the context, or cannot be rendered.
    """
    if not sessions:
        raise ConfigError("sessions is empty; pass at least one")
    backs = backs or [0] * len(prefixes)
    all_controls = (*controls, ActivationRecorder(layers, backs))  # the last, so it sees the others' changes

    def ask(session: Session, prefix: str) -> Request:
        return replace(
            session.request(controls=all_controls, max_new_tokens=1, temperature=0.0, seed=0), reply_prefix=prefix
        )

    model = sessions[0].model
    _run(model, [ask(session, "") for session in sessions])
    distinct = [prefix for prefix in dict.fromkeys(prefixes) if prefix]
    forks = [{prefix: session.fork() for prefix in distinct} | {"": session} for session in sessions]
    _run(model, [ask(own[prefix], prefix) for own in forks for prefix in distinct])
    return np.stack(
        [
            np.stack([_recorded(own[prefix], layers, back) for prefix, back in zip(prefixes, backs, strict=True)])
            for own in forks
        ]
    )


def _run(model: Replier, requests: list[Request]) -> None:
    for reply in model.generate(requests):
        if not reply.new_tokens:
            kind = "context_full" if reply.failure is None else reply.failure.kind
            raise ModelError(f"cannot read a dialogue: {_reason(reply)}", kind)


def _reason(reply: Reply) -> str:
    return (
        reply.failure.detail
        if reply.failure
        else f"its {reply.prompt_tokens} tokens leave no room in the model's context"
    )


def _recorded(session: Session, layers: Sequence[int], back: int) -> Floats:
    noted: dict[tuple[int, int], Floats] = session.cache.control_state[_STATE]
    return np.stack([noted[layer, back] for layer in layers])


def example_key(model: str, messages: Iterable[Message], prefixes: Iterable[str]) -> str:
    """Make the key of a recording from the model, the dialogue and the prefixes."""
    identity = [model, [message.as_dict() for message in messages], list(prefixes)]
    return hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:24]


class ActivationCache:
    """Recorded activations, on disk, so that an interrupted training continues, and a repeated one is quick.

    Args:
        folder: holds a safetensors file per recorded batch; made if it is missing. None keeps them in memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._memory: dict[str, Halves] = {}
        self._files: dict[str, Path] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.safetensors")):
                self._files.update(dict.fromkeys(tensor_names(path), path))

    def __contains__(self, key: str) -> bool:
        return key in self._memory or key in self._files

    def add(self, batch: dict[str, Floats]) -> None:
        """Keep the activations of a batch, at half precision."""
        largest = float(np.finfo(np.float16).max)
        halves = {key: values.clip(-largest, largest).astype(np.float16, order="C") for key, values in batch.items()}
        if self.folder is None:
            self._memory.update(halves)
            return
        # Two batches may share a dialogue, so the name depends on all keys.
        path = self.folder / f"{hashlib.sha256(''.join(sorted(halves)).encode()).hexdigest()[:24]}.safetensors"
        write_arrays(path, halves)
        self._files.update(dict.fromkeys(halves, path))

    def load(self, keys: Sequence[str]) -> Halves:
        """Load recordings: float16 [keys, ...], in the keys' order."""
        by_file: dict[Path, list[str]] = {}
        for key in keys:
            if key not in self._memory:
                by_file.setdefault(self._files[key], []).append(key)
        found = {key: self._memory[key] for key in keys if key in self._memory}
        for path, own in by_file.items():
            found.update(read_arrays(path, own))
        return np.stack([found[key] for key in keys])
