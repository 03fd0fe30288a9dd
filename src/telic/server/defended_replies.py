"""Replies of a server behind the defences of its purpose.

A defended turn is a generator (`telic.agents.defender`). A task of the event loop drives it: its requests wait for
their turn beside those of all other clients. The code between two requests (rules, judges) runs in a thread, since it
may take long.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from telic.agents.defender import DefenceState, DefendedReply, Defender, DraftRequest
from telic.agents.tool_turns import ToolTurns
from telic.models import Reply, Request
from telic.models.requesting import ModelRequest, RequestGenerator
from telic.server.config import ServeConfig
from telic.server.daemon_threads import DaemonThreads
from telic.server.metrics import Metrics
from telic.server.runner import RequestRunner, of_user
from telic.server.submission import OnEvent, ReplyDelta, ReplyEvent, Submission, failed_reply
from telic.server.toolboxes import Toolboxes

__all__ = ["DefendedReplies", "DefendedSubmission", "DefendedTurns"]

THREADS = 2
"""Threads for the code of defences and judges."""
TOOL_THREADS = 16
"""Threads where tools are called too, which are waited for."""


@dataclass(eq=False)
class DefendedSubmission:
    """A reply that is being made behind the defences."""

    request: Request
    index: int
    on_event: OnEvent
    state: DefenceState
    """What the defences know of the conversation; of this reply's own."""
    tools: ToolTurns | None = None
    """Carry out calls of the purpose's own tools."""
    task: asyncio.Task[None] | None = None
    defended: DefendedReply | None = None
    """The complete reply."""
    streamed: bool = False
    """Whether its text was delivered piece by piece."""
    answered_tokens: int = 0
    submissions: dict[Submission, RequestRunner] = field(default_factory=dict)
    """Requests without a reply, each with the runner that answers it."""

    @property
    def computed_tokens(self) -> int:
        """Tokens computed so far, those of drafts and of what the defences ask included."""
        return self.answered_tokens + sum(one.computed_tokens for one in self.submissions)

    def cancel(self) -> None:
        """Stop the reply; no further events are delivered."""
        if self.task is not None:
            self.task.cancel()


class DefendedReplies:
    """Makes replies behind the defences of a purpose.

    Args:
        runner: answers the requests of the served model.
        defender: the purpose's defences.
        config: limits on the memory of the further models that they ask.
        metrics: counts decisions and tokens.
        tools: carry out the calls of the purpose's own tools; None if it has none.

    Raises:
        ModelError: a model that a defence asks cannot be loaded.
    """

    def __init__(
        self,
        runner: RequestRunner,
        defender: Defender,
        config: ServeConfig,
        metrics: Metrics,
        tools: ToolTurns | None = None,
    ) -> None:
        self._defender, self._metrics = defender, metrics
        self._toolboxes = Toolboxes(tools, config.max_conversations) if tools is not None else None
        self._runners = {
            id(model): runner if model is runner.model else RequestRunner(model, config) for model in defender.models
        }
        self._further = [own for own in self._runners.values() if own is not runner]
        self._threads: DaemonThreads | None = None

    def start(self) -> None:
        """Start the threads and the workers of further models. Call it in the event loop."""
        count = THREADS if self._toolboxes is None else TOOL_THREADS
        self._threads = DaemonThreads(count, "telic-defence")
        for runner in self._further:
            runner.start()

    async def close(self, seconds: float) -> None:
        """End them; a model or a judge that does not respond in this time is abandoned."""
        await asyncio.gather(*(runner.close(seconds) for runner in self._further))
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    @property
    def tool_names(self) -> frozenset[str]:
        """Names of the purpose's own tools."""
        return frozenset() if self._toolboxes is None else self._toolboxes.names

    def drop(self, conversations: Iterable[str]) -> None:
        """Forget deleted conversations."""
        if self._toolboxes is not None:
            self._toolboxes.drop(conversations)

    def turns(self, user: str, state: DefenceState, conversation: str) -> DefendedTurns:
        """Return what makes the replies of one exchange, given what the defences know of its conversation."""
        return DefendedTurns(self, user, state, None if self._toolboxes is None else self._toolboxes.of(conversation))

    async def answer(self, one: DefendedSubmission, user: str) -> None:
        """Make a reply, and deliver its events."""
        try:
            defended = await self._drive(one, user, self._turn(one))
        except Exception as error:  # a third-party defence may raise anything: this request fails, the server goes on
            one.on_event(one.index, failed_reply(error))
            return
        finally:
            for submission, runner in one.submissions.items():  # of a task that was cancelled
                runner.cancel(submission)
        self._metrics.count_defences(defended.records)
        one.defended, reply = defended, defended.reply
        if reply.failure is None and not one.streamed:
            one.on_event(one.index, ReplyDelta(reply.text, reply.token_ids, reply.logprobs or ()))
        one.on_event(one.index, reply)

    def _turn(self, one: DefendedSubmission) -> RequestGenerator[DefendedReply]:
        if one.tools is None:
            return self._defender.reply(one.request, one.state)
        return one.tools.play(one.request, lambda request: self._defender.reply(request, one.state))

    async def _drive(self, one: DefendedSubmission, user: str, turn: RequestGenerator[DefendedReply]) -> DefendedReply:
        answers: asyncio.Queue[tuple[ModelRequest, Reply]] = asyncio.Queue()
        made = await self._step(turn, None)
        while not isinstance(made, DefendedReply):
            for request in made:
                self._submit(one, user, request, answers)
            made = await self._step(turn, await answers.get())
        return made

    async def _step(
        self, turn: RequestGenerator[DefendedReply], answered: tuple[ModelRequest, Reply] | None
    ) -> Sequence[ModelRequest] | DefendedReply:
        assert self._threads is not None, "await the service's start() first"
        return await asyncio.wrap_future(self._threads.submit(_advance, turn, answered))

    def _submit(
        self,
        one: DefendedSubmission,
        user: str,
        made: ModelRequest,
        answers: asyncio.Queue[tuple[ModelRequest, Reply]],
    ) -> None:
        runner = self._runners[id(made.model)]
        # With tools of its own, only the last reply of a turn is for the client; which one that is shows at its end.
        shown = isinstance(made, DraftRequest) and not self._defender.judges_drafts and one.tools is None

        def on_event(_index: int, event: ReplyEvent) -> None:
            if isinstance(event, Reply):
                del one.submissions[submission]
                one.answered_tokens += event.prompt_tokens - event.cached_tokens + event.new_tokens
                self._metrics.count(event)
                answers.put_nowait((made, event))
            elif shown:
                one.streamed = True
                one.on_event(one.index, event)

        [submission] = runner.submit([of_user(made.request, user)], on_event)
        one.submissions[submission] = runner


class DefendedTurns:
    """Makes the choices of one exchange behind the defences, as a `Worker` makes them without.

    Args:
        replies: makes them.
        user: whose conversation it is.
        state: what the defences know of it; each choice gets a copy.
        tools: carry out calls of the purpose's own tools; None if it has none.
    """

    def __init__(
        self, replies: DefendedReplies, user: str, state: DefenceState, tools: ToolTurns | None = None
    ) -> None:
        self._replies, self._user, self._state, self._tools = replies, user, state, tools

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[DefendedSubmission]:
        """Begin the choices of a reply; as `RequestRunner.submit`."""
        made = [
            DefendedSubmission(one, index, on_event, self._state.fork(), self._tools)
            for index, one in enumerate(requests)
        ]
        for one in made:
            one.task = asyncio.get_running_loop().create_task(self._replies.answer(one, self._user))
            one.task.add_done_callback(partial(_forget, one))
        return made


def _forget(one: DefendedSubmission, _task: asyncio.Task[None]) -> None:
    one.task = None


def _advance(
    turn: RequestGenerator[DefendedReply], answered: tuple[ModelRequest, Reply] | None
) -> Sequence[ModelRequest] | DefendedReply:
    """Run a turn up to its next requests, or to its end."""
    try:
        return list(next(turn) if answered is None else turn.send(answered))
    except StopIteration as end:  # which no future can carry
        defended: DefendedReply = end.value
        return defended
