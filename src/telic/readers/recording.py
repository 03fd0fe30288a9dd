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
    "example_key",
    "record_activations",
    "require_hidden_states",
]

Floats = npt.NDArray[np.float32]

_STATE = "readers/residual"


class ActivationRecorder(Control):
    """Records the residual stream of each sequence at the last token of its prompt, and changes nothing.

    It records into the session's control state, so the activations come back with the session of a kept request.

    Args:
        layers: layers to record; 0 is the first block's output.
    """

    name: ClassVar[str] = "activation_recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

    def __init__(self, layers: Iterable[int]) -> None:
        self._layers = frozenset(layers)

    @property
    def key(self) -> str:
        """Empty, since it changes nothing: a cache that was filled with it can be used without it, and vice versa."""
        return ""

    @property
    def layers(self) -> frozenset[int]:
        """Layers that are recorded."""
        return self._layers

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Record the last token of each prompt whose end is in this pass."""
        wanted: list[tuple[int, int]] | None = batch.memo.get("wanted")
        if wanted is None:
            last_R = batch.position_N.new_tensor([context.prompt_length - 1 for context in batch.contexts])
            tokens = (batch.position_N == last_R[batch.context_N]).nonzero().flatten().tolist()
            wanted = batch.memo["wanted"] = [(token, int(batch.context_N[token])) for token in tokens]
        for token, index in wanted:
            noted: dict[int, Floats] = batch.contexts[index].control_state.setdefault(_STATE, {})
            noted[layer] = hidden_N_D[token].float().cpu().numpy().copy()
        return hidden_N_D


def require_hidden_states(model: Model) -> None:
    """Refuse a model without access to its residual stream.

    Raises:
        UnsupportedControlError: the model does not run locally.
    """
    if "residual" not in model.points:
        raise UnsupportedControlError(
            f"readers need hidden states, which model {model.name!r} does not give; run one locally, for example with "
            'telic.load("smollm2")'
        )


def record_activations(
    sessions: Sequence[Session], prefixes: Sequence[str], layers: Sequence[int], controls: Sequence[Control] = ()
) -> Floats:
    """Record the residual stream at the last token of each session's prompt, followed by each prefix of a reply.

    Each prompt is read once, into its session's cache, and each prefix on a fork, all in one batch. The dialogues stay
    unchanged.

    Args:
        sessions: sessions of one model, each with a message to reply to.
        prefixes: beginnings of the reply; an empty one stands for the prompt's own last token.
        layers: layers to record; 0 is the first block's output.
        controls: act on the model meanwhile.

    Returns:
        float32 [sessions, prefixes, layers, hidden].

    Raises:
        ModelError: a dialogue does not fit in the context, or cannot be rendered.
    """
    if not sessions:
        raise ConfigError("there are no dialogues to read")
    all_controls = (*controls, ActivationRecorder(layers))  # the recorder is last, so it sees the others' changes

    def ask(session: Session, prefix: str) -> Request:
        return replace(
            session.request(controls=all_controls, max_new_tokens=1, temperature=0.0, seed=0), reply_prefix=prefix
        )

    model = sessions[0].model
    _run(model, [ask(session, "") for session in sessions])
    forks = [[session.fork() if prefix else session for prefix in prefixes] for session in sessions]
    _run(model, [ask(fork, prefix) for own in forks for fork, prefix in zip(own, prefixes, strict=True) if prefix])
    return np.stack([[_recorded(fork, layers) for fork in own] for own in forks])


def _run(model: Replier, requests: list[Request]) -> None:
    for reply in model.generate(requests):
        if not reply.new_tokens:
            raise ModelError(f"cannot read a dialogue: {_reason(reply)}")


def _reason(reply: Reply) -> str:
    return (
        reply.failure.detail
        if reply.failure
        else f"its {reply.prompt_tokens} tokens leave no room in the model's context"
    )


def _recorded(session: Session, layers: Sequence[int]) -> Floats:
    noted: dict[int, Floats] = session.cache.control_state[_STATE]
    return np.stack([noted[layer] for layer in layers])


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
        self._memory: dict[str, npt.NDArray[np.float16]] = {}
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
        halves = {key: values.clip(-largest, largest).astype(np.float16) for key, values in batch.items()}
        if self.folder is None:
            self._memory.update(halves)
            return
        # Two batches may share a dialogue, so the name depends on all keys.
        path = self.folder / f"{hashlib.sha256(''.join(sorted(halves)).encode()).hexdigest()[:24]}.safetensors"
        write_arrays(path, halves)
        self._files.update(dict.fromkeys(halves, path))

    def load(self, keys: Sequence[str]) -> Floats:
        """Load recordings: float32 [keys, ...], in the keys' order."""
        by_file: dict[Path, list[str]] = {}
        for key in keys:
            if key not in self._memory:
                by_file.setdefault(self._files[key], []).append(key)
        found = {key: self._memory[key] for key in keys if key in self._memory}
        for path, own in by_file.items():
            found.update(read_arrays(path, own))
        return np.stack([found[key] for key in keys]).astype(np.float32)
