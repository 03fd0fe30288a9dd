"""What the work on one issue may use up: replies, tokens and time."""

from __future__ import annotations

from typing import TypeVar

from telic.assistants.pairing.config import PairConfig
from telic.errors import TelicError
from telic.models import Reply
from telic.models.requesting import ModelRequest, RequestGenerator
from telic.progress.deadline import monotonic_seconds

__all__ = ["Budget", "BudgetSpentError"]

T = TypeVar("T")


class BudgetSpentError(TelicError):
    """Nothing is left of the budget. What was found so far stays."""


class Budget:
    """What was used up.

    Args:
        config: the limits.
        steps: replies before, in a session that goes on.
        tokens: tokens before.
    """

    def __init__(self, config: PairConfig, steps: int = 0, tokens: int = 0) -> None:
        self._config = config
        self.steps, self.tokens = steps, tokens
        self.seconds = 0.0
        """Seconds of work, without those in which a person was waited for."""

    @property
    def problem(self) -> str:
        """Which limit was reached; empty if none was."""
        limits = self._config
        if self.steps >= limits.steps:
            return f"the limit of {limits.steps} replies is reached"
        if self.tokens >= limits.tokens:
            return f"the limit of {limits.tokens} tokens is reached"
        if limits.minutes is not None and self.seconds >= 60 * limits.minutes:
            return f"the limit of {limits.minutes:g} minutes is reached"
        return ""

    def renew(self) -> None:
        """Begin anew, as after a comment of the person, who wants further work."""
        self.steps, self.tokens, self.seconds = 0, 0, 0.0

    def spend(self, work: RequestGenerator[T]) -> RequestGenerator[T]:
        """Do some work as long as something is left.

        Raises:
            BudgetSpentError: a limit was reached. It is looked at before each request.
        """
        started = monotonic_seconds()
        before = self.seconds

        def count(answered: tuple[ModelRequest, Reply]) -> None:
            self.steps += 1
            self.tokens += answered[1].new_tokens

        try:
            requests = next(work)
            while True:
                self.seconds = before + monotonic_seconds() - started
                if requests and (problem := self.problem):
                    work.close()
                    raise BudgetSpentError(problem)
                answered = yield requests
                count(answered)
                requests = work.send(answered)
        except StopIteration as end:
            value: T = end.value
            return value
        finally:
            self.seconds = before + monotonic_seconds() - started
