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
from telic.models.catalog import weights_name
from telic.readers.reliability import reason_unsupported, reliability_sentences
from telic.server.blocking_model import BlockingModel
from telic.server.errors import ApiError
from telic.server.log import log_failure
from telic.server.pins import Pins
from telic.server.runner import RequestRunner

if TYPE_CHECKING:
    from telic.readers import ReaderSet, Reading
    from telic.readers.evidence import Evidence
    from telic.steering.belief import Belief

__all__ = ["Beliefs", "stored_beliefs"]


class Beliefs:
    """The model's beliefs, and the controls that pin them. Readers are loaded at their first use.

    Args:
        runner: has the model.
        name: a folder of readers, or the name of a bundled set; None: the bundled set for the model, if there is one.
        unsupported: whether readings of the model itself are taken that the readers' card does not support.
    """

    def __init__(self, runner: RequestRunner, name: str | None, *, unsupported: bool = False) -> None:
        self._runner, self._name, self._unsupported = runner, name, unsupported

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
        weights = weights_name(model.name)
        if name is None and weights not in bundled:
            return f"There are no readers for {model.name}. Train some with `telic readers train`."
        try:
            readers = ReaderSet.load(name or weights)
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
    def _readers_in_use(self) -> ReaderSet | None:
        """The readers without those that are off."""
        if self.readers is None:
            return None
        return self.readers.only(reader.name for reader in self.readers if not self.reason_off(reader.name))

    @property
    def can_read(self) -> bool:
        """Whether some reader is on."""
        return bool(self._readers_in_use)

    def reason_off(self, name: str) -> str:
        """Return why a reader is off; empty if it is on."""
        return "" if self._unsupported or self.readers is None else reason_unsupported(self.readers.card, name)

    def reliability(self, name: str, messages: int) -> list[str]:
        """Say in words how reliable a reader is after so many messages of the user."""
        return [] if self.readers is None else reliability_sentences(self.readers.card, name, messages)

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
        """Read the model's beliefs at the user's last message, with the readers that are on.

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

        readers, acting = self._prepare(user, messages, fork, controls, on_tokens)
        [found] = await self._in_thread(read_beliefs, fork.model, [fork], readers, acting)
        return {
            name: {
                "probabilities": {label: round(value, 4) for label, value in reading.probabilities.items()},
                "threshold": round(reading.threshold, 4),
            }
            for name, reading in found.items()
        }

    async def find_evidence(
        self,
        user: str,
        messages: Sequence[Message],
        fork: Session,
        controls: Sequence[Control],
        on_tokens: Callable[[int], None],
        reader: str,
    ) -> Evidence:
        """Find which of the user's words moved a reading. It costs about as much as 24 readings.

        Args:
            user: as for `read`, like the following four.
            messages: see `read`.
            fork: see `read`.
            controls: see `read`.
            on_tokens: see `read`.
            reader: the name of the reader, such as `user_age`.

        Raises:
            ApiError: there are no readers, or the model failed.
        """
        from telic.readers.evidence import find_evidence

        readers, acting = self._prepare(user, messages, fork, controls, on_tokens)
        found: Evidence = await self._in_thread(find_evidence, fork.model, fork, readers, reader, acting)
        return found

    def _prepare(
        self,
        user: str,
        messages: Sequence[Message],
        fork: Session,
        controls: Sequence[Control],
        on_tokens: Callable[[int], None],
    ) -> tuple[ReaderSet, tuple[Control, ...]]:
        """Set the fork's model and messages, and return the readers and the controls that act."""
        if not self._readers_in_use:
            raise ApiError(400, self.unavailable_reason or "the card supports none of the readers, so all are off")
        fork.model, fork.dialogue = BlockingModel(self._runner, user, on_tokens), Dialogue(messages)
        return self._readers_in_use, tuple(control for control in controls if not control.prefix_from_state)

    @staticmethod
    async def _in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
        """Run what waits for replies of the model in a thread."""
        try:
            return await asyncio.to_thread(function, *arguments)
        except TelicError as error:
            log_failure("beliefs_failed", error)
            raise ApiError(502, f"the beliefs could not be read: {error}") from None


def stored_beliefs(readings: Mapping[str, Any]) -> dict[str, Reading]:
    """Convert the beliefs among a turn's stored readings, by reader."""
    beliefs = readings.get("beliefs")
    if not beliefs:
        return {}
    from telic.readers import Reading

    return {name: Reading(name, one["probabilities"], one["threshold"]) for name, one in beliefs.items()}
