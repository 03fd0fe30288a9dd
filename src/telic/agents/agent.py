"""A purpose and a model put together: someone to talk to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from telic.models import Control, Model, Reply, Session
from telic.models.control import build
from telic.purpose import Purpose

__all__ = ["Agent"]


class Agent:
    """A model that acts on a purpose.

    Args:
        model: what speaks.
        purpose: what it is for.
        controls: what holds it there; by default the purpose's own.
        **options: fields of `Sampling`, over the purpose's own.

    Raises:
        ConfigError: the purpose names a control that there is not.
    """

    def __init__(
        self, model: Model, purpose: Purpose, controls: Sequence[Control] | None = None, **options: Any
    ) -> None:
        self.model, self.purpose = model, purpose
        self.controls = tuple(map(build, purpose.controls) if controls is None else controls)
        self.options = {**purpose.sampling.options(), **options}
        self.session: Session = model.session(purpose.system_prompt)

    def reply(self, text: str) -> Reply:
        """Hear what the user says and answer it.

        Raises:
            ModelError: the model failed; what the user said is not kept, so that it can be said again.
        """
        heard = self.session.dialogue
        try:
            return self.session.user(text).reply(controls=self.controls, **self.options)
        except BaseException:
            self.session.dialogue = heard
            raise

    def stream(self, text: str) -> Iterator[str]:
        """Hear what the user says and answer it piece by piece. An answer cut short is not kept."""
        heard = self.session.dialogue
        complete = False
        try:
            yield from self.session.user(text).stream(controls=self.controls, **self.options)
            complete = True
        finally:
            if not complete:
                self.session.dialogue = heard

    def forget(self) -> None:
        """Start a new dialogue."""
        self.session = self.model.session(self.purpose.system_prompt)
