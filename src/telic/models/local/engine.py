"""Continuous batching: requests wait in a queue, get a slot, read their prompt, decode, and make room for the next."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from telic.errors import Failure, ModelError
from telic.models.compatibility import contrast_prompts
from telic.models.local.admission import (
    compact,
    copy_to_followers,
    place_sequence,
    prepare_sequences,
    refuse_too_many_rows,
)
from telic.models.local.cache import CachePool
from telic.models.local.decoding import nan_rows, next_logits, next_tokens, score_tokens
from telic.models.local.forward import Chunk, Runner
from telic.models.local.prefixes import choose_prefixes
from telic.models.local.sequences import RequestState, Sequence, SequenceStatus
from telic.models.local.session_caches import update_cache
from telic.models.request import FinishReason, Reply, Request
from telic.rendering import Template

__all__ = ["Engine"]

PROMPT_CHUNK = 512
"""Prompt tokens of one sequence read in one pass, which bounds the memory of the attention weights."""


class Engine:
    """Serves requests on one model, many at once.

    Args:
        runner: runs the forward passes.
        template: renders dialogues.
        max_batch: sequences that are computed together.
        context_length: longest sequence, in tokens.
        stop_ids: tokens that end a reply.
        pass_tokens: prompt tokens read in one pass over all sequences, about: fewer bring the first of many requests to
            its first token sooner, more are read a little faster in all. A sequence reads `PROMPT_CHUNK` at most.
        pool: keeps the sessions' caches within a budget.
    """

    def __init__(
        self,
        runner: Runner,
        template: Template,
        *,
        max_batch: int,
        context_length: int,
        stop_ids: frozenset[int],
        pool: CachePool,
        pass_tokens: int = 1024,
    ) -> None:
        self.runner, self.template = runner, template
        self.max_batch, self.context_length, self.stop_ids, self.pool = max_batch, context_length, stop_ids, pool
        self.pass_tokens = pass_tokens
        self.queue: deque[RequestState] = deque()
        """Requests that have no slot yet."""
        self.active: list[RequestState] = []
        """Requests whose sequences are in the batch."""
        self._sequences: list[Sequence] = []
        """The batch: all sequences of the active requests, in the order of their slots."""
        self._done: list[RequestState] = []
        self._arrived = 0
        self.passes = 0
        """Forward passes so far."""
        self.drawn_tokens = 0
        """Tokens drawn so far; over `passes * max_batch` this is the batch's occupancy."""

    def submit(
        self, request: Request, on_reply: Callable[[Reply], None] | None = None, forced: tuple[int, ...] = ()
    ) -> RequestState:
        """Queue a request; `on_reply` is called with its reply. `forced` tokens are scored, and none are sampled."""
        self._arrived += 1
        state = RequestState(request, on_reply, forced, self._arrived)
        self.queue.append(state)
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
        if state in self.queue:
            self.queue.remove(state)
        elif state in self.active:
            self._release(state)

    def reset(self) -> None:
        """Drop all requests, as after an interruption."""
        self.queue.clear()
        self.active.clear()
        for sequence in self._sequences:
            self.runner.arena.release(sequence.slot)
        self._sequences.clear()

    def _admit(self) -> None:
        """Move requests from the queue into the batch while there are free slots."""
        taken = {sequence.slot for sequence in self._sequences}
        free = [slot for slot in range(self.max_batch) if slot not in taken]
        while self.queue and free:
            state = self.queue.popleft()
            try:
                contrast = contrast_prompts(state.request)
                refuse_too_many_rows(state.request, contrast, self.max_batch)
                if len(contrast) >= len(free):  # not enough slots yet for all its sequences
                    self.queue.appendleft(state)
                    break
                prepare_sequences(state, contrast, self.template, self.pool)
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
            self.active.append(state)
        compact(self._sequences, self.runner.arena)
        self.runner.arena.shrink({sequence.slot: len(sequence.tokens) for sequence in self._sequences})

    def _run_pass(self) -> None:
        chunks = self._schedule()
        logits = self.runner.run(chunks)
        self.passes += 1
        copy_to_followers(self._sequences, self.runner.arena)
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

    def _schedule(self) -> list[Chunk]:
        """What each sequence computes next: single tokens, equal prefixes together; then prompts, as they came."""
        single: list[Chunk] = []
        longer: list[Chunk] = []
        budget = self.pass_tokens
        for state in sorted(self.active, key=lambda state: state.arrival):
            for sequence in state.sequences:
                if sequence.status is SequenceStatus.FOLLOWING or sequence.up_to_date:
                    continue
                end = min(len(sequence.tokens), sequence.computed + PROMPT_CHUNK)
                size = end - sequence.computed
                if size == 1:
                    single.append(Chunk(sequence, sequence.computed, end))
                elif budget > 0:
                    budget -= size
                    longer.append(Chunk(sequence, sequence.computed, end))
        return sorted(single, key=lambda chunk: self.runner.arena.reading_order(chunk.sequence.slot)) + longer

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
        sampling = state.request.sampling
        for sequence in state.sequences:
            sequence.append(token)
        if token in self.stop_ids and not sampling.ignore_eos:
            self._finish(state, "stop")
            return
        count = len(state.generated)
        last = count >= sampling.max_new_tokens or len(state.primary.tokens) >= self.context_length
        if sampling.stop or last or state.on_reply is None:
            state.text = self._decoded_text(state.generated)
        cut = min((at for at in map(state.text.find, sampling.stop) if at >= 0), default=-1)
        if cut >= 0:
            state.text = state.text[:cut]
            self._finish(state, "stop")
        elif count >= sampling.max_new_tokens:
            self._finish(state, "length")
        elif last:
            self._finish(state, "context")

    def _decoded_text(self, tokens: list[int]) -> str:
        # Some tokenizers clean up spaces by default, which would change the model's output.
        decode = self.template.tokenizer.decode
        return str(decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _finish(self, state: RequestState, finish: FinishReason, failure: Failure | None = None) -> None:
        """Give a request its reply, keep what was read of it for its session, and release its slots."""
        tokens = state.generated
        if finish == "stop" and tokens and tokens[-1] in self.stop_ids and not state.request.sampling.ignore_eos:
            state.text = self._decoded_text(tokens[:-1])
        state.reply = state.make_reply(finish, failure)
        if state in self.active:
            if finish != "error" and state.request.keep:
                for sequence in state.sequences:
                    update_cache(sequence, self.runner.arena, self.pool)
            self._release(state)
        self._done.append(state)

    def _release(self, state: RequestState) -> None:
        self.active.remove(state)
        for sequence in state.sequences:
            sequence.status = SequenceStatus.FINISHED
            self.runner.arena.release(sequence.slot)
            self._sequences.remove(sequence)
        for follower in self._sequences:
            if follower.leader in state.sequences:  # gone before it had read the prompt: the follower reads it
                follower.cached, follower.reused = 0, ()
                follower.start_reading(0)
