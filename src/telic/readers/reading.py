"""Reading: what a model believes at a turn, read on a fork, all readers in one batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.models.base import Model
from telic.models.control import Control
from telic.models.session import Session
from telic.readers.reader import ReaderSet, Reading
from telic.readers.recording import Floats, record, require_hidden_states

__all__ = ["Beliefs", "read", "read_turns"]

Beliefs = dict[str, Reading]
"""By reader, such as `user_age`: what it reads."""


def read(
    model: Model,
    dialogues: Sequence[Session | Sequence[Message]],
    readers: ReaderSet,
    controls: Sequence[Control] = (),
) -> list[Beliefs]:
    """Read what a model believes at the user's last words in each dialogue; nothing is added to any of them.

    What the assistant says after those words is left out. Of a session only what it has not read yet is computed.

    Args:
        model: one that runs locally, on which the readers were trained.
        dialogues: sessions of that model, or plain messages.
        readers: what is read.
        controls: what bends the model meanwhile, such as the pins under which a session talks.

    Returns:
        One for each dialogue.

    Raises:
        UnsupportedControlError: the model shows no hidden states.
        ConfigError: the readers are another model's, or nothing is said in a dialogue.
        ModelError: a dialogue does not fit in the context.
    """
    require_hidden_states(model)
    readers.check(model)
    forks = [_fork(model, dialogue) for dialogue in dialogues]
    return _read(forks, readers, controls) if forks else []


def read_turns(
    model: Model, dialogue: Sequence[Message], readers: ReaderSet, controls: Sequence[Control] = ()
) -> list[tuple[int, Beliefs]]:
    """Read a dialogue at each of the user's turns; no token is read twice.

    Returns:
        The index of each message of the user's, and what the model believes there.

    Raises:
        UnsupportedControlError, ConfigError, ModelError: as `read`.
    """
    require_hidden_states(model)
    readers.check(model)
    session = model.session()
    found = []
    for index, message in enumerate(dialogue):
        if message.role == "user":
            session.dialogue = Dialogue(dialogue[: index + 1])
            found.append((index, _read([session], readers, controls)[0]))
    return found


def _fork(model: Model, dialogue: Session | Sequence[Message]) -> Session:
    if isinstance(dialogue, Session) and dialogue.model is not model:
        raise ConfigError(f"a session of model {dialogue.model.name!r} cannot be read with model {model.name!r}")
    fork = dialogue.fork() if isinstance(dialogue, Session) else Session(model, Dialogue(dialogue))
    while fork.dialogue and fork.dialogue[-1].role == "assistant":
        fork.dialogue = fork.dialogue[:-1]
    if not fork.dialogue:
        raise ConfigError("there is nothing to read in a dialogue in which only the assistant speaks")
    return fork


def _read(sessions: Sequence[Session], readers: ReaderSet, controls: Sequence[Control]) -> list[Beliefs]:
    layers, suffixes = readers.layers, readers.suffixes
    states_N_P_L_D = record(sessions, suffixes, layers, controls)
    found: list[Beliefs] = [{} for _ in sessions]
    for reader in readers:
        states_N_D: Floats = states_N_P_L_D[:, suffixes.index(reader.suffix), layers.index(reader.layer)]
        for beliefs, reading in zip(found, reader.read(np.asarray(states_N_D)), strict=True):
            beliefs[reader.name] = reading
    return found
