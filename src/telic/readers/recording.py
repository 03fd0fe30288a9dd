"""The residual stream at the end of a prompt, read on forks: the dialogue that is read never notices."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from telic.dialogue import Message
from telic.errors import ConfigError, MissingExtraError, ModelError, UnsupportedControlError
from telic.models.base import Model
from telic.models.control import Control, ControlBatch, ControlPoint
from telic.models.request import Reply, Request
from telic.models.session import Replier, Session

__all__ = ["ActivationCache", "Floats", "Watch", "example_key", "record", "require_hidden_states"]

Floats = npt.NDArray[np.float32]

_STATE = "readers/residual"


class Watch(Control):
    """Notes the residual stream of each row at the last token of its prompt, and changes nothing.

    What it notes goes into the session's control state, so it comes back with the session of a request that is kept.

    Args:
        layers: after which layers; 0 is the first block's output.
    """

    name: ClassVar[str] = "watch"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

    def __init__(self, layers: Iterable[int]) -> None:
        self._layers = frozenset(layers)

    @property
    def key(self) -> str:
        """Empty: what is read with it can be used without it, and the other way round."""
        return ""

    @property
    def layers(self) -> frozenset[int]:
        """Layers that are noted."""
        return self._layers

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Note the last token of the prompt of each row that reaches it in this pass."""
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
    """Refuse a model that shows no residual stream.

    Raises:
        UnsupportedControlError: it runs elsewhere, or is no real model.
    """
    if "residual" not in model.points:
        raise UnsupportedControlError(
            f"readers read hidden states, which model {model.name!r} does not show; run one locally, for example with "
            'telic.load("smollm2")'
        )


def record(
    sessions: Sequence[Session], prefixes: Sequence[str], layers: Sequence[int], controls: Sequence[Control] = ()
) -> Floats:
    """Record the residual stream at the last token of each session's prompt, followed by each prefix of a reply.

    Each prompt is read once, into its session's cache; each prefix on a fork. All are read side by side. Nothing is
    added to any dialogue.

    Args:
        sessions: what is read, of one model, each with somebody's words to reply to.
        prefixes: what the reply starts with; an empty one is the prompt's own last token.
        layers: after which layers; 0 is the first block's output.
        controls: what bends the model meanwhile.

    Returns:
        float32 [sessions, prefixes, layers, hidden].

    Raises:
        ModelError: a dialogue does not fit in the context, or cannot be rendered.
    """
    if not sessions:
        raise ConfigError("there are no dialogues to read")
    bent = (*controls, Watch(layers))  # last: it sees what the others did

    def ask(session: Session, prefix: str) -> Request:
        return replace(session.request(controls=bent, max_new_tokens=1, temperature=0.0, seed=0), prefix=prefix)

    model = sessions[0].model
    _run(model, [ask(session, "") for session in sessions])
    forks = [[session.fork() if prefix else session for prefix in prefixes] for session in sessions]
    _run(model, [ask(fork, prefix) for row in forks for fork, prefix in zip(row, prefixes, strict=True) if prefix])
    return np.stack([[_taken(fork, layers) for fork in row] for row in forks])


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


def _taken(session: Session, layers: Sequence[int]) -> Floats:
    noted: dict[int, Floats] = session.cache.control_state[_STATE]
    return np.stack([noted[layer] for layer in layers])


def example_key(model: str, messages: Iterable[Message], prefixes: Iterable[str]) -> str:
    """Names what was recorded: another model, dialogue, or prefix has another key."""
    told = [model, [message.as_dict() for message in messages], list(prefixes)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:24]


class ActivationCache:
    """Recorded activations on disk, so that training goes on where it was stopped, and can be repeated at once.

    Args:
        folder: holds a safetensors file for each batch that was recorded; made if it is not there. None keeps them in
            memory only.
    """

    def __init__(self, folder: Path | None) -> None:
        self.folder = folder
        self._memory: dict[str, npt.NDArray[np.float16]] = {}
        self._files: dict[str, Path] = {}
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            for path in sorted(folder.glob("*.safetensors")):
                with _safetensors().safe_open(path, framework="numpy") as file:
                    self._files.update(dict.fromkeys(file.keys(), path))

    def __contains__(self, key: str) -> bool:
        return key in self._memory or key in self._files

    def add(self, batch: dict[str, Floats]) -> None:
        """Keep activations, at half precision; a file is there as a whole or not at all."""
        largest = float(np.finfo(np.float16).max)
        halves = {key: values.clip(-largest, largest).astype(np.float16) for key, values in batch.items()}
        if self.folder is None:
            self._memory.update(halves)
            return
        # Two batches may share a dialogue, so the name is one of all that it holds.
        path = self.folder / f"{hashlib.sha256(''.join(sorted(halves)).encode()).hexdigest()[:24]}.safetensors"
        partial = path.with_suffix(".partial")
        _safetensors().numpy.save_file(halves, partial)
        partial.replace(path)
        self._files.update(dict.fromkeys(halves, path))

    def load(self, keys: Sequence[str]) -> Floats:
        """float32 [keys, ...], in their order."""
        by_file: dict[Path, list[str]] = {}
        for key in keys:
            if key not in self._memory:
                by_file.setdefault(self._files[key], []).append(key)
        found = {key: self._memory[key] for key in keys if key in self._memory}
        for path, own in by_file.items():
            with _safetensors().safe_open(path, framework="numpy") as file:
                found.update({key: file.get_tensor(key) for key in own})
        return np.stack([found[key] for key in keys]).astype(np.float32)


def _safetensors() -> Any:
    try:
        import safetensors.numpy
    except ImportError:
        raise MissingExtraError("saving activations", "local") from None
    return safetensors
