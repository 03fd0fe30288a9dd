"""The served model for code that waits for replies in a thread of its own, such as readers and judges."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

from telic.errors import ModelError
from telic.models import Model, Reply, Request, Session
from telic.models.capabilities import HasHiddenStates
from telic.models.compatibility import refuse_unsupported
from telic.models.control import ControlPoint
from telic.models.request import OnReply
from telic.server.runner import RequestRunner

__all__ = ["BlockingModel"]


class BlockingModel:
    """The served model, except that its requests wait for their turn like those of clients.

    The model itself would answer them at once, and stop all other replies meanwhile. Make it in the event loop, and use
    it in another thread.

    Args:
        runner: answers the requests.
        user: whose requests they are.
        on_tokens: called in the event loop with numbers of computed tokens.
        background: whether its requests wait until no other request does.
    """

    def __init__(
        self, runner: RequestRunner, user: str, on_tokens: Callable[[int], None], *, background: bool = False
    ) -> None:
        self._runner, self._user, self._on_tokens, self._background = runner, user, on_tokens, background
        self._loop = asyncio.get_running_loop()

    @property
    def _model(self) -> Model:
        return self._runner.model

    @property
    def name(self) -> str:
        """What reports call the model."""
        return self._model.name

    @property
    def points(self) -> frozenset[ControlPoint]:
        """Where controls can act on it."""
        return self._model.points

    @property
    def readings(self) -> frozenset[str]:
        """What can be read off its replies."""
        return self._model.readings

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream.

        Raises:
            AttributeError: the model does not run in this process, so it shows no residual stream.
        """
        return _hidden_states(self._model).hidden_size

    @property
    def layers(self) -> int:
        """Number of decoder layers.

        Raises:
            AttributeError: as for `hidden_size`.
        """
        return _hidden_states(self._model).layers

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer requests; see `Model.generate`. What `on_reply` returns is submitted when these are answered.

        Raises:
            ModelError: a request has choices, and the model runs in this process: its server scores none.
        """
        replies: list[Reply] = []
        waiting = list(requests)
        while waiting:
            answered = self._answers(waiting)
            waiting = []
            for reply in answered:
                waiting += (on_reply(len(replies), reply) if on_reply else None) or ()
                replies.append(reply)
        return replies

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the whole text, then the `Reply`."""
        [reply] = self.generate([request])
        yield reply.text
        yield reply

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        session = Session(self)
        return session.system(system) if system is not None else session

    def _answers(self, requests: Sequence[Request]) -> list[Reply]:
        refuse_unsupported(self._model, requests)
        if self._runner.local is not None and any(request.choices for request in requests):
            raise ModelError(
                f"model {self.name!r} cannot choose among given replies while it is served; ask for a free reply, or "
                "have another model answer"
            )
        answering = self._runner.generate(requests, self._user, self._on_tokens, background=self._background)
        return asyncio.run_coroutine_threadsafe(answering, self._loop).result()


def _hidden_states(model: Model) -> HasHiddenStates:
    if not isinstance(model, HasHiddenStates):
        raise AttributeError(f"model {model.name!r} gives no access to its hidden states")
    return model
