"""The model's beliefs about the user and itself: reading them, and controls that pin them.

Reading does not affect the conversation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, TelicError
from telic.models import Control, Session
from telic.server.blocking_model import BlockingModel
from telic.server.errors import ApiError
from telic.server.log import log_failure
from telic.server.pins import Pins
from telic.server.runner import RequestRunner

if TYPE_CHECKING:
    from telic.readers import ReaderSet, Reading
    from telic.steering.belief import Belief

__all__ = ["Beliefs", "stored_beliefs"]


class Beliefs:
    """The model's beliefs, and the controls that pin them. Readers are loaded at their first use.

    Args:
        runner: has the model.
        name: a folder of readers, or the name of a bundled set; None: the bundled set for the model, if there is one.
    """

    def __init__(self, runner: RequestRunner, name: str | None) -> None:
        self._runner, self._name = runner, name

    def load(self) -> None:
        """Load the readers now.

        Raises:
            ConfigError: the readers that the settings name cannot be loaded, or belong to another model.
        """
        _ = self._readers_or_reason

    @property
    def readers(self) -> ReaderSet | None:
        """The readers, if there are any for this model."""
        found = self._readers_or_reason
        return None if isinstance(found, str) else found

    @property
    def unavailable_reason(self) -> str:
        """Why there are no readers; empty if there are some."""
        found = self._readers_or_reason
        return found if isinstance(found, str) else ""

    @cached_property
    def _readers_or_reason(self) -> ReaderSet | str:
        model, name = self._runner.local, self._name
        if model is None:
            if name is not None:
                raise ConfigError(f"readers read hidden states, which model {self._runner.model.name!r} does not show")
            return "Readers need hidden states, which this model does not show. Use a local model."
        from telic.readers import ReaderSet
        from telic.readers.reader import shipped_readers

        # The name of a model may be a path or a Hub id; only a folder of bundled readers with this very name counts.
        bundled = [folder.name for folder in shipped_readers().iterdir() if folder.is_dir()]
        if name is None and model.name not in bundled:
            return f"There are no readers for {model.name}. Train some with `telic readers train`."
        try:
            readers = ReaderSet.load(name or model.name)
            readers.check(model)
        except ConfigError:
            if name is not None:
                raise
            return (
                f"The bundled readers belong to another model named {model.name}. "
                "Train some with `telic readers train`."
            )
        return readers

    @cached_property
    def _belief_control(self) -> Belief | None:
        """The control `belief` with the directions of all pins, and no pin set."""
        if self.readers is None:
            return None
        from telic.steering.belief import belief

        try:
            control = belief(self.readers.path or "")
            control.check(self._runner.model)
        except TelicError:  # readers without directions
            return None
        return control

    @property
    def can_pin(self) -> bool:
        """Whether beliefs can be pinned."""
        return self._belief_control is not None

    def controls_for(self, pins: Pins) -> tuple[Control, ...]:
        """Make the control for pins; none if there are no pins.

        Raises:
            ApiError: a reader or a class does not exist, or beliefs cannot be pinned.
        """
        if not pins:
            return ()
        if self._belief_control is None:
            raise ApiError(400, "this server's model does not support pins")
        try:
            control = replace(
                self._belief_control,
                towards=dict(pins.towards) or None,
                away=dict(pins.away) or None,
                strength=pins.strength,
            )
        except ConfigError as error:
            raise ApiError(400, str(error)) from None
        return (control,)

    async def read(
        self,
        user: str,
        messages: Sequence[Message],
        fork: Session,
        controls: Sequence[Control],
        on_tokens: Callable[[int], None],
    ) -> dict[str, dict[str, Any]]:
        """Read the model's beliefs at the user's last message.

        Args:
            user: whose conversation it is.
            messages: the conversation with its system prompt; a last message of the assistant is left out.
            fork: a fork of the conversation's session, which may have read part of these messages.
            controls: controls that act meanwhile, without the planner's prefix: readers were trained on states that
                follow from the text alone.
            on_tokens: called with the number of computed tokens.

        Returns:
            For each reader, `probabilities` by class and the `threshold`, as they are stored.

        Raises:
            ApiError: there are no readers, or the model failed.
        """
        from telic.readers import read_beliefs

        if self.readers is None:
            raise ApiError(400, self.unavailable_reason)
        model = BlockingModel(self._runner, user, on_tokens)
        fork.model, fork.dialogue = model, Dialogue(messages)
        acting = tuple(control for control in controls if not control.prefix_from_state)
        try:
            [found] = await asyncio.to_thread(read_beliefs, model, [fork], self.readers, acting)
        except TelicError as error:
            log_failure("beliefs_failed", error)
            raise ApiError(502, f"the beliefs could not be read: {error}") from None
        return {
            name: {
                "probabilities": {label: round(value, 4) for label, value in reading.probabilities.items()},
                "threshold": round(reading.threshold, 4),
            }
            for name, reading in found.items()
        }


def stored_beliefs(readings: Mapping[str, Any]) -> dict[str, Reading]:
    """Convert the beliefs among a turn's stored readings, by reader."""
    beliefs = readings.get("beliefs")
    if not beliefs:
        return {}
    from telic.readers import Reading

    return {name: Reading(name, one["probabilities"], one["threshold"]) for name, one in beliefs.items()}
