"""The engine's data: requests, and the sequences of the batch that answer them.

A request has one sequence, its *primary* one, and one more for each contrast prompt of its controls. All of them get
the same reply. A sequence is made when its request is admitted, and goes through the statuses of `SequenceStatus`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import torch

from telic.dialogue import ToolCall
from telic.errors import Failure
from telic.models.control import Control, ControlContext, Insertion
from telic.models.local.cache import KeyValueCache, Segment
from telic.models.local.prompts import Prompts
from telic.models.local.reply_text import ReplyText
from telic.models.local.sampling import RandomStream
from telic.models.request import FinishReason, Reply, Request
from telic.models.session_cache import SessionCache
from telic.rendering import Span
from telic.tool_syntax import ToolSyntax, count_calls

if TYPE_CHECKING:
    from llguidance import LLMatcher

__all__ = ["RequestState", "Sequence", "SequenceStatus"]


class SequenceStatus(Enum):
    """How far a sequence has come."""

    WAITING = auto()
    """Its prompt is rendered; it has no slot of the arena yet."""
    FOLLOWING = auto()
    """Another sequence, its leader, reads the same tokens; this one gets a copy of the keys and values."""
    READING_FOR_PREFIX = auto()
    """Its prompt is being read; controls then choose prefix tokens given the hidden state at its end."""
    READING = auto()
    """Its prompt is being read, prefix tokens included; the reply's first token comes next."""
    DECODING = auto()
    """The reply has begun."""
    FINISHED = auto()
    """The request has its reply, or was cancelled."""


@dataclass(slots=True, eq=False)
class Sequence:
    """One row of the batch: its tokens, where its keys and values are, and what acts on it."""

    context: ControlContext
    """What controls may see of it, the prompt's rendering and the reply's tokens among it."""
    controls: tuple[Control, ...] = ()
    readings: frozenset[str] = frozenset()
    cache: SessionCache | None = None
    """The session's, from which it starts and which it brings up to date."""
    cache_salt: str = ""
    """That of its request."""
    contrast_control: int | None = None
    """For a contrast prompt: the place of its control among the request's; None for the primary sequence."""
    status: SequenceStatus = SequenceStatus.WAITING
    leader: Sequence | None = None
    """While it is FOLLOWING: the sequence that reads what their prompts have in common."""
    shared: int = 0
    """Positions that it takes over from its leader."""

    tokens: list[int] = field(default_factory=list)
    """The prompt, then the reply. Negative ids stand for inserted embeddings."""
    insertions: list[Iterable[Insertion]] = field(default_factory=list)
    """What each of its controls inserts into the prompt."""
    embeddings: dict[int, torch.Tensor] = field(default_factory=dict)
    """Position to inserted embedding [hidden]."""
    shifts: list[tuple[int, int]] = field(default_factory=list)
    """(prompt token index, embeddings inserted before it), ascending: maps token indices to positions."""

    slot: int = -1
    """Its slot of the arena."""
    computed: int = 0
    """Positions whose keys and values are in the arena."""
    cached: int = 0
    """Positions that were taken over from the session's cache or from a leader."""
    reused: tuple[Segment, ...] = ()
    """The segments of the session's cache that it started from."""
    logits_from: int = 0
    """First position whose logits are wanted."""

    pending_logits: list[torch.Tensor] = field(default_factory=list)
    """Logits [positions, vocabulary] not used yet: they wait for those of the request's other sequences."""
    cache_without_prefix: KeyValueCache | None = None
    """What the session keeps where prefix tokens were chosen from the state: the prompt without them."""
    control_state_before_prefix: dict[str, Any] | None = None
    """Copy of the control state from before the prompt was read again with a prefix in it; the session keeps it."""

    mass_L: torch.Tensor | None = None
    """Sum over the reply's tokens of the attention mass on the system prompt, per layer."""
    mass_count: int = 0
    hidden_state: Any = None
    """float32 array [hidden]: the last hidden state of the prompt's last token, if asked for."""
    last_state_D: torch.Tensor | None = None
    """The last hidden state of the last token computed, if asked for."""

    @property
    def prompt_length(self) -> int:
        """Positions before the reply."""
        return self.context.prompt_length

    @property
    def generated(self) -> list[int]:
        """Token ids of the reply so far."""
        return self.tokens[self.prompt_length :]

    @property
    def up_to_date(self) -> bool:
        """Whether all its tokens so far were computed."""
        return self.computed == len(self.tokens)

    @property
    def chooses_prefix_from_state(self) -> bool:
        """Whether some control waits for the prompt to be read before it chooses its prefix tokens."""
        return any(control.prefix_from_state for control in self.controls)

    def start_reading(self, computed: int) -> None:
        """Read the prompt from a position on."""
        self.computed, self.leader = computed, None
        reading_for_prefix = self.chooses_prefix_from_state
        self.status = SequenceStatus.READING_FOR_PREFIX if reading_for_prefix else SequenceStatus.READING

    def follow(self, leader: Sequence, shared: int) -> None:
        """Wait until another sequence has read what the prompts have in common."""
        self.leader, self.shared, self.status = leader, shared, SequenceStatus.FOLLOWING

    def lay_out(self, insertions: Iterable[Insertion]) -> None:
        """Lay out the prompt: its tokens and the insertions, those at one index in the order of their controls."""
        rendering = self.context.rendering
        ordered = sorted(insertions, key=lambda item: item.index)
        self.tokens, self.embeddings = [], {}
        read = 0
        for item in ordered:
            self.tokens += rendering.token_ids[read : item.index]
            read = max(read, item.index)
            for vector in item.vectors:
                self.embeddings[len(self.tokens)] = vector
                # The same vector gets the same id, so that a cache is reused only where it agrees.
                self.tokens.append(-1 - hash(vector.detach().float().cpu().numpy().tobytes()) % 2**62)
        self.tokens += rendering.token_ids[read:]
        self.shifts = [(item.index, len(item.vectors)) for item in ordered]
        self.context.replies = self._earlier_replies()

    def append(self, token: int) -> None:
        """Add a token of the reply."""
        self.tokens.append(token)
        self.context.generated.append(token)
        self.pending_logits.clear()
        self.status = SequenceStatus.DECODING

    def positions(self, span: Span) -> Span:
        """A span of prompt tokens as positions."""
        moved = sum(count for index, count in self.shifts if index <= span.start)
        moved_end = sum(count for index, count in self.shifts if index < span.end)
        return Span(span.start + moved, span.end + moved_end)

    def in_replies(self, start: int, end: int) -> list[bool]:
        """Which positions belong to a reply, this one or an earlier one, or are the token from which it starts."""
        own = self.prompt_length - 1
        if start >= own:
            return [True] * (end - start)
        return [p >= own or any(span.start <= p < span.end for span in self.context.replies) for p in range(start, end)]

    def system_span(self, kind: str) -> Span:
        """Positions of the system prompt: `turn` or `content`."""
        rendering = self.context.rendering
        return self.positions(rendering.system_turn if kind == "turn" else rendering.system_content)

    def _earlier_replies(self) -> tuple[Span, ...]:
        rendering = self.context.rendering
        spans = [
            self.positions(span)
            for message, span in zip(rendering.messages, rendering.contents, strict=True)
            if message.role == "assistant" and span
        ]
        return tuple(Span(max(span.start - 1, 0), span.end) for span in spans)


@dataclass(slots=True, eq=False)
class RequestState:
    """A request in the engine: in its queue, then answered by sequences of the batch."""

    request: Request
    output: ReplyText
    """The text of the reply so far."""
    prompts: Prompts | None = None
    """The prompts in tokens; rendered at its admission, if they are not given."""
    on_reply: Callable[[Reply], None] | None = None
    """Called with the reply."""
    forced: tuple[int, ...] = ()
    """Token ids of a given reply, which is scored instead of drawn."""
    arrival: int = 0
    """Its number in the order of arrival."""
    seed: int = 0
    random: RandomStream = field(default_factory=lambda: RandomStream(0))
    """The random numbers of its reply."""
    matcher: LLMatcher | None = None
    """How far the reply has come in its response format, if it has one."""
    sequences: list[Sequence] = field(default_factory=list)
    """The primary one, then those of contrast prompts; empty while it is in the queue."""
    logprobs: list[float] = field(default_factory=list)
    greedy: bool = True
    """Whether each forced token was the most likely one."""
    reply: Reply | None = None
    """The reply, once there is one."""
    tool_syntax: ToolSyntax | None = None
    """How the model writes calls of tools; None if the request has no tools."""

    @property
    def primary(self) -> Sequence:
        """The sequence that the reply is drawn from."""
        return self.sequences[0]

    @property
    def contrast_sequences(self) -> list[Sequence]:
        """The sequences of contrast prompts."""
        return self.sequences[1:]

    @property
    def up_to_date(self) -> bool:
        """Whether all tokens of all its sequences were computed."""
        return all(sequence.up_to_date for sequence in self.sequences)

    @property
    def awaits_prefix(self) -> bool:
        """Whether its controls choose prefix tokens once the prompt is read."""
        return any(sequence.status is SequenceStatus.READING_FOR_PREFIX for sequence in self.sequences)

    @property
    def generated(self) -> list[int]:
        """Token ids of the reply so far."""
        return self.primary.generated if self.sequences else []

    @property
    def uncached_prompt_tokens(self) -> int:
        """Prompt tokens that were computed for it, those taken over from caches left out."""
        return self.primary.prompt_length - self.primary.cached if self.sequences else 0

    @property
    def final_length(self) -> int:
        """Characters of the growing reply that will not change, and are no call of a tool."""
        final = self.output.final_length
        return final if self.tool_syntax is None else self.tool_syntax.content_length(self.output.text[:final])

    def make_reply(self, finish: FinishReason, failure: Failure | None) -> Reply:
        """Put the reply together; one that the context has no room for is a failure as well."""
        sequence = self.primary if self.sequences else None
        prompt_tokens = sequence.prompt_length if sequence else 0
        text, calls = self.output.text, tuple[ToolCall, ...]()
        if finish == "context" and not text:
            detail = f"the prompt of {prompt_tokens} tokens leaves no room for a reply in the model's context"
            failure = Failure("model", "context_full", detail)
        elif self.tool_syntax is not None and failure is None:
            text, calls = self.tool_syntax.read(text, self.request.tools, count_calls(self.request.messages))
            calls = calls if self.request.may_call_tools else ()
        mass = None
        if sequence is not None and sequence.mass_L is not None:
            mass = (sequence.mass_L / sequence.mass_count).cpu().numpy().copy()
        return Reply(
            text=text,
            finish=finish,
            prompt_tokens=prompt_tokens,
            cached_tokens=sequence.cached if sequence else 0,
            new_tokens=len(self.generated),
            token_ids=tuple(self.generated),
            logprobs=tuple(self.logprobs) if self.logprobs else None,
            state=sequence.hidden_state if sequence else None,
            reply_state=_as_array(sequence.last_state_D) if sequence else None,
            attention=mass,
            failure=failure,
            seed=self.seed,
            chosen=dict(sequence.context.chosen) if sequence else {},
            tool_calls=calls,
        )


def _as_array(state_D: torch.Tensor | None) -> Any:
    return None if state_D is None else state_D.float().cpu().numpy().copy()
