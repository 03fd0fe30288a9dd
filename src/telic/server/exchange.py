"""One request and its reply, from the first token to the stored turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum, auto

from telic.models import Reply, Request, Session
from telic.server.async_store import AsyncConversationStore
from telic.server.defence_states import DefenceStates
from telic.server.defended_replies import DefendedSubmission, DefendedTurns
from telic.server.errors import ApiError
from telic.server.log import log_failure
from telic.server.metrics import Metrics
from telic.server.runner import RequestRunner
from telic.server.sessions import Sessions
from telic.server.submission import ReplyEvent, Submission
from telic.server.turn_builder import TurnBuilder

__all__ = ["Exchange", "ExchangeServices", "ExchangeStatus"]


@dataclass(frozen=True, slots=True)
class ExchangeServices:
    """The parts of a server that an exchange uses."""

    runner: RequestRunner
    store: AsyncConversationStore
    sessions: Sessions
    defence_states: DefenceStates
    metrics: Metrics
    active_exchanges: set[Exchange] = field(default_factory=set)
    """The exchanges that are not closed."""


class ExchangeStatus(Enum):
    """The state of an exchange."""

    GENERATING = auto()
    """The model is replying, or the complete reply was not saved yet."""
    SAVING = auto()
    """The reply is being stored. If that fails, it is not tried again."""
    FAILED = auto()
    """The request failed; nothing of it is stored, not even text that was already sent."""
    CLOSED = auto()
    """No more events are read; an interrupted reply may still be being stored."""


class Exchange:
    """An active request. Its owner must `close` it in every case.

    Args:
        services: the parts of the server that it uses.
        turns: builds what is stored of it.
        session: the session of the conversation.
        defended: makes the replies behind the purpose's defences; None if it has none.
    """

    def __init__(
        self, services: ExchangeServices, turns: TurnBuilder, session: Session, defended: DefendedTurns | None = None
    ) -> None:
        self._services, self._turns, self._session = services, turns, session
        self._defended = defended
        self._status = ExchangeStatus.GENERATING
        self._events: asyncio.Queue[tuple[int, ReplyEvent]] = asyncio.Queue()
        self._first_event: tuple[int, ReplyEvent] | None = None
        self._submissions: Sequence[Submission | DefendedSubmission] = []
        self._text = ""
        """Text of the first choice so far."""
        self._replies: dict[int, Reply] = {}

    @property
    def conversation(self) -> str:
        """Id of the conversation."""
        return self._turns.target.conversation

    @property
    def runner(self) -> RequestRunner:
        """What runs its requests on the model."""
        return self._services.runner

    @property
    def count(self) -> int:
        """Number of choices."""
        return len(self._submissions)

    @property
    def replies(self) -> list[Reply]:
        """All choices, once they are complete."""
        return [self._replies[index] for index in range(self.count)]

    def is_refusal(self, index: int) -> bool:
        """Whether a choice is the purpose's refusal, where the client asked for another form than text.

        It is told apart then, as OpenAI does, since the refusal does not have that form.
        """
        one = self._submissions[index]
        refused = isinstance(one, DefendedSubmission) and one.defended is not None and one.defended.refused
        return refused and one.request.response_format is not None

    @property
    def computed_tokens(self) -> int:
        """Tokens that were computed so far."""
        return sum(self._computed_tokens(index) for index in range(self.count))

    def _computed_tokens(self, index: int) -> int:
        one, reply = self._submissions[index], self._replies.get(index)
        if reply is None or isinstance(one, DefendedSubmission):
            return one.computed_tokens
        return reply.prompt_tokens - reply.cached_tokens + reply.new_tokens

    def submit(self, requests: Sequence[Request]) -> None:
        """Submit the requests of all choices."""
        replies = self._services.runner if self._defended is None else self._defended
        self._submissions = replies.submit(requests, lambda index, event: self._events.put_nowait((index, event)))

    async def wait_for_first_event(self) -> None:
        """Wait until the reply begins.

        Raises:
            ApiError: the request failed before its reply began.
        """
        index, event = await self._events.get()
        if isinstance(event, Reply):
            self._raise_if_failed(event)
        self._first_event = index, event

    async def events(self) -> AsyncIterator[tuple[int, ReplyEvent]]:
        """Yield the events of all choices, each with the index of its choice, until all choices are complete.

        Raises:
            ApiError: the model failed.
        """
        while len(self._replies) < self.count:
            index, event = self._first_event or await self._events.get()
            self._first_event = None
            if isinstance(event, Reply):
                self._raise_if_failed(event)
                self._replies[index] = event
                if self._defended is None:  # else all drafts are counted
                    self._services.metrics.count(event)
            elif index == 0:
                self._text += event.text
            yield index, event

    async def save(self) -> None:
        """Store the turn. Only after this may the client be told that its reply is complete.

        A caller that is cancelled meanwhile does not stop it: the client may have heard the reply.

        Raises:
            ApiError: the turn could not be stored.
        """
        self._status = ExchangeStatus.SAVING
        await self._services.store.complete(self._save())

    async def _save(self) -> None:
        try:
            first = self._submissions[0]
            defended = first.defended if isinstance(first, DefendedSubmission) else None
            records, steps = (defended.records, defended.messages) if defended else ((), ())
            await self._services.store.add(self._turns.with_replies(self.replies, records, steps))
            self._services.sessions.keep(self.conversation, self._session)
            if isinstance(first, DefendedSubmission):
                self._services.defence_states.keep(self.conversation, first.state)
        except BaseException:
            self._services.sessions.drop([self.conversation])
            raise
        finally:
            self._release()

    def close(self) -> None:
        """Cancel what is not complete. Of an interrupted reply, the text so far is stored in the background."""
        if self._status in (ExchangeStatus.SAVING, ExchangeStatus.CLOSED):  # being stored, it ends by itself
            return
        for index, submission in enumerate(self._submissions):
            if index in self._replies:
                continue
            if isinstance(submission, DefendedSubmission):
                submission.cancel()
            else:
                self._services.runner.cancel(submission)
        # The current pass may still add tokens to the session that the stored conversation does not have.
        self._services.sessions.drop([self.conversation])
        interrupted = self._status is ExchangeStatus.GENERATING and (self._text or self._turns.has_unstored_messages)
        self._status = ExchangeStatus.CLOSED
        if interrupted:
            self._services.metrics.interrupted_replies.inc()
            self._services.store.run_in_background(self._save_interrupted())
        else:
            self._release()

    async def _save_interrupted(self) -> None:
        try:
            with suppress(ApiError):  # the client has no acknowledgement of this turn
                await self._services.store.add(self._turns.with_partial_text(self._text))
        finally:
            self._release()

    def _release(self) -> None:
        self._status = ExchangeStatus.CLOSED
        self._services.active_exchanges.discard(self)
        self._services.sessions.busy.discard(self.conversation)

    def _raise_if_failed(self, reply: Reply) -> None:
        """Raise an error for a failed reply."""
        failure = reply.failure
        if failure is None:
            return
        self._status = ExchangeStatus.FAILED
        if failure.kind == "context_full":
            size = f" of {reply.prompt_tokens} tokens" if reply.prompt_tokens else ""  # a remote model may not tell
            raise ApiError(
                400,
                f"the conversation{size} exceeds the model's context; shorten it",
                code="context_length_exceeded",
                param="messages",
            )
        if failure.kind == "response_format":
            raise ApiError(400, failure.detail, param="response_format")
        if failure.kind == "template_refusal":  # the chat template refuses this order of messages
            raise ApiError(400, f"the model failed to reply: {failure.detail}")
        # The detail may name the endpoint, so it is for the log only.
        request = log_failure("model_failed", failure.detail, kind=failure.kind, conversation=self.conversation)
        cause = f"the server's log has the cause at id={request}"
        if failure.kind == "interrupted":
            raise ApiError(503, f"the request was interrupted; {cause}", code="model_stopped")
        raise ApiError(502, f"the model failed to reply ({failure.kind}); {cause}")
