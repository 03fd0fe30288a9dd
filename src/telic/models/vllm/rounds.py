"""From a request to Telic to requests to vLLM, and back to a reply: the same in this process and in a vLLM server.

A request takes one *round* of vLLM: a group of requests that ends with the reply. Where a control chooses prefix tokens
from the hidden state, a round before that one reads the state.
"""

from __future__ import annotations

import uuid
from collections.abc import Generator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from telic.errors import Failure, FailureKind, ModelError
from telic.models.grammars import GrammarCache
from telic.models.local.admission import lay_out_prompt, prepare_sequences
from telic.models.local.cache_pool import CachePool
from telic.models.local.constraint import advance
from telic.models.local.prompts import Prompts, TokenBound, render_prompts
from telic.models.local.reply_text import Detokenizer, ReplyText
from telic.models.local.sequences import RequestState
from telic.models.local.sequences import Sequence as TokenSequence
from telic.models.local.session_caches import control_key
from telic.models.request import Reply, Request
from telic.models.vllm.groups import GROUPS, ISSUED, Member, ReplayedStream, SequenceGroup
from telic.rendering import Template

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["READ", "EngineRequest", "Round", "RoundLimits", "RoundOutcome", "Rounds"]

READ = frozenset({"state", "reply_state"})
"""The readings that a worker takes."""


@dataclass(frozen=True, slots=True)
class RoundLimits:
    """What vLLM was started with."""

    context_length: int
    """Longest sequence, in tokens."""
    max_batch: int
    """Sequences computed together."""
    block_size: int
    """Tokens in a block of vLLM's cache."""
    blocks: int
    """Blocks of the cache."""
    hidden_size: int
    dtype: torch.dtype


@dataclass(frozen=True, slots=True)
class EngineRequest:
    """A request to vLLM."""

    id: str
    prompt: dict[str, Any]
    """vLLM's `TokensPrompt` or `EmbedsPrompt`."""
    params: dict[str, Any]
    """Arguments of vLLM's `SamplingParams`."""


@dataclass(frozen=True, slots=True)
class RoundOutcome:
    """How a round ended."""

    finish: str
    """vLLM's `finish_reason` of the primary member; `stop` also for a stop string."""
    cached_tokens: int = 0
    """Tokens of the primary prompt that were in vLLM's prefix cache."""


@dataclass(slots=True, eq=False)
class Round:
    """Requests to vLLM that are answered together."""

    state: RequestState
    group: SequenceGroup
    requests: list[EngineRequest]
    """The primary member's first."""
    stop_ids: frozenset[int]
    speaks: bool
    """Whether its tokens are the reply's; else only the state is read."""
    problem: str = ""
    """Why the reply cannot go on in its response format."""

    def take(self, tokens: Sequence[int]) -> bool:
        """Add tokens to the reply; returns whether it ends here: by a stop string, or by its response format."""
        if not self.speaks or self.state.forced:
            return False
        if self.group.failure:  # no token of the reply was drawn
            return True
        matcher = self.state.matcher
        for token in tokens:
            if matcher is not None and (problem := advance(matcher, token)):
                self.problem = problem
                return True
            for sequence in self.state.sequences:
                sequence.append(token)
            if matcher is not None and matcher.is_stopped():
                break
        self.state.output.update(self.said)
        return self.state.output.stopped or (matcher is not None and matcher.is_stopped())

    @property
    def tokens(self) -> int:
        """Tokens of the reply so far."""
        return len(self.state.forced or self.state.generated)

    @property
    def said(self) -> list[int]:
        """The reply's tokens without the one that ended it."""
        tokens = self.state.generated
        return tokens[:-1] if tokens and tokens[-1] in self.stop_ids else tokens


class Rounds:
    """Plans the rounds of requests on one model.

    Args:
        template: renders dialogues.
        limits: what vLLM was started with.
        stop_ids: tokens that end a reply.
        grammars: compiles response formats.
        as_wire: describes a group to workers in another process; None if they run in this one.
    """

    def __init__(
        self,
        template: Template,
        limits: RoundLimits,
        stop_ids: frozenset[int],
        grammars: GrammarCache,
        as_wire: Callable[[SequenceGroup], dict[str, Any]] | None = None,
    ) -> None:
        self.template, self.limits, self.stop_ids, self.grammars = template, limits, stop_ids, grammars
        self._as_wire = as_wire
        self.bound = TokenBound(template.tokenizer)
        self._detokenizer = Detokenizer(template.tokenizer, template.tool_syntax)
        self._pool = CachePool(0)  # sessions keep no keys and values: vLLM's prefix cache has them

    def render(self, request: Request) -> Prompts:
        """Render a request's prompts."""
        limits = self.limits
        return render_prompts(
            request,
            self.template,
            self.bound,
            self.grammars,
            max_batch=limits.max_batch,
            context_length=limits.context_length,
        )

    def open(self, request: Request, forced: tuple[int, ...] = (), prompts: Prompts | None = None) -> RequestState:
        """Make the state of a request; `play` answers it."""
        state = RequestState(request, ReplyText(self._detokenizer, request.sampling.stop), prompts, forced=forced)
        if request.tools and request.speaker == "assistant" and not forced:
            state.tool_syntax = self.template.tool_syntax
        return state

    def play(self, state: RequestState) -> Generator[Round, RoundOutcome, Reply]:
        """Yield the rounds of a request, one after the other; return its reply."""
        prompts = state.prompts = state.prompts or self.render(state.request)
        if prompts.refusal is not None:
            return replace(prompts.refusal, seed=state.request.sampling.seed)
        try:
            prepare_sequences(state, prompts, self.template, self._pool)
        except ModelError as error:
            return state.make_reply("error", error.failure)
        if state.primary.chooses_prefix_from_state:
            if (refusal := self._refusal(state)) is not None:
                return refusal
            reading = self._reading_round(state)
            outcome = yield reading
            if (failure := _failure(reading.group, outcome)) is not None or reading.group.state_D is None:
                return state.make_reply("error", failure)
            self._choose_prefixes(state, reading.group.state_D)
        if (refusal := self._refusal(state)) is not None:
            return refusal
        speaking = self._speaking_round(state)
        outcome = yield speaking
        return self._reply(speaking, outcome)

    def _refusal(self, state: RequestState) -> Reply | None:
        """The reply where vLLM could never compute the sequences together."""
        longest = max(sequence.prompt_length for sequence in state.sequences)
        if longest + max(1, len(state.forced)) > self.limits.context_length:
            return state.make_reply("context", None)
        size = self.limits.block_size
        needed = sum(-(-(s.prompt_length + self._room(state) + 2) // size) for s in state.sequences)
        if needed <= self.limits.blocks:
            return None
        prompts, cache = sum(s.prompt_length for s in state.sequences), self.limits.blocks * size
        detail = (
            f"{len(state.sequences)} prompts of {prompts} tokens in all, each with a reply of up to {self._room(state)}"
            f", do not fit into vLLM's cache of {cache} tokens; ask for a shorter reply, or give vLLM more memory"
        )
        return state.make_reply("error", Failure("model", "batch_too_small", detail))

    def _room(self, state: RequestState) -> int:
        """Tokens that the reply may have."""
        longest = max(sequence.prompt_length for sequence in state.sequences)
        wanted = len(state.forced) or state.request.sampling.max_new_tokens
        return min(wanted, self.limits.context_length - longest)

    def _reading_round(self, state: RequestState) -> Round:
        """The round that reads the last hidden state of the prompt."""
        sampling = replace(state.request.sampling, max_new_tokens=1, temperature=0.0, logprobs=False, ignore_eos=True)
        group = SequenceGroup(
            uuid.uuid4().hex, [state.primary], sampling, ReplayedStream(0), readings=frozenset({"state"})
        )
        return self._round(state, group, 1, speaks=False)

    def _speaking_round(self, state: RequestState) -> Round:
        """The round whose tokens are the reply."""
        request, stream = state.request, ReplayedStream(state.seed)
        group = SequenceGroup(
            uuid.uuid4().hex, state.sequences, request.sampling, stream, state.forced, request.readings & READ
        )
        if state.matcher is not None and not state.forced:
            assert state.prompts is not None
            group.response_format = state.prompts.response_format
            group.matcher = state.matcher.deep_copy()  # this process keeps its own, which ends the reply
        return self._round(state, group, self._room(state), speaks=True)

    def _round(self, state: RequestState, group: SequenceGroup, room: int, *, speaks: bool) -> Round:
        ignores = state.request.sampling.ignore_eos or bool(state.forced) or not speaks
        stops: frozenset[int] = frozenset() if ignores else self.stop_ids
        group.stop_id = min(stops, default=-1)
        wire = None if self._as_wire is None else self._as_wire(group)
        requests = []
        for place, sequence in enumerate(group.sequences):
            params = {
                "temperature": 0.0,  # Telic's processor has drawn the token by then
                "max_tokens": room,
                "stop_token_ids": sorted(stops),
                "ignore_eos": True,  # Telic's own list of tokens decides
                "detokenize": False,
                "extra_args": Member(group.id, place, group.size).as_args(wire),
                "skip_reading_prefix_cache": any(control.closed_loop for control in sequence.controls),
            }
            requests.append(EngineRequest(f"{group.id}/{place}", self._prompt(sequence), params))
        ISSUED.add(group.id)
        if self._as_wire is None:
            GROUPS[group.id] = group
        return Round(state, group, requests, stops, speaks)

    def close(self, played: Round) -> None:
        """Forget a round that has ended, or was given up."""
        ISSUED.discard(played.group.id)
        GROUPS.pop(played.group.id, None)

    def _prompt(self, sequence: TokenSequence) -> dict[str, Any]:
        """A sequence's prompt, without the tokens of its reply."""
        tokens = sequence.tokens[: sequence.prompt_length]
        prompt: dict[str, Any] = {"prompt_token_ids": tokens}
        if sequence.embeddings or sequence.chooses_prefix_from_state:
            # Mixed prompts share no prefix cache with plain ones. So the round that reads the state sends one, too.
            vectors_P_D = torch.zeros(len(tokens), self.limits.hidden_size, dtype=self.limits.dtype)
            for position, vector_D in sequence.embeddings.items():
                vectors_P_D[position] = vector_D.to(vectors_P_D)
            prompt = {
                "prompt_token_ids": [max(token, 0) for token in tokens],
                "prompt_is_token_ids": [token >= 0 for token in tokens],
                "prompt_embeds": vectors_P_D,
            }
        # Under controls that change keys and values, a prompt is another one.
        if salt := "|".join(filter(None, (sequence.cache_salt, control_key(sequence.controls)))):
            prompt["cache_salt"] = salt
        return prompt

    def _choose_prefixes(self, state: RequestState, state_D: torch.Tensor) -> None:
        """Let controls choose their prefix tokens; contrast prompts get what the primary prompt's state calls for."""
        for sequence in state.sequences:
            before = sequence.tokens
            for place, control in enumerate(sequence.controls):
                if control.prefix_from_state:
                    sequence.insertions[place] = control.steering_prefix(sequence.context, state_D)
            lay_out_prompt(state, sequence, self.template, final=True)
            if sequence.tokens[: len(before)] != before:  # controls may record a prompt with a prefix inside
                sequence.control_state_before_prefix = deepcopy(sequence.context.control_state)

    def _reply(self, played: Round, outcome: RoundOutcome) -> Reply:
        state, group, sampling = played.state, played.group, played.state.request.sampling
        state.primary.cached = outcome.cached_tokens
        state.logprobs, state.greedy = list(group.logprobs), group.greedy
        state.primary.last_state_D = group.reply_states[-1] if group.reply_states else None
        state.primary.hidden_state = None if group.state_D is None else group.state_D.numpy()
        failure = _failure(group, outcome)
        if failure is None and played.problem:
            failure = Failure("model", "response_format", played.problem)
        if failure is None and not state.forced:
            state.output.update(played.said)
        if failure is not None:
            return state.make_reply("error", failure)
        if state.request.keep:
            _keep_control_state(state)
        if outcome.finish == "stop":
            return state.make_reply("stop", None)
        full = not state.forced and len(state.generated) < sampling.max_new_tokens
        return state.make_reply("context" if full else "length", None)


def _failure(group: SequenceGroup, outcome: RoundOutcome) -> Failure | None:
    if group.failure == "nan_logits":
        return Failure("model", "nan_logits", "the model returned NaN logits")
    if group.failure == "response_format":
        return Failure("model", "response_format", group.failure_detail)
    if group.failure or outcome.finish not in ("stop", "length"):
        kind: FailureKind = "interrupted"
        return Failure("model", kind, "vLLM dropped the request: one of its prompts was cancelled or never arrived")
    return None


def _keep_control_state(state: RequestState) -> None:
    """Keep what controls carry on in the session."""
    for sequence in state.sequences:
        if sequence.cache is not None:
            before = sequence.control_state_before_prefix
            sequence.cache.control_state = sequence.context.control_state if before is None else before
