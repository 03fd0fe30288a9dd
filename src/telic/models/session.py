"""A session: one side's view of a dialogue, with the cache of what the model has already read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

from telic.dialogue import Dialogue, Message, ToolDefinition
from telic.models.control import Control
from telic.models.request import OnReply, Reply, Request, Sampling, Speaker
from telic.models.response_format import ResponseFormat
from telic.models.session_cache import SessionCache

__all__ = ["Replier", "Session"]


class Replier(Protocol):
    """What a session needs of a model: see `telic.models.base.Model`."""

    @property
    def name(self) -> str:
        """What reports call the model."""
        ...

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer all requests; the replies are in the order of the requests."""
        ...

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply's text piece by piece, then the whole `Reply`."""
        ...


class Session:
    """One side's view of a dialogue with a model.

    Args:
        model: generates the replies.
        dialogue: what was said so far; by default nothing.
    """

    def __init__(self, model: Replier, dialogue: Dialogue | None = None) -> None:
        self.model = model
        self.dialogue = dialogue or Dialogue()
        self.cache = SessionCache()
        self.tools: tuple[ToolDefinition, ...] = ()
        """The tools that this side may call."""

    def system(self, content: str) -> Session:
        """Set the system prompt. Replaces an earlier one."""
        self.dialogue = self.dialogue.with_system(content)
        return self

    def user(self, content: str) -> Session:
        """Add what the other side said."""
        self.dialogue = self.dialogue.add("user", content)
        return self

    def assistant(self, content: str) -> Session:
        """Add what this side said, as when a reply of `Model.generate` is added to the dialogue."""
        self.dialogue = self.dialogue.add("assistant", content)
        return self

    def add(self, *messages: Message) -> Session:
        """Add messages, such as calls of tools and their results."""
        self.dialogue = self.dialogue.append(*messages)
        return self

    def fork(self) -> Session:
        """Branch off: the fork shares what was read so far, and nothing said in it reaches this session."""
        fork = Session(self.model, self.dialogue)
        fork.cache, fork.tools = self.cache.fork(), self.tools
        return fork

    def request(
        self,
        *,
        controls: Sequence[Control] = (),
        readings: Sequence[str] = (),
        keep: bool = True,
        sampling: Sampling | None = None,
        speaker: Speaker = "assistant",
        response_format: ResponseFormat | None = None,
        **options: Any,
    ) -> Request:
        """Make the request for the next reply, for `Model.generate`; `options` are fields of `Sampling`."""
        drawn = replace(sampling or Sampling(), **options)
        return Request(
            tuple(self.dialogue),
            drawn,
            tuple(controls),
            frozenset(readings),
            self.cache,
            keep,
            speaker=speaker,
            tools=self.tools,
            response_format=response_format,
        )

    def reply(self, **options: Any) -> Reply:
        """Generate the next reply and add it to the dialogue. Options as for `request`.

        Raises:
            ModelError: the model failed; the dialogue is unchanged.
        """
        reply = self.model.generate([self.request(**options)])[0]
        return self._add(reply, options.get("speaker", "assistant"))

    def stream(self, **options: Any) -> Iterator[str]:
        """Generate the next reply piece by piece; it is in the dialogue once the iterator is exhausted."""
        for piece in self.model.stream(self.request(**options)):
            if isinstance(piece, str):
                yield piece
            else:
                self._add(piece, options.get("speaker", "assistant"))

    def _add(self, reply: Reply, speaker: Speaker) -> Reply:
        if reply.finish == "error":
            reply.raise_if_failed(f"model {self.model.name!r}")
        said = reply.message if speaker == "assistant" else Message(role=speaker, content=reply.text)
        self.dialogue = self.dialogue.append(said)
        return reply

    def __iter__(self) -> Iterator[Message]:
        return iter(self.dialogue)
