"""Time that only models spend, so that tests of deadlines and forecasts depend on no machine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from telic.models import Continuation, Control, FakeModel, Reply, Request, ScoredContinuation, ScriptedModel
from telic.models.request import OnReply


@dataclass
class Clock:
    """A clock that stands still until somebody spends time."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


class SlowFake(FakeModel):
    """A fake model that spends a while on each reply, one after the other."""

    def __init__(self, clock: Clock, seconds: float, **options: Any) -> None:
        super().__init__(**options)
        self.clock, self.seconds = clock, seconds

    def _reply(self, request: Request) -> Reply:
        self.clock.now += self.seconds
        return super()._reply(request)


class SlowScorer(SlowFake):
    """A fake model that also scores replies, 20 in the time of one: the same whatever the controls."""

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        self.clock.now += 0.05 * self.seconds * len(continuations)
        return [ScoredContinuation(-float(len(one.text)), 1, False) for one in continuations]


@dataclass
class Load:
    """What a pass of an engine costs."""

    fixed: float = 1.0
    per_sequence: float = 0.1
    """A second for each sequence of the batch: 0 where it runs in parallel, much where the machine is saturated."""


@dataclass(eq=False)
class _Row:
    index: int
    request: Request
    passes: int


class Engine(ScriptedModel):
    """Echoes, in a batch: a reply takes as many passes as its text has words."""

    def __init__(self, clock: Clock, load: Load) -> None:
        super().__init__(lambda messages: messages[-1].content)
        self.clock, self.load = clock, load
        self.most = 0
        """Most sequences in the batch."""

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        replies: dict[int, Reply] = {}
        rows: list[_Row] = []
        coming, numbers = list(requests), count()
        while rows or coming:
            for request in coming:
                passes = len(request.messages[-1].content.split())
                rows.append(_Row(next(numbers), request, passes))
            coming = []
            self.most = max(self.most, len(rows))
            self.clock.now += self.load.fixed + self.load.per_sequence * len(rows)
            for row in rows:
                row.passes -= 1
            ended = [row for row in rows if row.passes <= 0]
            rows = [row for row in rows if row.passes > 0]
            for row in ended:
                replies[row.index] = self._reply(row.request)
                coming += list((on_reply and on_reply(row.index, replies[row.index])) or ())
        return [replies[index] for index in sorted(replies)]
