"""vLLM in this process, with the interface of the local engine."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

from telic.errors import Failure
from telic.models.fair_queue import FairQueue
from telic.models.local.prompts import Prompts
from telic.models.local.sequences import RequestState
from telic.models.request import Reply, Request
from telic.models.vllm.rounds import Round, RoundOutcome, Rounds
from telic.models.vllm.worker_processes import WorkerProcesses

__all__ = ["VllmEngine"]


@dataclass(slots=True, eq=False)
class _Playing:
    """A request whose rounds are being played."""

    state: RequestState
    rounds: Generator[Round, RoundOutcome, Reply]
    round: Round | None = None
    """The round in vLLM."""


class VllmEngine:
    """Serves requests on one model, many at once.

    Args:
        engine: vLLM's `LLMEngine`, whose core runs in this process.
        rounds: plans the requests to it.
        workers: its workers, if they run in other processes.
    """

    def __init__(self, engine: Any, rounds: Rounds, workers: WorkerProcesses | None = None) -> None:
        self._engine, self._rounds, self._workers = engine, rounds, workers
        self.context_length, self.grammars = rounds.limits.context_length, rounds.grammars
        self.max_batch = self.most_rows = rounds.limits.max_batch
        """Sequences that vLLM is given together."""
        self._queue: FairQueue[RequestState] = FairQueue()
        """Requests that vLLM does not know yet."""
        self._active: dict[str, _Playing] = {}
        """By id of the primary request to vLLM."""
        self._done: list[RequestState] = []
        self._death: Failure | None = None
        """Why vLLM answers no more."""

    def render(self, request: Request) -> Prompts:
        """Render a request's prompts."""
        return self._rounds.render(request)

    def submit(
        self,
        request: Request,
        on_reply: Callable[[Reply], None] | None = None,
        forced: tuple[int, ...] = (),
        prompts: Prompts | None = None,
    ) -> RequestState:
        """Queue a request; see `telic.models.local.engine.Engine.submit`."""
        state = self._rounds.open(request, forced, prompts)
        state.on_reply = on_reply
        self._queue.append(request.client, state)
        return state

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do."""
        return not self._active and not self._queue

    def step(self) -> list[RequestState]:
        """Run one pass, and return the requests that it completed. Their `on_reply` is called last."""
        self._done = []
        while self._queue and self._rows < self.max_batch:
            state = self._queue.popleft()
            self._continue(_Playing(state, self._rounds.play(state)), None)
        if self._active:
            self._run_pass()
        done, self._done = self._done, []
        for state in done:
            if state.on_reply is not None and state.reply is not None:
                state.on_reply(state.reply)
        return done

    def cancel(self, state: RequestState) -> None:
        """Drop a request; its reply never comes."""
        if not self._queue.remove(state.request.client, state):
            for playing in [playing for playing in self._active.values() if playing.state is state]:
                self._leave(playing, abort=True)

    def reset(self) -> None:
        """Drop all requests, as after an interruption."""
        self._queue.clear()
        for playing in list(self._active.values()):
            self._leave(playing, abort=True)

    @property
    def _rows(self) -> int:
        return sum(playing.round.group.size for playing in self._active.values() if playing.round is not None)

    def _run_pass(self) -> None:
        try:
            outputs = self._engine.step()
        except Exception as error:  # whatever vLLM raises: its engine is in no state to go on
            self._die(error)
            return
        for output in outputs:
            playing = self._active.get(output.request_id)
            if playing is None or playing.round is None:  # of a contrast prompt, which gets the same tokens
                continue
            [completion] = output.outputs
            stopped = playing.round.take(completion.token_ids)
            if stopped or output.finished:
                finish = "stop" if stopped else str(completion.finish_reason)
                self._leave(playing, abort=not output.finished)
                self._continue(playing, RoundOutcome(finish, output.num_cached_tokens or 0))

    def _continue(self, playing: _Playing, outcome: RoundOutcome | None) -> None:
        """Play a request's next round, or give it its reply."""
        try:
            if self._death is not None:
                raise StopIteration(playing.state.make_reply("error", self._death))
            playing.round = next(playing.rounds) if outcome is None else playing.rounds.send(outcome)
        except StopIteration as end:
            playing.state.reply = end.value
            self._done.append(playing.state)
            return
        self._active[playing.round.requests[0].id] = playing
        try:
            self._send(playing.round)
        except _refusals() as error:
            self._leave(playing, abort=True)
            playing.state.reply = playing.state.make_reply("error", Failure("model", "exception", f"vLLM: {error}"))
            self._done.append(playing.state)

    def _send(self, played: Round) -> None:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        for place, request in enumerate(played.requests):
            kind = RequestOutputKind.FINAL_ONLY if place else RequestOutputKind.DELTA
            params = SamplingParams(**request.params, output_kind=kind)
            self._engine.add_request(request.id, request.prompt, params)

    def _leave(self, playing: _Playing, *, abort: bool) -> None:
        """Take a request's round out of the engine."""
        assert playing.round is not None
        self._active.pop(playing.round.requests[0].id, None)
        if abort and self._death is None:
            self._engine.abort_request([request.id for request in playing.round.requests])
        if self._workers is not None and self._death is None:
            self._workers.close(playing.round.group, playing.round.tokens)
        self._rounds.close(playing.round)
        playing.round = None

    def _die(self, error: Exception) -> None:
        detail = f"vLLM's engine failed: {type(error).__name__}: {error}; load the model again"
        self._death = Failure("model", "exception", detail)
        for playing in list(self._active.values()):
            self._leave(playing, abort=False)
            self._continue(playing, None)


def _refusals() -> tuple[type[Exception], ...]:
    """What vLLM raises where it does not take a request."""
    from vllm.exceptions import VLLMValidationError

    return (ValueError, VLLMValidationError)
