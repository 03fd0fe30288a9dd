"""Continuous batching: requests wait in a queue, get a slot, read their prompt, decode, and make room for the next."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import replace

from telic.errors import Failure, ModelError
from telic.models.fair_queue import FairQueue
from telic.models.grammars import GrammarCache
from telic.models.local.admission import (
    bytes_with,
    compact,
    copy_to_followers,
    place_sequence,
    prepare_sequences,
    release_followers,
)
from telic.models.local.cache_pool import CachePool
from telic.models.local.constraint import advance
from telic.models.local.decoding import nan_rows, next_logits, next_tokens, score_tokens
from telic.models.local.forward import Runner
from telic.models.local.prefixes import choose_prefixes
from telic.models.local.prompts import Prompts, TokenBound, render_prompts
from telic.models.local.reply_text import Detokenizer, ReplyText
from telic.models.local.scheduling import Schedule, reading_order
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.local.session_caches import update_cache
from telic.models.request import FinishReason, Reply, Request
from telic.rendering import Template

__all__ = ["Engine"]


class Engine:
    """Serves requests on one model, many at once.

    Args:
        runner: runs the forward passes.
        template: renders dialogues.
        grammars: compiles response formats.
        max_batch: sequences that are computed together.
        context_length: longest sequence, in tokens.
        stop_ids: tokens that end a reply.
        pass_tokens: prompt tokens read in one pass over all sequences: fewer bring the first of many requests to its
            first token sooner, more are read a little faster in all. A sequence reads `PROMPT_CHUNK` at most.
        pass_copies: positions of keys and values, about, that are copied into the batch in one pass. A server limits
            them, because the replies in the batch wait meanwhile.
        pool: keeps the sessions' caches within a budget.
        batch_bytes: memory for the keys and values of the batch. It takes fewer sequences where they are long.
    """

    def __init__(
        self,
        runner: Runner,
        template: Template,
        grammars: GrammarCache,
        *,
        max_batch: int,
        context_length: int,
        stop_ids: frozenset[int],
        pool: CachePool,
        batch_bytes: int = sys.maxsize,
        pass_tokens: int = 1024,
        pass_copies: int = sys.maxsize,
    ) -> None:
        self.runner, self.template, self.grammars = runner, template, grammars
        self.max_batch, self.context_length, self.stop_ids, self.pool = max_batch, context_length, stop_ids, pool
        self.pass_tokens, self.pass_copies, self.batch_bytes = pass_tokens, pass_copies, batch_bytes
        self.queue: FairQueue[RequestState] = FairQueue()
        """Requests that have no slot yet."""
        self.active: list[RequestState] = []
        """Requests whose sequences are in the batch."""
        self._sequences: list[Sequence] = []
        """The batch: all sequences of the active requests, in the order of their slots."""
        self._done: list[RequestState] = []
        self._schedule = Schedule()
        self._bound = TokenBound(template.tokenizer)
        self._detokenizer = Detokenizer(template.tokenizer, template.tool_syntax)
        self._arrived = 0
        self.passes = 0
        """Forward passes so far."""
        self.drawn_tokens = 0
        """Tokens drawn so far; over `passes * max_batch` this is the batch's occupancy."""

    def render(self, request: Request) -> Prompts:
        """Render a request's prompts. This does not touch the batch, so another thread may do it during a pass."""
        return render_prompts(
            request,
            self.template,
            self._bound,
            self.grammars,
            max_batch=self.max_batch,
            context_length=self.context_length,
        )

    def submit(
        self,
        request: Request,
        on_reply: Callable[[Reply], None] | None = None,
        forced: tuple[int, ...] = (),
        prompts: Prompts | None = None,
    ) -> RequestState:
        """Queue a request.

        Args:
            request: the request.
            on_reply: called with its reply.
            forced: tokens that are scored; none are sampled then.
            prompts: its prompts, if they are rendered already.
        """
        self._arrived += 1
        output = ReplyText(self._detokenizer, request.sampling.stop)
        state = RequestState(request, output, prompts, on_reply, forced, self._arrived)
        if request.tools and request.speaker == "assistant" and not forced:
            state.tool_syntax = self.template.tool_syntax
        self.queue.append(request.client, state)
        return state

    def step(self) -> list[RequestState]:
        """Run one pass, and return the requests that it completed.

        Their `on_reply` is called last, when the engine is between passes: it may submit further requests, or even wait
        for some of its own.
        """
        self._done = []
        self._admit()
        if self.active:
            self._run_pass()
        done, self._done = self._done, []
        for state in done:
            if state.on_reply is not None and state.reply is not None:
                state.on_reply(state.reply)
        return done

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.active and not self.queue

    def cancel(self, state: RequestState) -> None:
        """Drop a request; its reply never comes."""
        if not self.queue.remove(state.request.client, state) and state in self.active:
            self._release(state)

    def reset(self) -> None:
        """Drop all requests, as after an interruption."""
        self.queue.clear()
        self.active.clear()
        self._sequences.clear()
        self.runner.arena.release_all()

    def _admit(self) -> None:
        """Move requests from the queue into the batch while there are free slots."""
        taken = {sequence.slot for sequence in self._sequences}
        free = [slot for slot in range(self.max_batch) if slot not in taken]
        copies = self.pass_copies
        while self.queue and free and copies > 0:
            state = self.queue.first
            prompts = state.prompts = state.prompts or self.render(state.request)
            if len(prompts.renderings) > len(free) or not self._fits(state):  # not enough room yet
                break
            self.queue.popleft()
            if prompts.refusal is not None:
                state.reply = replace(prompts.refusal, seed=state.request.sampling.seed)
                self._done.append(state)
                continue
            try:
                prepare_sequences(state, prompts, self.template, self.pool)
            except ModelError as error:
                self._finish(state, "error", error.failure)
                continue
            longest = max(sequence.prompt_length for sequence in state.sequences)
            if longest + max(1, len(state.forced)) > self.context_length:
                self._finish(state, "context")
                continue
            for sequence in state.sequences:
                place_sequence(sequence, free.pop(0), self._sequences, self.runner.arena)
                self._sequences.append(sequence)
                copies -= sequence.computed
            self.active.append(state)
        compact(self._sequences, self.runner.arena)
        self.runner.arena.shrink({sequence.slot: len(sequence.tokens) for sequence in self._sequences})

    def _fits(self, state: RequestState) -> bool:
        """Whether the batch stays within its memory with one request more; one alone always fits."""
        return not self.active or bytes_with(state, self.active, self.runner.arena) <= self.batch_bytes

    def _run_pass(self) -> None:
        chunks = reading_order(self._schedule.chunks(self.active, self.pass_tokens), self.runner.arena)
        logits = self.runner.run(chunks)
        self.passes += 1
        copy_to_followers(self._sequences, self.runner.arena, self.pass_copies)
        for state in list(self.active):
            if state.awaits_prefix and state.up_to_date:
                choose_prefixes(state, self.template, self.runner.arena)
                if state.primary.prompt_length + max(1, len(state.forced)) > self.context_length:
                    self._finish(state, "context")
        computed: dict[Sequence, range] = {}
        for chunk, logits_W_V in zip(chunks, logits, strict=True):
            if chunk.logit_positions:  # else its prompt goes on, or has just got a prefix
                chunk.sequence.pending_logits.append(logits_W_V)
                computed[chunk.sequence] = chunk.logit_positions
        self._use_logits(computed)

    def _use_logits(self, computed: dict[Sequence, range]) -> None:
        """Score or draw the next token of every request whose sequences are all up to date.

        Args:
            computed: positions whose logits this pass has computed, by sequence.
        """
        ready: list[RequestState] = []
        for state in list(self.active):
            if state.forced and not state.contrast_sequences:
                if positions := computed.get(state.primary):
                    self._score(state, positions)
            elif state.up_to_date and all(sequence.pending_logits for sequence in state.sequences):
                if state.forced:
                    self._score(state, range(state.primary.prompt_length - 1, len(state.primary.tokens)))
                else:
                    ready.append(state)
        if ready:
            self.drawn_tokens += len(ready)
            self._decode(ready)

    def _decode(self, states: list[RequestState]) -> None:
        """Draw the next token of these requests; one that the model returned NaN for fails alone."""
        logits_R_V = next_logits(states)
        nan_R = nan_rows(states, logits_R_V)
        if nan_R.any():
            self._fail_with_nan([states[r] for r in nan_R.nonzero().flatten().tolist()])
            states = [state for state in states if state.reply is None]
            logits_R_V = logits_R_V[~nan_R]
        if states:
            for state, token in zip(states, next_tokens(states, logits_R_V), strict=True):
                self._append_token(state, token)

    def _score(self, state: RequestState, positions: range) -> None:
        """Score the forced tokens that follow these positions."""
        if any(logits_W_V.isnan().any() for sequence in state.sequences for logits_W_V in sequence.pending_logits):
            self._fail_with_nan([state])
            return
        score_tokens(state, positions)
        if positions.stop == len(state.primary.tokens):
            self._finish(state, "length")

    def _fail_with_nan(self, states: list[RequestState]) -> None:
        """Let requests fail that the model returned NaN for, and leave no NaN in their slots."""
        for state in states:
            self._finish(state, "error", Failure("model", "nan_logits", "the model returned NaN logits"))
        self.runner.arena.scrub({sequence.slot: sequence.computed for sequence in self._sequences})

    def _append_token(self, state: RequestState, token: int) -> None:
        """Add a token to a reply, and end the reply if it is complete."""
        sampling, matcher = state.request.sampling, state.matcher
        if matcher is not None and (problem := advance(matcher, token)):
            self._finish(state, "error", Failure("model", "response_format", problem))
            return
        for sequence in state.sequences:
            sequence.append(token)
        tokens = state.generated
        if token in self.stop_ids and not sampling.ignore_eos:
            state.output.update(tokens[:-1])
            self._finish(state, "stop")
            return
        complete = matcher is not None and matcher.is_stopped()
        last = complete or len(tokens) >= sampling.max_new_tokens or len(state.primary.tokens) >= self.context_length
        if sampling.stop or last or state.on_reply is None:  # else nobody looks at the text yet
            state.output.update(tokens)
        if state.output.stopped or complete:
            self._finish(state, "stop")
        elif len(tokens) >= sampling.max_new_tokens:
            self._finish(state, "length")
        elif last:
            self._finish(state, "context")

    def _finish(self, state: RequestState, finish: FinishReason, failure: Failure | None = None) -> None:
        """Give a request its reply, keep what was read of it for its session, and release its slots."""
        state.reply = state.make_reply(finish, failure)
        if state in self.active:
            if finish != "error" and state.request.keep:
                for sequence in state.sequences:
                    update_cache(sequence, self.runner.arena, self.pool)
            self._release(state, copy=finish != "error")
        self._done.append(state)

    def _release(self, state: RequestState, *, copy: bool = True) -> None:
        self.active.remove(state)
        for sequence in state.sequences:
            sequence.status = SequenceStatus.FINISHED
            self._sequences.remove(sequence)
        for sequence in state.sequences:
            release_followers(sequence, self._sequences, self.runner.arena, copy=copy)
            self.runner.arena.release(sequence.slot)
