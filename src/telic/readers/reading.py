"""Reading a model's beliefs at a turn: on a fork of the session, with all readers in one batch."""

from __future__ import annotations

from collections.abc import Sequence

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.models.base import Model
from telic.models.control import Control
from telic.models.session import Session
from telic.readers.reader import ReaderSet, Reading
from telic.readers.recording import record_dialogues, require_hidden_states, select_layers

__all__ = ["Beliefs", "read_beliefs", "read_turns"]

Beliefs = dict[str, Reading]
"""Readings by the reader's name, such as `user_age`."""


def read_beliefs(
    model: Model,
    dialogues: Sequence[Session | Sequence[Message]],
    readers: ReaderSet,
    controls: Sequence[Control] = (),
) -> list[Beliefs]:
    """Read what a model believes at the user's last turn in each dialogue; the dialogues stay unchanged.

    A reply of the assistant after that turn is ignored. Tokens that a session has in its cache are not read again.

    Args:
        model: the model that the readers were trained on; it must run locally.
        dialogues: sessions of that model, or plain messages.
        readers: the readers to use.
        controls: act on the model meanwhile; pass those that the session is used with.

    Returns:
        The beliefs in each dialogue.

    Raises:
        UnsupportedControlError: the model gives no access to its hidden states.
        ConfigError: the readers were trained on another model, or a dialogue has no turn of the user.
        ModelError: a dialogue does not fit in the context.
    """
    require_hidden_states(model)
    readers.check(model)
    forks = [_fork(model, dialogue) for dialogue in dialogues]
    return _read(forks, readers, controls) if forks else []


def read_turns(
    model: Model, dialogue: Sequence[Message], readers: ReaderSet, controls: Sequence[Control] = ()
) -> list[tuple[int, Beliefs]]:
    """Read a model's beliefs at each of the user's turns; no token is read twice.

    Returns:
        The index of each message of the user, and the beliefs there.

    Raises:
        UnsupportedControlError, ConfigError, ModelError: as `read_beliefs`.
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
        raise ConfigError("cannot read a dialogue in which only the assistant speaks; add a turn of the user")
    return fork


def _read(sessions: Sequence[Session], readers: ReaderSet, controls: Sequence[Control]) -> list[Beliefs]:
    layers = readers.layers
    recorded = [one.features_T_F for one in record_dialogues(sessions, layers, controls)]
    selected = {own: [select_layers(one, layers, own) for one in recorded] for own in {r.layers for r in readers}}
    found: list[Beliefs] = [{} for _ in sessions]
    for reader in readers:
        for beliefs, reading in zip(found, reader.read(selected[reader.layers]), strict=True):
            beliefs[reader.name] = reading
    return found
