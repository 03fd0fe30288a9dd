"""What every model is to the rest of Telic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

from telic.models.control import ControlPoint
from telic.models.request import OnReply, Reply, Request
from telic.models.session import Session

__all__ = ["Model"]


@runtime_checkable
class Model(Protocol):
    """Anything that speaks: local (white box), remote, scripted."""

    @property
    def name(self) -> str:
        """How the model is called in reports."""
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
        """Answer all requests, in their order.

        `on_reply(index, reply)` is told of each reply as it is done, and may return further requests: they join the
        work at once, and their replies come after those of the requests given. So whole dialogues run side by side
        without the batch ever draining. A request that fails yields a reply with `finish == "error"`, and does not
        take the others with it.

        Raises:
            UnsupportedControlError: some control or reading cannot act on this model (before any work is done).
        """
        ...

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply's text piece by piece, then the whole `Reply`."""
        ...

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        ...
