"""What every model is to the rest of Telic: requests in, replies out, sessions that hold a dialogue."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from telic.dialogue import Message
from telic.errors import ConfigError

if TYPE_CHECKING:
    from telic.models.control import Control, Point
    from telic.models.session import Session

__all__ = [
    "READINGS",
    "Continuation",
    "FinishReason",
    "Model",
    "OnReply",
    "Reply",
    "Request",
    "Sampling",
    "ScoredContinuation",
]

FinishReason = Literal["stop", "length", "context", "error"]
"""Why a reply ended: the model stopped, `max_new_tokens`, the context window is full, or the model failed."""

READINGS = frozenset({"state", "attention"})
"""What can be read off a reply: `state`, the last hidden state at the reply's start; `attention`, the mass of
attention on the system prompt per layer."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a reply is drawn."""

    max_new_tokens: int = 256
    """Upper limit on the tokens of the reply."""
    temperature: float = 1.0
    """0 is greedy."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens with at least this mass."""
    top_k: int = 0
    """Keep the k most likely tokens; 0 keeps all."""
    seed: int | None = None
    """Same seed, same prompt, same reply, whatever else is in the batch; None draws a fresh one."""
    stop: tuple[str, ...] = ()
    """Strings that end the reply; they are not part of it."""
    logprobs: bool = False
    """Return the log-probability of every token drawn, under the distribution before temperature and nucleus."""
    ignore_eos: bool = False
    """Go on to `max_new_tokens` whatever the model says (for benchmarks of equal work)."""

    def __post_init__(self) -> None:
        checks = {
            "max_new_tokens": (self.max_new_tokens >= 1, "at least 1"),
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 or more"),
        }
        for name, (good, expected) in checks.items():
            if not good:
                raise ConfigError(f"sampling: {name} is {getattr(self, name)!r}; expected {expected}")


@dataclass(slots=True)
class Request:
    """One reply to be generated: what the model sees, how to draw, what bends it, what to read off it."""

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    controls: tuple[Control, ...] = ()
    readings: frozenset[str] = frozenset()
    """A subset of `READINGS`."""
    session: Session | None = None
    """Whose cache is read and, after the reply, brought up to date."""
    keep: bool = True
    """Whether the session's cache takes over this request's; False for a branch that is thrown away."""
    choices: tuple[str, ...] = ()
    """The reply must be one of these: drawn by their likelihood, at the sampling's temperature."""
    prefix: str = ""
    """What the reply starts with; the text of the reply does not repeat it."""

    def __post_init__(self) -> None:
        if self.choices and (self.prefix or not all(self.choices) or len(set(self.choices)) < len(self.choices)):
            raise ConfigError(f"choices are {self.choices!r}; expected different texts, none empty, and no prefix")
        unknown = self.readings - READINGS
        if unknown:
            raise ConfigError(f"unknown reading {sorted(unknown)[0]!r}; known: {', '.join(sorted(READINGS))}")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model said to one request."""

    text: str
    finish: FinishReason
    prompt_tokens: int = 0
    """Tokens in the prompt, cached ones included."""
    cached_tokens: int = 0
    """Tokens of the prompt that were not computed again."""
    new_tokens: int = 0
    """Tokens generated."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    state: Any = None
    """float32 array [hidden]: last hidden state of the prompt's last token, when asked for."""
    attention: Any = None
    """float32 array [layers]: attention mass on the system prompt, mean over heads and the reply's tokens."""
    error: str | None = None
    """What went wrong, with `finish == "error"`."""
    seed: int | None = None
    """The seed that was used: drawn, when the request had none."""
    chosen: Mapping[str, Any] = field(default_factory=dict)
    """What a control decided on before the reply: a planner's `state`, `action` and `act`."""

    def __str__(self) -> str:
        return self.text

    def failed(self, error: str) -> Reply:
        """The same reply marked as failed."""
        return replace(self, finish="error", error=error)


@dataclass(frozen=True, slots=True)
class Continuation:
    """A text whose likelihood is asked for, as the assistant's reply to `messages`."""

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
"""Told of the reply to the request of an index; may return further requests."""


@runtime_checkable
class Model(Protocol):
    """Anything that speaks: local (white box), remote, scripted."""

    @property
    def name(self) -> str:
        """How the model is called in reports."""
        ...

    @property
    def points(self) -> frozenset[Point]:
        """Where controls can act on it."""
        ...

    @property
    def readings(self) -> frozenset[str]:
        """What can be read off its replies: a subset of `READINGS`."""
        ...

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer all requests, in their order.

        `on_reply(index, reply)` is told of each reply as it is done, and may return further requests: they join the
        work at once, and their replies come after those of the requests given. So whole dialogues run side by side
        without the batch ever draining. A request that fails yields a reply with `finish == "error"`, and does not
        take the others with it.

        Raises:
            UnsupportedControlError: some control or reading cannot act on this model (before any work is done).
        """
        ...

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply's text piece by piece, then the whole `Reply`."""
        ...

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        ...
