"""A turn in which the model calls tools: reply, calls, results, and again, until it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from telic.agents.defender import DefendedReply
from telic.dialogue import Message
from telic.models import Request, Sampling
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.tools import Confirm, Toolbox

__all__ = ["ToolTurns", "tool_turns"]

CALL_TOKENS = 160
"""Least maximum of new tokens of a reply that may call tools; a call that is cut off is none."""
OnMessage = Callable[[Message], None]
"""Called with each message of a turn before its answer: the calls, and the results."""


@dataclass(frozen=True, slots=True)
class ToolTurns:
    """Carries out the calls of a model within its turns.

    The calls of one reply are carried out one after the other, in their order. After `steps` replies with calls, the
    model must answer.
    """

    toolbox: Toolbox
    """The tools of the dialogue."""
    steps: int
    """Replies with calls in one turn, at most."""
    confirm: Confirm | None = None
    """Asks a person about calls that need it."""
    on_message: OnMessage | None = None

    def begin(self) -> ToolTurns:
        """Return the same for another dialogue: what its tools keep begins anew."""
        return replace(self, toolbox=self.toolbox.begin())

    def room_for_calls(self, sampling: Sampling) -> Sampling:
        """Return the sampling of replies that may call tools: long enough for a call."""
        return replace(sampling, max_new_tokens=max(sampling.max_new_tokens, CALL_TOKENS))

    def play(
        self, request: Request, reply: Callable[[Request], RequestGenerator[DefendedReply]]
    ) -> RequestGenerator[DefendedReply]:
        """Make a turn.

        Args:
            request: the request for its first reply. It may name further tools, which somebody else carries out: a
                reply that calls one of those ends the turn.
            reply: makes each reply.

        Returns:
            The last reply, with `messages`: the calls and results before it. The tokens are those of the whole turn.
        """
        request = replace(request, tools=(*self.toolbox.definitions, *request.tools))
        made: list[DefendedReply] = []
        said: list[Message] = []
        while True:
            defended = yield from reply(self._next(request, said, len(made)))
            made.append(defended)
            # An endpoint may call tools although it was told to call none.
            calls = defended.reply.tool_calls if len(made) <= self.steps else ()
            others = {tool.name for tool in request.tools} - self.toolbox.tools.keys()
            others_calls = tuple(call for call in calls if call.name in others)
            if not calls or others_calls or defended.reply.failure is not None:
                made[-1] = replace(defended, reply=replace(defended.reply, tool_calls=others_calls))
                return _whole_turn(made, said)
            self._add(said, [defended.reply.message])
            for call in calls:
                self._add(said, [self.toolbox.call(call, self.confirm)])

    def _next(self, request: Request, said: Sequence[Message], number: int) -> Request:
        if not number:
            return request
        choice = "none" if number >= self.steps or request.tool_choice == "none" else "auto"
        return replace(request, messages=(*request.messages, *said), tool_choice=choice)

    def _add(self, said: list[Message], messages: Iterable[Message]) -> None:
        for message in messages:
            said.append(message)
            if self.on_message is not None:
                self.on_message(message)


def _whole_turn(made: Sequence[DefendedReply], said: Sequence[Message]) -> DefendedReply:
    return replace(
        made[-1],
        records=tuple(record for one in made for record in one.records),
        new_tokens=sum(one.new_tokens for one in made),
        computed_tokens=sum(one.computed_tokens for one in made),
        messages=tuple(said),
    )


def tool_turns(
    purpose: Purpose, toolbox: Toolbox | None, confirm: Confirm | None = None, on_message: OnMessage | None = None
) -> ToolTurns | None:
    """Make what carries out the calls of a purpose; None if it has no tools.

    Args:
        purpose: the purpose.
        toolbox: its tools; None for those that it names.
        confirm: asks a person about calls that need it.
        on_message: called with each call and result.

    Raises:
        ConfigError: the purpose names a tool that cannot be used.
    """
    toolbox = Toolbox.of_purpose(purpose) if toolbox is None else toolbox
    return ToolTurns(toolbox, purpose.tool_steps, confirm, on_message) if toolbox else None
