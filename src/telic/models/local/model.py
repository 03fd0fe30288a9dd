"""A model that runs in this process: any causal model of `transformers`, with access to its internals."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from telic.dialogue import Message, ToolDefinition
from telic.errors import ModelError
from telic.models.choices import draw_by_likelihood
from telic.models.compatibility import refuse_unsupported
from telic.models.control import Control, ControlPoint
from telic.models.grammars import GrammarCache
from telic.models.local.cache_pool import CachePool
from telic.models.local.checkpoints import context_length, stop_ids
from telic.models.local.constraint import grammar_tokenizer
from telic.models.local.engine import Engine
from telic.models.local.forward import Runner
from telic.models.local.memory import machine_memory, release_free_memory
from telic.models.local.prompts import Prompts
from telic.models.local.sampling import random_seed
from telic.models.local.sequences import RequestState
from telic.models.local.thread_governor import ThreadGovernor
from telic.models.local.vocabulary import speed_up_vocabulary
from telic.models.request import READINGS, Continuation, OnReply, Reply, Request, Sampling, ScoredContinuation
from telic.models.response_format import ResponseFormat
from telic.models.session import Session
from telic.models.session_cache import SessionCache
from telic.rendering import Rendering, Template

__all__ = ["LocalModel"]


class LocalModel:
    """A causal language model in this process.

    Args:
        model: a loaded model of `transformers`.
        tokenizer: its fast tokenizer.
        name: what reports call it.
        max_batch: sequences computed together.
        cache_bytes: memory for the sessions' caches; by default a third of this machine's.
        batch_bytes: memory for the keys and values of what is computed together, which takes fewer sequences where they
            are long; by default a quarter of this machine's.
        thread_governor: adapts the number of processor threads before a pass; by default it stays as it is.

    Raises:
        ModelError: the engine does not support this kind of model; the message says why.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        *,
        max_batch: int = 64,
        cache_bytes: int | None = None,
        batch_bytes: int | None = None,
        thread_governor: ThreadGovernor | None = None,
    ) -> None:
        self._name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.template = Template(tokenizer)
        self.runner = Runner(self.model, thread_governor)
        vocabulary = self.model.get_output_embeddings()
        speed_up_vocabulary(vocabulary)
        ends = stop_ids(model, self.template)
        release_free_memory()  # of loading the weights
        self.engine = Engine(
            self.runner,
            self.template,
            GrammarCache(lambda: grammar_tokenizer(tokenizer, vocabulary.weight.shape[0], ends)),
            max_batch=max_batch,
            context_length=context_length(model, tokenizer),
            stop_ids=ends,
            pool=CachePool(machine_memory() // 3 if cache_bytes is None else cache_bytes),
            batch_bytes=machine_memory() // 4 if batch_bytes is None else batch_bytes,
        )
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """What reports call the model."""
        return self._name

    @property
    def points(self) -> frozenset[ControlPoint]:
        """All points: controls can act everywhere."""
        return frozenset(get_args(ControlPoint))

    @property
    def readings(self) -> frozenset[str]:
        """All readings."""
        return READINGS

    @property
    def context_length(self) -> int:
        """Longest dialogue in tokens, the reply included."""
        return self.engine.context_length

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.runner.hidden_size

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return self.runner.layers

    @property
    def cache_bytes(self) -> int:
        """Memory that the sessions' caches hold; waits for the current pass."""
        with self._lock:
            return self.engine.pool.nbytes

    def spare_core(self) -> None:
        """Leave a core to other threads of this process, unless the number of threads is fixed."""
        if self.runner.thread_governor is not None:
            self.runner.thread_governor.spared = 1

    def render(
        self, messages: Sequence[Message], *, reply: bool = True, tools: Sequence[ToolDefinition] = ()
    ) -> Rendering:
        """Render a dialogue as this model sees it."""
        return self.template.render(messages, reply=reply, tools=tools)

    def check_format(self, response_format: ResponseFormat) -> None:
        """Compile a response format, so that no reply waits for it.

        Raises:
            ConfigError: it is wrong, or exceeds a limit; the message says where.
            MissingExtraError: llguidance is not installed.
        """
        self.engine.grammars.matcher(response_format)

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
            self.engine.submit(request, done)
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
            self.engine.submit(branch, partial(take, choice), forced=forced)

    def _run_while(self, waiting: Callable[[], bool]) -> None:
        try:
            while waiting():
                self._step()
        except BaseException:
            self.engine.reset()
            raise

    def _step(self) -> None:
        if self.engine.idle:
            raise ModelError("the request was dropped, because other work on this model was interrupted", "interrupted")
        self.engine.step()

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

    # For a server: it may submit or cancel a request between any two passes.

    def render_prompts(self, request: Request) -> Prompts:
        """Render a request's prompts, for `submit`; this waits for no pass. One thread may do it at a time."""
        return self.engine.render(request)

    def submit(self, request: Request, prompts: Prompts | None = None) -> RequestState:
        """Put a request into the engine's queue; `step` brings it forward, its `reply` is set at the end.

        Args:
            request: the request.
            prompts: its prompts, if they are rendered already.
        """
        with self._lock:
            return self.engine.submit(request, prompts=prompts)

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
                self.engine.cancel(state)

    def reset(self) -> None:
        """Drop all requests, as after a pass that failed."""
        with self._lock:
            self.engine.reset()

    @property
    def max_batch(self) -> int:
        """Sequences computed together, at most."""
        return self.engine.max_batch

    @max_batch.setter
    def max_batch(self, value: int) -> None:
        with self._lock:
            self.engine.max_batch = value

    def limit(self, *, max_batch: int, context_length: int, cache_bytes: int | None = None) -> None:
        """Lower the engine's limits, as a server does; a limit that is lower already stays.

        Args:
            max_batch: sequences computed together.
            context_length: longest sequence, in tokens.
            cache_bytes: memory for the sessions' caches; None leaves it as it is.
        """
        with self._lock:
            self.engine.max_batch = min(self.engine.max_batch, max_batch)
            self.engine.context_length = min(self.engine.context_length, context_length)
            if cache_bytes is not None:
                self.engine.pool.budget = cache_bytes

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
                states.append(self.engine.submit(replace(request, keep=not states), forced=forced))
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
