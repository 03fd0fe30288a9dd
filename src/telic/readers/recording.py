"""Recording of dialogues: the values of their tokens, and the state at the prompt's end; and a cache of recordings.

The *value* of a token in a layer is what attention hands on of it. The engine's key-value cache holds the values of all
tokens of a dialogue, so they cost nothing: only tokens that the session has not read yet are computed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import torch

from telic.dialogue import Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.files import read_arrays, tensor_names, write_arrays
from telic.models.base import Model
from telic.models.control import Control, ControlBatch, ControlContext, ControlPoint, Insertion
from telic.models.local.cache import KeyValueCache
from telic.models.request import Reply, Request
from telic.models.session import Replier, Session

__all__ = [
    "CONTEXT_FEATURES",
    "ROLES",
    "ActivationCache",
    "DialogueRecorder",
    "Floats",
    "Halves",
    "RecordedDialogue",
    "example_key",
    "record_dialogues",
    "require_hidden_states",
    "select_layers",
]

Floats = npt.NDArray[np.float32]
Halves = npt.NDArray[np.float16]

_STATE = "readers/recorded"
ROLES = ("system", "user", "assistant")
CONTEXT_FEATURES = len(ROLES) + 1
"""The last features of a token: one for each role that may have said it, and how long ago it was said."""
FARTHEST = 6
"""Number of messages from which on it does not matter how long ago something was said."""


@dataclass(slots=True)
class _Noted:
    """What the recorder notes while a prompt is read."""

    turns: tuple[tuple[str, int, int], ...]
    """Role, start and end of each message's turn, in tokens of the prompt without inserted ones."""
    states: dict[int, Floats]
    """By layer."""


class DialogueRecorder(Control):
    """Notes where the prompt's turns are, and the residual stream at the prompt's last token; it changes nothing.

    Args:
        layers: layers to record the residual stream after; 0 is the first block's output.
    """

    name: ClassVar[str] = "dialogue_recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"embeddings", "residual"})

    def __init__(self, layers: Iterable[int] = ()) -> None:
        self._layers = frozenset(layers)

    @property
    def key(self) -> str:
        """Empty, since it changes nothing: a cache that was filled with it can be used without it, and vice versa."""
        return ""

    @property
    def layers(self) -> frozenset[int]:
        """Layers that are recorded."""
        return self._layers

    def embeddings(self, context: ControlContext) -> Sequence[Insertion]:
        """Note the turns, and insert nothing."""
        rendering = context.rendering
        turns = zip(rendering.messages, rendering.turns, strict=True)
        noted = tuple((message.role, span.start, span.end) for message, span in turns)
        context.control_state[_STATE] = _Noted(noted, {})
        return ()

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Record those of the prompts' last tokens that are in this pass."""
        last_R = batch.position_N.new_tensor([context.prompt_length - 1 for context in batch.contexts])
        for token in (batch.position_N == last_R[batch.context_N]).nonzero().flatten().tolist():
            noted: _Noted = batch.contexts[int(batch.context_N[token])].control_state[_STATE]
            noted.states[layer] = hidden_N_D[token].float().cpu().numpy().copy()
        return hidden_N_D


def require_hidden_states(model: Model) -> None:
    """Refuse a model without access to its hidden states.

    Raises:
        UnsupportedControlError: the model does not run locally.
    """
    if "residual" not in model.points:
        raise UnsupportedControlError(
            f"model {model.name!r} gives no access to its hidden states, which readers need; run one locally, for "
            'example with telic.load("smollm2")'
        )


@dataclass(frozen=True, slots=True)
class RecordedDialogue:
    """A dialogue as a model keeps it."""

    features_T_F: Floats
    """By token of the messages: its values in the recorded layers, joined, and its context features."""
    states_L_D: Floats
    """The residual stream at the prompt's last token, after the layers asked for."""


def record_dialogues(
    sessions: Sequence[Session],
    layers: Sequence[int],
    controls: Sequence[Control] = (),
    state_layers: Sequence[int] = (),
) -> list[RecordedDialogue]:
    """Record the tokens of each session's dialogue.

    The prompts are read into the sessions' caches; the dialogues stay unchanged.

    Args:
        sessions: sessions of one model, each with a message to reply to.
        layers: layers to record the values of; 0 is the first.
        controls: act on the model meanwhile.
        state_layers: layers to record the residual stream after.

    Raises:
        ModelError: a dialogue does not fit in the context, or cannot be rendered.
    """
    if not sessions:
        raise ConfigError("sessions is empty; pass at least one")
    acting = (*controls, DialogueRecorder(state_layers))  # the last, so it sees the others' changes
    requests = [s.request(controls=acting, max_new_tokens=1, temperature=0.0, seed=0) for s in sessions]
    model = sessions[0].model
    _run(model, requests)
    found = []
    for session, request in zip(sessions, requests, strict=True):
        if not _is_held(session):  # others have taken the memory for caches; alone it is always held
            _run(model, [request])
        found.append(_recorded(session, layers, state_layers))
    return found


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


def _is_held(session: Session) -> bool:
    noted: _Noted = session.cache.control_state[_STATE]
    held = session.cache.key_values
    read = sum(token >= 0 for token in held.tokens) if isinstance(held, KeyValueCache) else 0
    return read >= max((end for _, _, end in noted.turns), default=0)


def _recorded(session: Session, layers: Sequence[int], state_layers: Sequence[int]) -> RecordedDialogue:
    noted: _Noted = session.cache.control_state[_STATE]
    held: KeyValueCache = session.cache.key_values
    tokens: list[int] = []
    context: list[list[float]] = []
    for ago, (role, start, end) in enumerate(reversed(noted.turns)):
        if role in ROLES:
            tokens += range(start, end)
            own = [float(role == one) for one in ROLES]
            context += [[*own, min(ago, FARTHEST) / FARTHEST]] * (end - start)
    positions = [position for position, token in enumerate(held.tokens) if token >= 0]
    at = [positions[token] for token in tokens]
    parts = [segment.keys_values[list(layers), 1] for segment in held.segments]
    values_L_H_T_D = torch.cat(parts, dim=2)[:, :, at].float().cpu()
    values_T_F = values_L_H_T_D.permute(2, 0, 1, 3).reshape(len(at), -1).numpy()
    context_T_C = np.array(context, np.float32).reshape(len(at), CONTEXT_FEATURES)
    states_L_D = np.array([noted.states[layer] for layer in state_layers], np.float32)
    return RecordedDialogue(np.hstack([values_T_F, context_T_C]), states_L_D)


def select_layers(features_T_F: Floats, recorded: Sequence[int], layers: Sequence[int]) -> Floats:
    """Select the features of some of the recorded layers."""
    if tuple(layers) == tuple(recorded):
        return features_T_F
    tokens = len(features_T_F)
    values_T_L_V = features_T_F[:, :-CONTEXT_FEATURES].reshape(tokens, len(recorded), -1)
    own_T_F = values_T_L_V[:, [recorded.index(layer) for layer in layers]].reshape(tokens, -1)
    return np.hstack([own_T_F, features_T_F[:, -CONTEXT_FEATURES:]])


def example_key(model: str, messages: Iterable[Message], places: Iterable[str]) -> str:
    """Make the key of a recording from the model, the dialogue and what is recorded."""
    identity = [model, [message.as_dict() for message in messages], list(places)]
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

    def load(self, keys: Sequence[str]) -> list[Halves]:
        """Load recordings, in the keys' order."""
        by_file: dict[Path, list[str]] = {}
        for key in keys:
            if key not in self._memory:
                by_file.setdefault(self._files[key], []).append(key)
        found = {key: self._memory[key] for key in keys if key in self._memory}
        for path, own in by_file.items():
            found.update(read_arrays(path, own))
        return [found[key] for key in keys]
