"""An agent: a model that acts on a purpose."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from telic.errors import ConfigError, ModelError
from telic.models import Control, Model, Reply, Request, Sampling, Session
from telic.models.compatibility import refuse_unsupported
from telic.purpose import Purpose
from telic.steering import build_control

__all__ = ["Agent", "controls_of"]


DRAWN = Sampling(temperature=0.7, top_p=0.9)
"""Default sampling of an agent. Small models produce gibberish when sampled from the full distribution."""


class Agent:
    """A model that acts on a purpose.

    Args:
        model: the model that speaks.
        purpose: its purpose.
        controls: controls of the model; by default those of the purpose, and its planner.
        **options: fields of `Sampling`. They override those of the purpose, which override a temperature of 0.7 and a
            top_p of 0.9.

    Raises:
        ConfigError: the purpose names an unknown control, or an option is out of range.
        UnsupportedControlError: a control cannot act on this model.
    """

    def __init__(
        self, model: Model, purpose: Purpose, controls: Sequence[Control] | None = None, **options: Any
    ) -> None:
        self.model, self.purpose = model, purpose
        self.controls = controls_of(purpose) if controls is None else tuple(controls)
        self.sampling = replace(DRAWN, **{**purpose.sampling.options(), **options})
        refuse_unsupported(model, [Request((), controls=self.controls)])
        self.session: Session = model.session(purpose.system_prompt)

    def reply(self, text: str) -> Reply:
        """Reply to an utterance of the user.

        Raises:
            ModelError: the model failed, or its context is full. The user's utterance is not kept, so the caller can
                send it again.
        """
        dialogue = self.session.dialogue
        try:
            return self._keep(self.model.generate([self._request(text)])[0])
        except BaseException:
            self.session.dialogue = dialogue
            raise

    def stream(self, text: str) -> Generator[str, None, None]:
        """Reply to an utterance of the user piece by piece. An interrupted reply is not kept.

        Raises:
            ModelError: as for `reply`.
        """
        dialogue = self.session.dialogue
        complete = False
        try:
            for piece in self.model.stream(self._request(text)):
                if isinstance(piece, str):
                    yield piece
                else:
                    self._keep(piece)
                    complete = True
        finally:
            if not complete:
                self.session.dialogue = dialogue

    def forget(self) -> None:
        """Start a new dialogue."""
        self.session = self.model.session(self.purpose.system_prompt)

    def _request(self, text: str) -> Request:
        return self.session.user(text).request(controls=self.controls, sampling=self.sampling)

    def _keep(self, reply: Reply) -> Reply:
        failure = reply.failure
        if failure is not None and failure.kind == "context_full":
            raise ModelError(
                f"model {self.model.name!r}: the dialogue has filled its context; start a new one", failure.kind
            )
        reply.raise_if_failed(f"model {self.model.name!r}")
        self.session.assistant(reply.text)
        return reply


def controls_of(purpose: Purpose) -> tuple[Control, ...]:
    """Build the controls that a purpose names, and its planner.

    Raises:
        ConfigError: a name is unknown, or an option is wrong. The message says where.
    """
    named: list[tuple[tuple[str | int, ...], Mapping[str, Any]]]
    named = [(("controls", index), spec) for index, spec in enumerate(purpose.controls)]
    if purpose.planner is not None:
        named.append((("planner",), {**purpose.planner, "name": "planner"}))
    made = []
    for place, spec in named:
        try:
            made.append(build_control(purpose.resolve_path(spec)))
        except ConfigError as error:
            raise ConfigError(f"{purpose.where(*place)}: {error}") from None
    return tuple(made)
