"""What models with a batched engine have in common: the local engine, and vLLM in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Protocol

from telic.dialogue import Message, ToolDefinition
from telic.errors import ModelError
from telic.models.choices import draw_by_likelihood
from telic.models.compatibility import refuse_unsupported
from telic.models.control import Control, ControlPoint
from telic.models.request import Continuation, OnReply, Reply, Request, Sampling, ScoredContinuation, random_seed
from telic.models.session import Session
from telic.models.session_cache import SessionCache
from telic.rendering import Rendering, Template

if TYPE_CHECKING:
    from telic.models.local.prompts import Prompts
    from telic.models.local.sequences import RequestState

__all__ = ["BatchedEngine", "EngineModel"]


class BatchedEngine(Protocol):
    """Serves requests on one model, many at once; see `telic.models.local.engine`."""

    context_length: int

    def render(self, request: Request) -> Prompts:
        """Render a request's prompts."""
        ...

    def submit(
        self,
        request: Request,
        on_reply: Callable[[Reply], None] | None = None,
        forced: tuple[int, ...] = (),
        prompts: Prompts | None = None,
    ) -> RequestState:
        """Queue a request; see `telic.models.local.engine.Engine.submit`."""
        ...

    def step(self) -> object:
        """Bring all requests forward by one pass."""
        ...

    def cancel(self, state: RequestState) -> None:
        """Drop a request; its reply never comes."""
        ...

    def reset(self) -> None:
        """Drop all requests, as after an interruption."""
        ...

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do."""
        ...


class EngineModel:
    """A model in this process: every call joins the engine's batch.

    Args:
        name: what reports call it.
        template: renders dialogues.
        engine: answers the requests.
        points: where controls can act.
        readings: what can be read off its replies.
    """

    def __init__(
        self,
        name: str,
        template: Template,
        engine: BatchedEngine,
        points: frozenset[ControlPoint],
        readings: frozenset[str],
    ) -> None:
        self._name, self.template, self._engine = name, template, engine
        self._points, self._readings = points, readings
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """What reports call the model."""
        return self._name

    @property
    def points(self) -> frozenset[ControlPoint]:
        """Where controls can act."""
        return self._points

    @property
    def readings(self) -> frozenset[str]:
        """What can be read off its replies."""
        return self._readings

    @property
    def context_length(self) -> int:
        """Longest dialogue in tokens, the reply included."""
        return self._engine.context_length

    def render(
        self, messages: Sequence[Message], *, reply: bool = True, tools: Sequence[ToolDefinition] = ()
    ) -> Rendering:
        """Render a dialogue as this model sees it."""
        return self.template.render(messages, reply=reply, tools=tools)

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        session = Session(self)
        return session.system(system) if system is not None else session

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer requests in one batch, in their order; see `Model.generate`."""
        refuse_unsupported(self, requests)
        with self._lock:
            replies: list[Reply | None] = []
            waiting = 0

            def submit(request: Request) -> None:
                nonlocal waiting
                index = len(replies)
                replies.append(None)
                waiting += 1

                def done(reply: Reply) -> None:
                    nonlocal waiting
                    replies[index] = reply
                    waiting -= 1
                    for further in (on_reply(index, reply) if on_reply else None) or ():
                        submit(further)

                self._submit(request, done)

            for request in requests:
                submit(request)
            # Not until the engine is idle: `on_reply` may itself wait for requests while others are active.
            self._run_while(lambda: waiting > 0)
            return [reply for reply in replies if reply is not None]

    def _submit(self, request: Request, done: Callable[[Reply], None]) -> None:
        if not request.choices:
            self._engine.submit(request, done)
            return
        seed = random_seed() if request.sampling.seed is None else request.sampling.seed
        scored: dict[str, Reply] = {}

        def take(choice: str, reply: Reply) -> None:
            scored[choice] = reply
            if len(scored) == len(request.choices):
                done(draw_by_likelihood(request, [scored[choice] for choice in request.choices], seed))

        # The choice enters the cache with the next turn. One seed, so that a control decides the same for all choices.
        branch = replace(request, choices=(), keep=False, sampling=replace(request.sampling, seed=seed))
        tokens = [tuple(self.template.encoder.encode(choice)) for choice in request.choices]
        for choice, forced in zip(request.choices, tokens, strict=True):
            self._engine.submit(branch, partial(take, choice), forced=forced)

    def _run_while(self, waiting: Callable[[], bool]) -> None:
        try:
            while waiting():
                self._step()
        except BaseException:
            self._engine.reset()
            raise

    def _step(self) -> None:
        if self._engine.idle:
            raise ModelError("the request was dropped, because other work on this model was interrupted", "interrupted")
        self._engine.step()

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply piece by piece, then the whole `Reply`.

        Between two pieces the model is free for other work, in this thread or another.
        """
        refuse_unsupported(self, [request])
        if request.choices:  # nothing is known until all of them are scored
            reply = self.generate([request])[0]
            yield reply.text
            yield reply
            return
        state = self.submit(request)
        shown = 0
        try:
            while state.reply is None:
                self.step(state)
                final = self.final_length(state)
                if state.reply is None and final > shown:
                    yield state.output.text[shown:final]
                    shown = final
        finally:
            self.cancel(state)
        if len(state.reply.text) > shown:
            yield state.reply.text[shown:]
        yield state.reply

    # For a server, which submits and cancels requests between two passes.

    def render_prompts(self, request: Request) -> Prompts:
        """Render a request's prompts, for `submit`; this waits for no pass. One thread may do it at a time."""
        return self._engine.render(request)

    def submit(self, request: Request, prompts: Prompts | None = None) -> RequestState:
        """Put a request into the engine's queue; `step` brings it forward, its `reply` is set at the end.

        Args:
            request: the request.
            prompts: its prompts, if they are rendered already.
        """
        with self._lock:
            return self._engine.submit(request, prompts=prompts)

    def step(self, state: RequestState | None = None) -> None:
        """Run one pass over all active requests; do nothing if `state` already has its reply.

        Raises:
            ModelError: the request was dropped, because other work on this model was interrupted.
        """
        with self._lock:
            if state is None or state.reply is None:
                self._step()

    def cancel(self, state: RequestState) -> None:
        """Take a request out of the engine; nothing happens to one that has its reply."""
        with self._lock:
            if state.reply is None:
                self._engine.cancel(state)

    def reset(self) -> None:
        """Drop all requests, as after a pass that failed."""
        with self._lock:
            self._engine.reset()

    def final_length(self, state: RequestState) -> int:
        """Characters of a growing reply that will not change; all of them once it is complete."""
        return len(state.reply.text) if state.reply is not None else state.final_length

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        """Compute the log-likelihood of given replies.

        Equal prompts are read once, and so is what a prompt has in common with the first one.

        Raises:
            ModelError: a continuation is empty, or does not fit in the context.
        """
        with self._lock:
            given = [tuple(self.template.encoder.encode(continuation.text)) for continuation in continuations]
            if not all(given):
                raise ModelError("an empty continuation has no likelihood; give at least one character")
            # Run the first one alone: the others reuse what it read of a shared prefix (system prompt, history).
            cache = SessionCache()
            states: list[RequestState] = []
            for continuation, forced in zip(continuations, given, strict=True):
                request = Request(continuation.messages, Sampling(seed=0), tuple(controls), cache=cache)
                states.append(self._engine.submit(replace(request, keep=not states), forced=forced))
                if len(states) == 1:
                    self._run_while(lambda: states[0].reply is None)
            self._run_while(lambda: any(state.reply is None for state in states))
        return [_scored(state.reply, greedy=state.greedy) for state in states if state.reply is not None]


def _scored(reply: Reply, *, greedy: bool) -> ScoredContinuation:
    if reply.logprobs is None:
        if reply.failure is None or reply.failure.kind == "context_full":
            size = f" of {reply.prompt_tokens} tokens" if reply.prompt_tokens else ""  # one far too long is not counted
            detail = f"the prompt{size} and the continuation exceed the context"
            raise ModelError(f"cannot score a continuation: {detail}", "context_full")
        raise ModelError(f"cannot score a continuation: {reply.failure.detail}", reply.failure.kind)
    return ScoredContinuation(sum(reply.logprobs), len(reply.logprobs), greedy)
