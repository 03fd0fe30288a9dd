"""A worker for a local model: a thread that owns it, and one that renders prompts.

Between two passes over the batch the model's thread takes in the requests whose prompts are rendered, so a new request
decodes beside the active ones.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from traceback import format_exception
from typing import TYPE_CHECKING, TypeAlias

from telic.errors import Failure
from telic.models import Reply, Request
from telic.server.log import log_event
from telic.server.prompt_thread import PromptThread
from telic.server.submission import OnEvent, ReplyDelta, ReplyEvent, Submission, deliver, failed_reply

if TYPE_CHECKING:
    from telic.models.local import LocalModel
    from telic.models.local.prompts import Prompts
    from telic.models.local.sequences import RequestState

__all__ = ["LocalWorker"]

PASS_TOKENS = 96
"""Prompt tokens that a local model reads in one pass: about three short turns. With more, clients that ask at the same
time would all wait for the longest prompt."""
PASS_COPIES = 1024
"""Positions, about, that are copied into the batch in one pass: several short conversations, or one long one."""


@dataclass(frozen=True, slots=True)
class _Submit:
    submission: Submission
    prompts: Prompts


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
    """Threads that own a local model. Make it in the event loop.

    Args:
        model: the model that replies.
    """

    def __init__(self, model: LocalModel) -> None:
        self._model = model
        model.engine.pass_tokens, model.engine.pass_copies = PASS_TOKENS, PASS_COPIES
        model.spare_core()
        self._loop = asyncio.get_running_loop()
        self._commands: queue.SimpleQueue[_Command] = queue.SimpleQueue()
        self._active: dict[Submission, _Progress] = {}
        self._unanswered: set[Submission] = set()
        self._failure: Failure | None = None
        """Why no more requests are answered."""
        self._lock = threading.Lock()
        """Held where `_unanswered` and `_failure` are used."""
        self._prompts = PromptThread(model.render_prompts, self._take_prompts, self._end)
        self._thread = threading.Thread(target=self._run, name="telic-engine", daemon=True)
        self._thread.start()

    def submit(self, requests: Sequence[Request], on_event: OnEvent) -> list[Submission]:
        """Submit requests; they join the batch once their prompts are rendered."""
        submissions = [Submission(request, partial(on_event, index)) for index, request in enumerate(requests)]
        with self._lock:
            failure = self._failure
            if failure is None:
                self._unanswered.update(submissions)
        if failure is None:
            self._prompts.submit(submissions)
        else:
            deliver(self._loop, [(one, Reply("", "error", failure=failure)) for one in submissions])
        return submissions

    def cancel(self, submission: Submission) -> None:
        """Take a request out of the batch before the next pass."""
        submission.cancelled = True
        with self._lock:
            self._unanswered.discard(submission)
        self._commands.put(_Cancel(submission))

    @property
    def alive(self) -> bool:
        """Whether the threads run."""
        return self._failure is None

    def close(self) -> None:
        """Cancel all requests, and wait for the current pass."""
        self._prompts.close()
        self._commands.put(_Stop())
        self._thread.join()

    def _take_prompts(self, submissions: Sequence[Submission], prompts: Prompts | Exception) -> None:
        """Pass requests on to the model's thread; answer those that it cannot be asked."""
        if isinstance(prompts, Exception):
            self._deliver([(submission, failed_reply(prompts)) for submission in submissions])
        elif prompts.refusal is not None:
            self._deliver([(submission, prompts.refusal) for submission in submissions])
        else:
            for submission in submissions:
                self._commands.put(_Submit(submission, prompts))

    def _deliver(self, events: Sequence[tuple[Submission, ReplyEvent]]) -> None:
        with self._lock:
            self._unanswered.difference_update(one for one, event in events if isinstance(event, Reply))
        deliver(self._loop, events)

    def _end(self, error: BaseException | None) -> None:
        """Answer all requests, those to come too, with a failure."""
        reason = "the server is stopping"
        if error is not None:
            log_event(logging.CRITICAL, "model_died", cause="".join(format_exception(error)))
            reason = "the model has stopped; the server must be restarted"
        with self._lock:
            self._failure = self._failure or Failure("model", "interrupted", reason)
            reply = Reply("", "error", failure=self._failure)
            unanswered, self._unanswered = self._unanswered, set()
        deliver(self._loop, [(submission, reply) for submission in unanswered])

    def _run(self) -> None:
        try:
            while self._take_commands():
                if self._active:
                    self._deliver(self._advance())
            for submission in list(self._active):
                self._remove(submission)
        except BaseException as error:  # without this thread, no request would ever be answered
            self._end(error)
        else:
            self._end(None)

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
                case _Submit(submission, prompts):
                    if not submission.cancelled:
                        self._active[submission] = _Progress(self._model.submit(submission.request, prompts))
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
            text = state.output.text[progress.characters : end]
            yield ReplyDelta(text, tuple(token_ids[first:last]), tuple(state.logprobs[first:last]))
            progress.characters, submission.new_tokens = end, last
        if reply is not None:
            yield reply
