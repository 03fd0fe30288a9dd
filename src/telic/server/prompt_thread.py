"""A thread that renders prompts, so that a long one delays neither the engine nor the event loop."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from telic.models import Request
from telic.models.fair_queue import FairQueue
from telic.server.submission import Submission

if TYPE_CHECKING:
    from telic.models.local.prompts import Prompts

__all__ = ["PromptThread"]

OnPrompts: TypeAlias = "Callable[[Sequence[Submission], Prompts | Exception], None]"


class PromptThread:
    """Renders the prompts of requests, each set once; clients take turns.

    Args:
        render: renders the prompts of a request.
        on_prompts: called in the thread with submissions and their prompts, or with the exception that was raised.
        on_end: called in the thread when it ends, with the exception that ended it, if one did.
    """

    def __init__(
        self,
        render: Callable[[Request], Prompts],
        on_prompts: OnPrompts,
        on_end: Callable[[BaseException | None], None],
    ) -> None:
        self._render, self._on_prompts, self._on_end = render, on_prompts, on_end
        self._queue: FairQueue[list[Submission]] = FairQueue()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="telic-prompts", daemon=True)
        self._thread.start()

    def submit(self, submissions: list[Submission]) -> None:
        """Submit requests that have the same prompts."""
        with self._changed:
            self._queue.append(submissions[0].request.client, submissions)
            self._changed.notify()

    def close(self) -> None:
        """End the thread; what waits is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    def _run(self) -> None:
        try:
            while (submissions := self._next()) is not None:
                wanted = [submission for submission in submissions if not submission.cancelled]
                if wanted:
                    self._on_prompts(wanted, self._rendered(wanted[0].request))
        except BaseException as error:
            self._on_end(error)
        else:
            self._on_end(None)

    def _next(self) -> list[Submission] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._closed)
            return None if self._closed else self._queue.popleft()

    def _rendered(self, request: Request) -> Prompts | Exception:
        try:
            return self._render(request)
        except Exception as error:  # a control or a template may raise anything: this request fails, the others do not
            return error
