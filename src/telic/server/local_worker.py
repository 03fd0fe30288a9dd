"""A worker for a local model: one thread that owns it.

Between two passes over the batch the thread takes in what has arrived, so a new request decodes beside the active ones.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from telic.models import Request
from telic.server.submission import ReplyDelta, ReplyEvent, Submission, deliver, failed_reply

if TYPE_CHECKING:
    from telic.models.local import LocalModel
    from telic.models.local.sequences import RequestState

__all__ = ["LocalWorker"]

PASS_TOKENS = 96
"""Prompt tokens that a local model reads in one pass: about three short turns. With more, clients that ask at the same
time would all wait for the longest prompt."""


@dataclass(frozen=True, slots=True)
class _Submit:
    submission: Submission


@dataclass(frozen=True, slots=True)
class _Cancel:
    submission: Submission


@dataclass(frozen=True, slots=True)
class _Stop:
    pass


_Command: TypeAlias = _Submit | _Cancel | _Stop


@dataclass(slots=True)
class _Progress:
    """An active request in the engine."""

    state: RequestState
    characters: int = 0
    """Characters delivered so far."""


class LocalWorker:
    """One thread that owns a local model. Make it in the event loop.

    Args:
        model: the model that replies.
    """

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        model.engine.pass_tokens = PASS_TOKENS
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._active: dict[Submission, _Progress] = {}
        self._thread = threading.Thread(target=self._run, name="telic-engine", daemon=True)
        self._thread.start()

    def submit(self, request: Request, on_event: Callable[[ReplyEvent], None]) -> Submission:
        """Submit a request; it joins the batch before the next pass."""
        submission = Submission(request, on_event)
        self._commands.put(_Submit(submission))
        return submission

    def cancel(self, submission: Submission) -> None:
        """Take a request out of the batch before the next pass."""
        submission.cancelled = True
        self._commands.put(_Cancel(submission))

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Cancel all requests, and wait for the current pass."""
        self._commands.put(_Stop())
        self._thread.join()

    def _run(self) -> None:
        while self._take_commands():
            if self._active:
                deliver(self._loop, self._advance())
        for submission in list(self._active):
            self._remove(submission)

    def _take_commands(self) -> bool:
        """Carry out what has arrived; wait for a command if no request is active. Returns False at the end."""
        wait = not self._active
        while True:
            try:
                command = self._commands.get(block=wait)
            except queue.Empty:
                return True
            wait = False
            match command:
                case _Submit(submission):
                    if not submission.cancelled:
                        self._active[submission] = _Progress(self._model.submit(submission.request))
                case _Cancel(submission):
                    self._remove(submission)
                case _Stop():
                    return False

    def _remove(self, submission: Submission) -> None:
        progress = self._active.pop(submission, None)
        if progress is not None:
            self._model.cancel(progress.state)

    def _advance(self) -> list[tuple[Submission, ReplyEvent]]:
        """Run one pass, and collect the new events."""
        waiting = next((progress.state for progress in self._active.values() if progress.state.reply is None), None)
        try:
            if waiting is not None:  # else another thread that uses this model has completed them all
                self._model.step(waiting)
        except Exception as error:  # such as out of memory: the active requests fail, the server goes on
            self._count_prompt_tokens()
            lost, self._active = self._active, {}
            self._model.reset()
            return [(submission, failed_reply(error)) for submission in lost]
        self._count_prompt_tokens()
        events = [(one, event) for one, progress in self._active.items() for event in self._new_events(one, progress)]
        self._active = {one: progress for one, progress in self._active.items() if progress.state.reply is None}
        return events

    def _count_prompt_tokens(self) -> None:
        for submission, progress in self._active.items():
            submission.prompt_tokens = progress.state.uncached_prompt_tokens

    def _new_events(self, submission: Submission, progress: _Progress) -> Iterator[ReplyEvent]:
        state = progress.state
        end, reply = self._model.final_length(state), state.reply
        if end > progress.characters:
            token_ids = list(state.generated if reply is None else reply.token_ids)
            first, last = submission.new_tokens, len(token_ids)
            text = state.text[progress.characters : end]
            yield ReplyDelta(text, tuple(token_ids[first:last]), tuple(state.logprobs[first:last]))
            progress.characters, submission.new_tokens = end, last
        if reply is not None:
            yield reply
