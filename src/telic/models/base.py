"""The interface of all models."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from telic.models.control import ControlPoint
from telic.models.request import OnReply, Reply, Request
from telic.models.session import Session

__all__ = ["Model"]


@runtime_checkable
class Model(Protocol):
    """Anything that replies to messages: local (white box), remote, scripted."""

    @property
    def name(self) -> str:
        """What reports call the model."""
        ...

    @property
    def points(self) -> frozenset[ControlPoint]:
        """Where controls can act on it."""
        ...

    @property
    def readings(self) -> frozenset[str]:
        """What can be read off its replies: a subset of `READINGS`."""
        ...

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer all requests; the replies are in the order of the requests.

        `on_reply(index, reply)` is called with each reply as it completes, and may return further requests. They join
        the batch at once; their replies come after those of the given requests. So whole dialogues run side by side
        without the batch ever draining. A request that fails yields a reply with a `failure`, and does not affect the
        others.

        Raises:
            UnsupportedControlError: the model does not support a control or a reading; raised before any work is done.
        """
        ...

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply's text piece by piece, then the whole `Reply`."""
        ...

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        ...
