"""Continuous batching: requests wait in a queue, take a slot, read their prompt, decode, and make room for the next.

Nothing is read twice. A request starts from its session's cache, as far as its tokens agree with it; requests with the
same prompt (several samples of one probe) read it once.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import replace

import torch

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.base import FinishReason, Reply, Request
from telic.models.cache import CachePool, KeyValueCache, take_prefix
from telic.models.compatibility import say, say_companions
from telic.models.control import Row
from telic.models.forward import Chunk, Runner, Track, control_key
from telic.models.generation import Generation, controlled_logits
from telic.models.sampling import Draws, draw, fresh_seed
from telic.rendering import Template

__all__ = ["Engine", "Generation"]

PROMPT_CHUNK = 512
"""Prompt tokens of one row read in one pass, which bounds the memory of the attention weights."""


class Engine:
    """Serves requests on one model, many at once.

    Args:
        runner: runs the forward passes.
        template: renders dialogues.
        max_batch: rows that are computed together.
        context: longest row, in tokens.
        stop_ids: tokens that end a reply.
        pass_tokens: prompt tokens read in one pass over all rows, about: fewer bring the first of many requests to its
            first token sooner, more are read a little faster in all. A row reads `PROMPT_CHUNK` at most.
        pool: keeps the sessions' caches within a budget.
    """

    def __init__(
        self,
        runner: Runner,
        template: Template,
        *,
        max_batch: int,
        context: int,
        stop_ids: frozenset[int],
        pool: CachePool,
        pass_tokens: int = 1024,
    ) -> None:
        self.runner, self.template = runner, template
        self.max_batch, self.context, self.stop_ids, self.pool = max_batch, context, stop_ids, pool
        self.pass_tokens = pass_tokens
        self.queue: deque[Generation] = deque()
        self.active: list[Generation] = []
        self._ended: list[Generation] = []
        self._arrived = 0
        self.passes = 0
        """Forward passes so far."""
        self.decoded_rows = 0
        """Rows decoded, summed over passes; over `passes * max_batch` it is the batch's occupancy."""

    def submit(
        self, request: Request, done: Callable[[Reply], None] | None = None, forced: tuple[int, ...] = ()
    ) -> Generation:
        """Queue a request; `done` is called with its reply. With `forced` tokens, these are scored instead."""
        self._arrived += 1
        generation = Generation(request, done, forced=forced, arrival=self._arrived)
        self.queue.append(generation)
        return generation

    def step(self) -> list[Generation]:
        """Run one pass, and return the requests that it brought to their end.

        What was asked to be told of them is told last, when the engine is between passes: it may submit further
        requests, or even wait for some of its own.
        """
        self._ended = []
        self._admit()
        if self.active:
            self._pass()
        ended, self._ended = self._ended, []
        for generation in ended:
            if generation.done is not None and generation.reply is not None:
                generation.done(generation.reply)
        return ended

    @property
    def idle(self) -> bool:
        """Whether there is nothing left to do."""
        return not self.active and not self.queue

    def _pass(self) -> None:
        chunks = self._plan()
        logits = self.runner.run([chunk for _, chunk in chunks])
        self.passes += 1
        self._follow_leaders()
        for generation in [g for g in self.active if g.unsteered and not g.follows]:
            if all(stream.read for stream in generation.streams):
                self._steer(generation)
        ready = []
        for (generation, chunk), rows in zip(chunks, logits, strict=True):
            if not chunk.wanted:  # its prompt goes on, or was steered
                continue
            if generation.companions or generation.follows:
                generation.pending.append(rows)
            elif generation.forced:
                self._score(generation, chunk, rows)
            else:
                ready.append((generation, rows[-1]))
        for generation in [g for g in self.active if g.companions and all(stream.read for stream in g.streams)]:
            assert generation.track is not None
            if generation.forced:
                whole = Chunk(generation.track, generation.prompt_length - 1, len(generation.track.tokens))
                self._score(generation, whole, torch.cat(generation.pending))
            else:
                ready.append((generation, generation.pending[-1][-1]))
        if ready:
            self.decoded_rows += len(ready)
            self._decode([g for g, _ in ready], torch.stack([row for _, row in ready]))

    def cancel(self, generation: Generation) -> None:
        """Give up on a request; its reply never comes."""
        if generation in self.queue:
            self.queue.remove(generation)
        elif generation in self.active:
            self._release(generation)

    def reset(self) -> None:
        """Give up on everything, as after an interruption."""
        self.queue.clear()
        self.active.clear()

    # Admission

    def _admit(self) -> None:
        taken = {g.track.slot for g in self.active if g.track}
        free = [slot for slot in range(self.max_batch) if slot not in taken]
        while self.queue and free:
            generation = self.queue.popleft()
            try:
                wanted = say_companions(generation.request)
                if len(free) <= len(wanted) < self.max_batch:  # not yet room for all its streams
                    self.queue.appendleft(generation)
                    break
                self._prepare(generation)
                self._prepare_companions(generation, wanted)
            except ModelError as error:
                self._finish(generation, "error", error=str(error))
                continue
            longest = max(stream.prompt_length for stream in generation.streams)
            if longest + max(1, len(generation.forced)) > self.context:
                self._finish(generation, "context")
                continue
            for stream in generation.streams:
                self._place(stream, free.pop(0))
        self._compact()
        self.runner.arena.fit(max((len(g.track.tokens) for g in self.active if g.track), default=0))

    def _prepare_companions(self, generation: Generation, wanted: Sequence[tuple[int, tuple[Message, ...]]]) -> None:
        """Make the further streams that controls want."""
        request = generation.request
        if len(wanted) >= self.max_batch:
            names = " and ".join(dict.fromkeys(repr(request.controls[owner].name) for owner, _ in wanted))
            rows = f"a reply takes {len(wanted) + 1} rows, and this model's batch has {self.max_batch}"
            raise ModelError(f"{names}: {rows}")
        drawn = replace(request.sampling, seed=generation.seed)
        for place, (owner, messages) in enumerate(wanted):
            session = None if request.session is None else request.session.companion(place)
            twin = replace(request, sampling=drawn, readings=frozenset(), session=session)
            stream = Generation(twin, forced=generation.forced, owner=owner, said=messages, arrival=generation.arrival)
            generation.companions.append(stream)
            self._prepare(stream)

    def _prepare(self, generation: Generation) -> None:
        """Render the request and find out what it can take over from its session's cache."""
        request = generation.request
        rendering = self.template.render(say(request) if generation.said is None else generation.said)
        memory = request.session.memory if request.session else {}
        generation.seed = fresh_seed() if request.sampling.seed is None else request.sampling.seed
        generation.draws = Draws(generation.seed)
        row = Row(rendering, len(rendering.token_ids), deepcopy(memory), seed=generation.seed)
        track = generation.track = Track([], row, request.controls, request.readings)
        steering = [control.steers_from_state for control in request.controls]
        generation.unsteered = any(steering)
        if generation.unsteered and not generation.follows:
            track.readings |= {"state"}
        generation.insertions = [
            control.embeddings(row) if "embeddings" in control.points and not steers else ()
            for control, steers in zip(request.controls, steering, strict=True)
        ]
        self._lay_out(generation)
        cache = request.session.cache if request.session else None
        if isinstance(cache, KeyValueCache) and cache.key == control_key(request):
            # The last token is always computed: its logits start the reply.
            generation.cached = min(cache.common_prefix(track.tokens), generation.prompt_length - 1)
            track.reused = take_prefix(cache.segments, generation.cached)
            self.pool.touch(cache)

    def _lay_out(self, generation: Generation) -> None:
        """Lay out the prompt and, unless there are prefix tokens to come in between, what is given of the reply."""
        track = generation.track
        assert track is not None
        track.lay_out([item for insertions in generation.insertions for item in insertions])
        begun = "" if generation.unsteered else generation.request.prefix
        if begun:
            track.tokens += self.template.tokenizer(begun, add_special_tokens=False)["input_ids"]
        generation.prompt_length = track.row.prompt_length = len(track.tokens)
        track.keep_from = len(track.tokens) - 1
        if not generation.unsteered:
            track.tokens += generation.forced

    def _steer(self, generation: Generation) -> None:
        """Let the controls that waited for the state decide on their prefix tokens, and go on with those."""
        assert generation.track is not None
        state_D = torch.from_numpy(generation.track.state)
        for stream in generation.streams:  # the second one gets what the first one's state calls for
            track = stream.track
            assert track is not None
            unsteered, ready = track.tokens, track.keep_from
            for index, control in enumerate(stream.request.controls):
                if control.steers_from_state:
                    stream.insertions[index] = control.steer(track.row, state_D)
                    if stream.insertions[index] and stream.request.session is not None and stream.request.keep:
                        # But for the last token: what controls note of it is noted again, with the reply after it.
                        stream.kept = stream.kept or self._stored(stream, ready)
            stream.unsteered = False
            self._lay_out(stream)
            track.computed = min(track.computed, _common_length(unsteered, track.tokens))
            if track.computed < len(unsteered):  # what controls note from here on is of a prompt with a prefix in it
                stream.noted = deepcopy(track.row.memory)
            stream.cached = min(stream.cached, track.computed)
            if track.keep_from > ready:  # what was read where the prompt ended is not at its end any more
                stream.pending.clear()
                track.state, track.mass_L, track.mass_count = None, None, 0
            track.readings = stream.request.readings
            track.state = track.state if "state" in track.readings else None
        if generation.prompt_length + max(1, len(generation.forced)) > self.context:
            self._finish(generation, "context")

    def _place(self, generation: Generation, slot: int) -> None:
        track = generation.track
        assert track is not None
        track.slot = slot
        generation.leader = next((g for g in self.active if self._same_prompt(g, generation)), None)
        if generation.leader is None:
            self.runner.arena.ensure(slot + 1, generation.prompt_length)
            self.runner.arena.load(slot, track.reused, generation.cached)
            track.computed = generation.cached
        self.active.append(generation)

    @staticmethod
    def _same_prompt(leader: Generation, other: Generation) -> bool:
        assert leader.track is not None
        assert other.track is not None
        return (
            leader.leader is None
            and leader.track.computed < leader.prompt_length - 1  # not read yet, so that reading it is still to save
            and leader.prompt_length == other.prompt_length
            and leader.track.tokens[: leader.prompt_length] == other.track.tokens[: other.prompt_length]
            and not leader.track.embeddings
            and control_key(leader.request) == control_key(other.request)
            and (
                leader.request.session is other.request.session
                or not (leader.track.row.memory or other.track.row.memory)
            )
        )

    def _follow_leaders(self) -> None:
        """Give what a leader has read to those who wait for it."""
        for generation in self.active:
            leader, track = generation.leader, generation.track
            if leader is None or track is None or leader.track is None:
                continue
            if leader.track.computed >= generation.prompt_length - 1:
                self.runner.arena.ensure(track.slot + 1, generation.prompt_length)
                self.runner.arena.move(leader.track.slot, track.slot, generation.prompt_length - 1)
                track.computed = generation.cached = generation.prompt_length - 1
                track.reused = ()
                track.row.memory = deepcopy(leader.track.row.memory)  # what controls noted while it read
                generation.leader = None

    def _compact(self) -> None:
        """Keep the rows in consecutive slots, so that attention runs over no empty ones."""
        self.active.sort(key=lambda g: g.track.slot if g.track else 0)
        taken = {g.track.slot for g in self.active if g.track}
        for generation in reversed(self.active):
            track = generation.track
            assert track is not None
            free = next((slot for slot in range(track.slot) if slot not in taken), None)
            if free is None:
                break
            self.runner.arena.move(track.slot, free, track.computed)
            taken.remove(track.slot)
            taken.add(free)
            track.slot = free
        self.active.sort(key=lambda g: g.track.slot if g.track else 0)

    # Decoding

    def _plan(self) -> list[tuple[Generation, Chunk]]:
        """What each row computes next: single tokens first, in the order of their slots; then prompts, as they came."""
        single: list[tuple[Generation, Chunk]] = []
        longer: list[tuple[Generation, Chunk]] = []
        budget = self.pass_tokens
        for generation in sorted(self.active, key=lambda g: g.arrival):
            track = generation.track
            assert track is not None
            if generation.leader is not None or generation.read:  # one of two streams may be further than the other
                continue
            end = min(len(track.tokens), track.computed + PROMPT_CHUNK)
            size = end - track.computed
            if size == 1:
                single.append((generation, Chunk(track, track.computed, end)))
            elif budget > 0:
                budget -= size
                longer.append((generation, Chunk(track, track.computed, end)))
        return sorted(single, key=lambda item: item[1].sequence.slot) + longer

    def _decode(self, generations: Sequence[Generation], logits_R_V: torch.Tensor) -> None:
        broken = logits_R_V.amax(-1).isnan()
        for r, generation in enumerate(generations):
            for stream in generation.companions:
                broken[r] |= stream.pending[-1].isnan().any()
        if broken.any():
            for r in broken.nonzero().flatten().tolist():
                self._finish(generations[r], "error", error="the model computed what is not a number")
            live = {g.track.slot: g.track.computed for g in self.active if g.track}
            self.runner.arena.scrub(live)
            generations = [g for g, bad in zip(generations, broken.tolist(), strict=True) if not bad]
            logits_R_V = logits_R_V[~broken]
            if not generations:
                return
        others = [[stream.pending[-1][-1] for stream in g.companions] for g in generations]
        logits_R_V = controlled_logits(generations, logits_R_V, others)
        settings = [g.request.sampling for g in generations]
        tokens = draw(logits_R_V, settings, [g.draws for g in generations if g.draws is not None])
        wanted = [r for r, setting in enumerate(settings) if setting.logprobs]
        if wanted:
            log_probabilities = torch.log_softmax(logits_R_V[wanted], dim=-1)
            for place, r in enumerate(wanted):
                generations[r].logprobs.append(float(log_probabilities[place, tokens[r]]))
        for generation, token in zip(generations, tokens, strict=True):
            self._take(generation, token)

    def _score(self, generation: Generation, chunk: Chunk, logits_W_V: torch.Tensor) -> None:
        """Look up the forced tokens in the logits of the positions before them."""
        track = chunk.sequence
        streams = [torch.cat(stream.pending) for stream in generation.companions]
        for place, (position, logits_V) in enumerate(zip(chunk.wanted, logits_W_V, strict=True)):
            track.row.generated = track.tokens[generation.prompt_length : position + 1]
            others = [stream_W_V[place] for stream_W_V in streams]
            logits_V = controlled_logits([generation], logits_V[None], [others])[0]
            if position + 1 < len(chunk.sequence.tokens):
                token = chunk.sequence.tokens[position + 1]
                generation.logprobs.append(float(torch.log_softmax(logits_V, dim=-1)[token]))
                generation.greedy &= int(logits_V.argmax()) == token
        if chunk.end == len(chunk.sequence.tokens):
            self._finish(generation, "length")

    def _take(self, generation: Generation, token: int) -> None:
        """Add a token to a reply, and end the reply if it is over."""
        track, sampling = generation.track, generation.request.sampling
        assert track is not None
        for stream in generation.streams:
            assert stream.track is not None
            stream.track.tokens.append(token)
            stream.track.row.generated.append(token)
            stream.pending.clear()
        if token in self.stop_ids and not sampling.ignore_eos:
            self._finish(generation, "stop")
            return
        count = len(generation.generated)
        last = count >= sampling.max_new_tokens or len(track.tokens) >= self.context
        if sampling.stop or last or generation.done is None:
            generation.text = self._text(generation.generated)
        cut = min((at for at in map(generation.text.find, sampling.stop) if at >= 0), default=-1)
        if cut >= 0:
            generation.text = generation.text[:cut]
            self._finish(generation, "stop")
        elif count >= sampling.max_new_tokens:
            self._finish(generation, "length")
        elif last:
            self._finish(generation, "context")

    def _text(self, tokens: Sequence[int]) -> str:
        # Some tokenizers tidy up spaces unless told not to, and the text would not be what the model said.
        decode = self.template.tokenizer.decode
        return str(decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def _finish(self, generation: Generation, reason: FinishReason, error: str | None = None) -> None:
        track = generation.track
        tokens = generation.generated
        if reason == "stop" and tokens and tokens[-1] in self.stop_ids and not generation.request.sampling.ignore_eos:
            generation.text = self._text(tokens[:-1])
        mass = None
        if track is not None and track.mass_L is not None:
            mass = (track.mass_L / track.mass_count).cpu().numpy().copy()
        generation.reply = Reply(
            text=generation.text,
            finish=reason,
            prompt_tokens=generation.prompt_length,
            cached_tokens=generation.cached,
            new_tokens=len(tokens),
            token_ids=tuple(tokens),
            logprobs=tuple(generation.logprobs) if generation.logprobs else None,
            state=track.state if track else None,
            attention=mass,
            error=error,
            seed=generation.seed,
            chosen=dict(track.row.chosen) if track else {},
        )
        if generation in self.active:
            if reason != "error":
                for stream in generation.streams:
                    self._save(stream)
            self._release(generation)
        self._ended.append(generation)

    def _save(self, generation: Generation) -> None:
        """Bring the session's cache and memory up to date."""
        request, track = generation.request, generation.track
        assert track is not None
        if request.session is None or not request.keep:
            return
        request.session.memory = track.row.memory if generation.noted is None else generation.noted
        cache = generation.kept or self._stored(generation, track.computed)
        request.session.cache = cache
        self.pool.touch(cache)

    def _stored(self, generation: Generation, length: int) -> KeyValueCache:
        """What was read of the row's first `length` tokens, copied out of the arena."""
        track = generation.track
        assert track is not None
        kept = sum(segment.tokens for segment in track.reused)
        segments = track.reused
        if length > kept:
            segments = (*segments, self.runner.arena.store(track.slot, kept, length))
        return KeyValueCache(tuple(track.tokens[:length]), segments, control_key(generation.request))

    def _release(self, generation: Generation) -> None:
        for stream in generation.companions:
            self._release(stream)
        self.active.remove(generation)
        for waiting in self.active:
            if waiting.leader is generation:  # gone before it had read the prompt: read it oneself
                waiting.leader, waiting.cached = None, 0
                if waiting.track is not None:
                    waiting.track.reused = ()


def _common_length(one: Sequence[int], other: Sequence[int]) -> int:
    """Number of leading tokens that two rows share."""
    return next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
