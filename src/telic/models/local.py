"""A model that runs in this process: every causal model of `transformers`, with full view of its inside."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.base import READINGS, Continuation, OnReply, Reply, Request, Sampling, ScoredContinuation
from telic.models.cache import CachePool
from telic.models.choosing import pick
from telic.models.compatibility import refuse_unsupported
from telic.models.control import Control, Point
from telic.models.engine import Engine, Generation
from telic.models.forward import Runner
from telic.models.packing import pack_linears
from telic.models.sampling import fresh_seed
from telic.models.session import Session
from telic.rendering import Rendering, Template

__all__ = ["LocalModel"]


class LocalModel:
    """A causal language model in this process.

    Args:
        model: a loaded model of `transformers`.
        tokenizer: its fast tokenizer.
        name: how it is called in reports.
        max_batch: rows computed together.
        cache_bytes: memory for the sessions' caches; by default a third of this machine's.
        pack: keep a second copy of the weights in the layout that the processor's kernels like (float32 on a CPU).

    Raises:
        ModelError: the engine cannot compute this kind of model; the message says why.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: Any,
        name: str,
        *,
        max_batch: int = 64,
        cache_bytes: int | None = None,
        pack: bool = True,
    ) -> None:
        self._name = name
        self.model = model.eval().requires_grad_(False)
        self.tokenizer = tokenizer
        self.template = Template(tokenizer)
        self.runner = Runner(self.model)
        if pack:
            pack_linears(self.model, _memory() // 8)
        self.engine = Engine(
            self.runner,
            self.template,
            max_batch=max_batch,
            context=_context(model, tokenizer),
            stop_ids=_stop_ids(model, self.template),
            pool=CachePool(_memory() // 3 if cache_bytes is None else cache_bytes),
        )
        self._lock = threading.RLock()

    @property
    def name(self) -> str:
        """How the model is called in reports."""
        return self._name

    @property
    def points(self) -> frozenset[Point]:
        """Controls can act everywhere."""
        return frozenset(get_args(Point))

    @property
    def readings(self) -> frozenset[str]:
        """Everything can be read."""
        return READINGS

    @property
    def context(self) -> int:
        """Longest dialogue in tokens, the reply included."""
        return self.engine.context

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
        """Memory of what sessions keep; waits for the pass under way."""
        with self._lock:
            return self.engine.pool.nbytes

    def render(self, messages: Sequence[Message], *, reply: bool = True) -> Rendering:
        """A dialogue as this model sees it."""
        return self.template.render(messages, reply=reply)

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
            # Not until the engine is idle: `on_reply` may itself wait for requests while others are under way.
            self._run_while(lambda: waiting > 0)
            return [reply for reply in replies if reply is not None]

    def _submit(self, request: Request, done: Callable[[Reply], None]) -> None:
        if not request.choices:
            self.engine.submit(request, done)
            return
        seed = fresh_seed() if request.sampling.seed is None else request.sampling.seed
        scored: dict[str, Reply] = {}

        def take(choice: str, reply: Reply) -> None:
            scored[choice] = reply
            if len(scored) == len(request.choices):
                done(pick(request, [scored[choice] for choice in request.choices], seed))

        # What is chosen is not in the cache until it is said. One seed, so that a control decides the same for all.
        branch = replace(request, choices=(), keep=False, sampling=replace(request.sampling, seed=seed))
        for choice in request.choices:
            forced = tuple(self.tokenizer(choice, add_special_tokens=False)["input_ids"])
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
            raise ModelError("the reply was given up, because other work on this model was interrupted")
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
        generation = self.begin(request)
        shown = 0
        try:
            while generation.reply is None:
                self.advance(generation)
                safe = self.settled(generation)
                if generation.reply is None and safe > shown:
                    yield generation.text[shown:safe]
                    shown = safe
        finally:
            self.give_up(generation)
        if len(generation.reply.text) > shown:
            yield generation.reply.text[shown:]
        yield generation.reply

    # For whoever serves requests as they come: each may begin, and be given up, between any two passes.

    def begin(self, request: Request) -> Generation:
        """Put a request into the batch; `advance` brings it on, its `reply` is set at the end."""
        with self._lock:
            return self.engine.submit(request)

    def advance(self, generation: Generation | None = None) -> None:
        """Run one pass over all that is under way; none if this generation has come to its end meanwhile.

        Raises:
            ModelError: there is nothing under way.
        """
        with self._lock:
            if generation is None or generation.reply is None:
                self._step()

    def give_up(self, generation: Generation) -> None:
        """Take a request out of the batch; nothing happens to one that has its reply."""
        with self._lock:
            if generation.reply is None:
                self.engine.cancel(generation)

    def settled(self, generation: Generation) -> int:
        """Characters of a growing reply that are final: all of them once it has ended."""
        if generation.reply is not None:
            return len(generation.text)
        return _settled(generation.text, generation.request.sampling.stop)

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        """Log-likelihood of given replies; a prompt that several share, or begin with, is read once.

        Raises:
            ModelError: a continuation is empty, or does not fit in the context.
        """
        with self._lock:
            given = [
                tuple(self.tokenizer(continuation.text, add_special_tokens=False)["input_ids"])
                for continuation in continuations
            ]
            if not all(given):
                raise ModelError("an empty continuation has no likelihood; give at least one character")
            # The first goes ahead: what it has read of a common beginning (a system prompt, a history) serves the rest.
            session = self.session()
            generations: list[Generation] = []
            for continuation, forced in zip(continuations, given, strict=True):
                request = Request(continuation.messages, Sampling(seed=0), tuple(controls), frozenset(), session)
                generations.append(self.engine.submit(replace(request, keep=not generations), forced=forced))
                if len(generations) == 1:
                    self._run_while(lambda: generations[0].reply is None)
            self._run_while(lambda: any(g.reply is None for g in generations))
        return [_scored(generation) for generation in generations]


def _scored(generation: Generation) -> ScoredContinuation:
    reply = generation.reply
    assert reply is not None
    if reply.logprobs is None:
        reason = reply.error or f"the prompt of {reply.prompt_tokens} tokens and the continuation exceed the context"
        raise ModelError(f"cannot score a continuation: {reason}")
    return ScoredContinuation(sum(reply.logprobs), len(reply.logprobs), generation.greedy)


def _settled(text: str, stop: Sequence[str]) -> int:
    """How much of a growing text is final: no half character, nothing that may yet become a stop string."""
    safe = len(text.rstrip("\ufffd"))
    for string in stop:
        for length in range(min(len(string) - 1, safe), 0, -1):
            if text[:safe].endswith(string[:length]):
                safe -= length
                break
    return safe


def _memory() -> int:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):
        return 8 << 30


def _context(model: Any, tokenizer: Any) -> int:
    config = model.config.get_text_config()
    limits = [getattr(config, "max_position_embeddings", None), getattr(tokenizer, "model_max_length", None)]
    known = [int(limit) for limit in limits if limit and limit < 1 << 24]
    return min(known) if known else 4096


def _stop_ids(model: Any, template: Template) -> frozenset[int]:
    """Tokens that end a reply: the declared ones, and the special token with which the template ends a turn."""
    ids: set[int] = set()
    for source in (getattr(model, "generation_config", None), model.config, template.tokenizer):
        value = getattr(source, "eos_token_id", None)
        ids.update([value] if isinstance(value, int) else value or [])
    turn = [Message(role="user", content="Hi"), Message(role="assistant", content="Hi")]
    rendering = template.render(turn, reply=False)
    closing = rendering.token_ids[rendering.contents[1].end :]
    if closing and closing[0] in template.tokenizer.all_special_ids:
        ids.add(closing[0])
    return frozenset(ids)
