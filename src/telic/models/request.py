"""Requests to a model, and its replies."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from telic.dialogue import Message, ToolCall, ToolDefinition
from telic.errors import ConfigError, Failure, FailureKind, ModelError
from telic.models.control import Control
from telic.models.response_format import ResponseFormat
from telic.models.session_cache import SessionCache

__all__ = [
    "READINGS",
    "Continuation",
    "FinishReason",
    "OnReply",
    "Reply",
    "Request",
    "Sampling",
    "ScoredContinuation",
    "Speaker",
    "ToolChoice",
    "random_seed",
]

FinishReason = Literal["stop", "length", "context", "error"]
"""Why a reply ended: the model stopped, `max_new_tokens` was reached, the context is full, or the model failed."""

Speaker = Literal["assistant", "user"]
"""Who speaks in a reply. As the user, a model with a chat template writes the next message of the template's user."""

ToolChoice: TypeAlias = str
"""Whether the reply calls tools: `auto` (the model decides), `none`, `required`, or the name of the tool to call."""

READINGS = frozenset({"state", "reply_state", "attention"})
"""What can be read off a reply: `state`, the last hidden state at the reply's start; `reply_state`, that at its end;
`attention`, the mass of attention on the system prompt per layer."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is sampled."""

    max_new_tokens: int = 256
    """Upper limit on the tokens of the reply."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens with at least this mass."""
    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""
    min_p: float = 0.0
    """Keep tokens with at least this share of the most likely one's probability (arXiv 2407.01082); 0 keeps all."""
    seed: int | None = None
    """Same seed, same prompt, same reply, whatever else is in the batch; None chooses a new seed."""
    stop: tuple[str, ...] = ()
    """Strings that end the reply; they are not part of it."""
    logprobs: bool = False
    """Return the log-probability of every sampled token, under the distribution before temperature and nucleus, and
    within the request's `response_format`."""
    ignore_eos: bool = False
    """Ignore tokens that end a reply; stop strings still count (for benchmarks of equal work)."""

    def __post_init__(self) -> None:
        checks = {
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 or more"),
            "min_p": (0 <= self.min_p <= 1, "at least 0 and at most 1"),
        }
        for name, (good, expected) in checks.items():
            if not good:
                raise ConfigError(f"sampling: {name} is {getattr(self, name)!r}; expected {expected}")


@dataclass(slots=True)
class Request:
    """One reply to be generated: the messages, how to sample, the controls that act, and what to read."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    controls: tuple[Control, ...] = ()
    readings: frozenset[str] = frozenset()
    """A subset of `READINGS`."""
    cache: SessionCache | None = None
    """The session's: what it holds is not read again, and it is brought up to date after the reply."""
    keep: bool = True
    """Whether the cache is brought up to date; False for a branch that is thrown away."""
    choices: tuple[str, ...] = ()
    """The reply must be one of these: sampled by their likelihood, at the sampling's temperature."""
    reply_prefix: str = ""
    """The text that the reply starts with; `Reply.text` does not repeat it."""
    response_format: ResponseFormat | None = None
    """The form that `Reply.text` must have; one that ends early (`length`, a stop string) has the beginning of it."""
    speaker: Speaker = "assistant"
    """Whose next message is generated. The user's needs a model with a chat template (`HasTemplate`)."""
    client: str = ""
    """Who asks. Clients take turns: one with many or long requests does not keep the others waiting."""
    cache_salt: str = ""
    """Only requests with the same salt share what was read of equal prompts (vLLM's field of this name), so that
    nobody can find out what another has asked."""
    tools: tuple[ToolDefinition, ...] = ()
    """The tools that the reply may call."""
    tool_choice: ToolChoice = "auto"
    """Whether it calls them."""

    def __post_init__(self) -> None:
        if self.choices and (self.reply_prefix or not all(self.choices) or len(set(self.choices)) < len(self.choices)):
            raise ConfigError(
                f"choices are {self.choices!r}; expected different texts, none empty, and no reply_prefix"
            )
        if self.tool_choice not in {"auto", "none", *(tool.name for tool in self.tools)} and not (
            self.tool_choice == "required" and self.tools
        ):
            names = ", ".join(tool.name for tool in self.tools) or "none"
            expected = f"'auto', 'none', 'required', or one of the tools ({names})"
            raise ConfigError(f"tool_choice is {self.tool_choice!r}; expected {expected}")
        if self.response_format is not None and (self.choices or self.sampling.ignore_eos):
            other = "choices" if self.choices else "ignore_eos"
            raise ConfigError(f"response_format cannot be combined with {other}; remove one of them")
        unknown = self.readings - READINGS
        if unknown:
            raise ConfigError(f"unknown reading {sorted(unknown)[0]!r}; known: {', '.join(sorted(READINGS))}")

    @property
    def may_call_tools(self) -> bool:
        """Whether the reply may call a tool."""
        return bool(self.tools) and self.tool_choice != "none" and self.speaker == "assistant"


@dataclass(frozen=True, slots=True)
class Reply:
    """A model's answer to one request."""

    text: str
    finish: FinishReason
    prompt_tokens: int = 0
    """Tokens in the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt that came from the session's cache, or from another request with the same prompt and the
    same `cache_salt`."""
    new_tokens: int = 0
    """Tokens generated."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    state: Any = None
    """float32 array [hidden]: last hidden state of the prompt's last token, when asked for."""
    reply_state: Any = None
    """float32 array [hidden]: last hidden state of the reply's last token that was computed, when asked for: of a reply
    that was cut off, that is the last token but one. A `reply_prefix` counts as part of the reply."""
    attention: Any = None
    """float32 array [layers]: attention mass on the system prompt, mean over heads and the reply's tokens."""
    failure: Failure | None = None
    """Why there is no usable reply: with `finish == "error"`, or where the prompt left no room for one."""
    seed: int | None = None
    """The seed that was used; None where a remote server chose it."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What a control decided before the reply: a planner's `state`, `action` and `act`."""
    tool_calls: tuple[ToolCall, ...] = ()
    """The tools that the model calls after it has said `text`. A call may be malformed (`ToolCall.parsed`)."""

    def __post_init__(self) -> None:
        # Whoever made it, no reply is without a usable text and without the reason.
        if self.failure is None and self.finish == "error":
            object.__setattr__(self, "failure", Failure("model", "exception", "the model gave no reason"))
        if self.failure is None and self.finish == "context" and not self.text:
            detail = "no room for a reply in the model's context"
            object.__setattr__(self, "failure", Failure("model", "context_full", detail))

    def __str__(self) -> str:
        return self.text

    @property
    def message(self) -> Message:
        """The reply as a message of the dialogue."""
        return Message(role="assistant", content=self.text, tool_calls=self.tool_calls)

    def raise_if_failed(self, name: str) -> None:
        """Raise the failure, if there is one.

        Args:
            name: what the message calls the model.

        Raises:
            ModelError: the reply has a failure.
        """
        if self.failure is not None:
            raise ModelError(f"{name} failed to reply: {self.failure.detail}", self.failure.kind)

    def failed(self, kind: FailureKind, detail: str) -> Reply:
        """The same reply marked as failed."""
        return replace(self, finish="error", failure=Failure("model", kind, detail))


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text to be scored, as the assistant's reply to `messages`."""

    messages: tuple[Message, ...]
    text: str


@dataclass(frozen=True, slots=True)
class ScoredContinuation:
    """Log-likelihood of a continuation."""

    logprob: float
    """Sum over the continuation's tokens, in nats."""
    tokens: int
    """Number of tokens summed over."""
    greedy: bool
    """Whether every token was the model's most likely one."""


OnReply = Callable[[int, Reply], Iterable[Request] | None]
"""Called with the index of a request and its reply; may return further requests."""


def random_seed() -> int:
    """Choose a seed for a request that has none; the reply reports it, so that it can be repeated."""
    return secrets.randbits(31)
