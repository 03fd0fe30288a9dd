"""A session: one side's view of a dialogue, with the cache of what the model has already read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telic.dialogue import Dialogue, Message
from telic.errors import ModelError
from telic.models.base import Reply, Request, Sampling

if TYPE_CHECKING:
    from telic.models.base import Model
    from telic.models.control import Control

__all__ = ["Session"]


class Session:
    """One side's view of a dialogue with a model.

    The session knows what was said; `cache` and `memory` belong to the model that it was opened on (the key-value
    cache of the tokens read so far; what controls carry from one turn to the next). Both may be dropped at any time
    without changing an answer, except that a control with memory starts afresh.
    """

    def __init__(self, model: Model, dialogue: Dialogue | None = None) -> None:
        self.model = model
        self.dialogue = dialogue or Dialogue()
        self.cache: Any = None
        self.memory: dict[str, Any] = {}
        self.companions: list[Session] = []
        """What the further streams of controls have read of this dialogue."""

    def system(self, content: str) -> Session:
        """Say what the model is for. Replaces an earlier system prompt."""
        self.dialogue = self.dialogue.with_system(content)
        return self

    def user(self, content: str) -> Session:
        """Add what the other side said."""
        self.dialogue = self.dialogue.add("user", content)
        return self

    def assistant(self, content: str) -> Session:
        """Add what this side said, as when a reply of `Model.generate` is taken into the dialogue."""
        self.dialogue = self.dialogue.add("assistant", content)
        return self

    def fork(self) -> Session:
        """Branch off: the fork shares what was read so far, and nothing said in it reaches this session."""
        twin = Session(self.model, self.dialogue)
        twin.cache = self.cache
        twin.memory = deepcopy(self.memory)
        twin.companions = [companion.fork() for companion in self.companions]
        return twin

    def companion(self, place: int) -> Session:
        """What a further stream reads into, one for each place."""
        while len(self.companions) <= place:
            self.companions.append(Session(self.model))
        return self.companions[place]

    def request(
        self,
        *,
        controls: Sequence[Control] = (),
        readings: Sequence[str] = (),
        keep: bool = True,
        sampling: Sampling | None = None,
        **options: Any,
    ) -> Request:
        """The request for the next reply, for `Model.generate`; `options` are fields of `Sampling`."""
        drawn = replace(sampling or Sampling(), **options)
        return Request(tuple(self.dialogue), drawn, tuple(controls), frozenset(readings), self, keep)

    def reply(self, **options: Any) -> Reply:
        """Generate the next reply and take it into the dialogue. Options as for `request`.

        Raises:
            ModelError: the model failed; the dialogue is unchanged.
        """
        reply = self.model.generate([self.request(**options)])[0]
        return self._take(reply)

    def stream(self, **options: Any) -> Iterator[str]:
        """Generate the next reply piece by piece; it is in the dialogue once the iterator is exhausted."""
        for piece in self.model.stream(self.request(**options)):
            if isinstance(piece, str):
                yield piece
            else:
                self._take(piece)

    def _take(self, reply: Reply) -> Reply:
        if reply.finish == "error":
            raise ModelError(f"model {self.model.name!r} failed to reply: {reply.error}")
        self.assistant(reply.text)
        return reply

    def __iter__(self) -> Iterator[Message]:
        return iter(self.dialogue)
