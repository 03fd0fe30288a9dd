"""The chat-completions wire format: a request's body out, a reply in, and what a failure means.

Replies are read leniently from plain JSON, because servers that call themselves OpenAI-compatible leave out
whatever they do not know; only the fields that a `Reply` needs are required.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from telic.dialogue import Message
from telic.errors import Failure, FailureKind
from telic.models.credentials import is_openai, key_variable
from telic.models.endpoint_tools import StreamedCalls, parse_calls
from telic.models.request import FinishReason, Reply, Sampling
from telic.models.response_format import ResponseFormat

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionChunk

__all__ = ["Endpoint", "MalformedReplyError", "StreamedReply", "read_completion", "read_reply"]

CONTEXT_CODES = frozenset({"context_length_exceeded", "exceed_context_size_error"})
CONTEXT_MESSAGE = re.compile(r"(maximum|available|exceeds?\b.*) context (length|size|window)", re.IGNORECASE)

QUOTED = 200
"""Characters of a server's own words that an error quotes."""


class MalformedReplyError(ValueError):
    """The server said 200 OK, but sent no chat completion. A retry may help."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A model's address, and how patiently it is called."""

    model: str
    base_url: str
    api_key: str = field(repr=False)
    retries: int
    timeout: float
    extra_body: Mapping[str, Any]

    def options(
        self, messages: Sequence[Message], sampling: Sampling, response_format: ResponseFormat | None = None
    ) -> dict[str, Any]:
        """The arguments of the client's `chat.completions.create`."""
        official = is_openai(self.base_url)
        extra = dict(self.extra_body)
        if sampling.top_k:
            extra["top_k"] = sampling.top_k
        if sampling.min_p:
            extra["min_p"] = sampling.min_p
        if sampling.ignore_eos:
            extra["ignore_eos"] = True
        options: dict[str, Any] = {
            "model": self.model,
            "messages": [message.as_dict() for message in messages],
            "temperature": sampling.temperature,
            # OpenAI's newer models refuse the old name; most other servers know only that one.
            "max_completion_tokens" if official else "max_tokens": sampling.max_new_tokens,
        }
        # OpenAI's reasoning models refuse top_p even at its default, while llama.cpp's own default is not 1.
        if not official or sampling.top_p < 1:
            options["top_p"] = sampling.top_p
        if sampling.seed is not None:
            options["seed"] = sampling.seed
        if sampling.stop:
            options["stop"] = list(sampling.stop)
        if sampling.logprobs:
            options["logprobs"] = True
        if response_format is not None:
            options["response_format"] = response_format.as_openai()
        if extra:
            options["extra_body"] = extra
        return options

    def failure(self, error: Exception, sampling: Sampling, text: str = "") -> Reply:
        """The reply to a request that failed with `error`, after `text` had come."""
        kind, detail = self._explain(error)
        if kind == "context_full" and text:  # it ran full while it replied
            return Reply(text, "context", seed=sampling.seed)
        finish: FinishReason = "context" if kind == "context_full" else "error"
        return Reply(text, finish, failure=Failure("model", kind, detail), seed=sampling.seed)

    def _explain(self, error: Exception) -> tuple[FailureKind, str]:
        """How the endpoint failed; and for people which one, how, and what to do about it."""
        import openai

        kind: FailureKind = "exception"
        tries = f" (tried {retries_of(error) + 1} times)" if retries_of(error) else ""
        if isinstance(error, openai.APITimeoutError):
            kind = "timeout"
            what = f"did not answer within {self.timeout:g} s{tries}: raise timeout=, or lower concurrency="
        elif isinstance(error, openai.APIConnectionError):
            kind, cause = "unreachable", error.__cause__ or error
            what = f"broke off or cannot be reached{tries}: {cause}; is the server running, and is base_url right?"
        elif isinstance(error, openai.APIStatusError):
            kind = "context_full" if _is_context_error(error) else "http_status"
            said = _clip(_said(error.body) or error.message)
            what = f"answered {error.status_code}{tries}: {said}{self._advice(error.status_code, error.code)}"
        elif isinstance(error, MalformedReplyError):
            kind = "malformed_reply"
            what = f"sent a malformed reply: {error}; is it an OpenAI-compatible chat endpoint?"
        else:
            what = f"failed: {type(error).__name__}: {_clip(str(error))}"
        return kind, f"{self.base_url} (model {self.model!r}) {what}".replace(self.api_key, "***")

    def _advice(self, status: int, code: str | None) -> str:
        if code == "insufficient_quota":
            return "; the account's quota is used up"
        advice = {
            401: f"set the environment variable {key_variable(self.base_url)}, or pass api_key=",
            403: "the API key has no access to this model",
            404: "check the model's name, and base_url (most end in /v1)",
            429: "lower concurrency=, or raise retries=",
        }
        return f"; {advice[status]}" if status in advice else ""


@dataclass(slots=True)
class StreamedReply:
    """A reply of which some chunks have come."""

    text: str = ""
    reason: str | None = None
    """Why it ended, if it has."""
    usage: dict[str, Any] | None = None
    logprobs: list[float] = field(default_factory=list)
    calls: StreamedCalls = field(default_factory=StreamedCalls)

    def add(self, chunk: ChatCompletionChunk) -> str:
        """Add a chunk, and return its text."""
        self.usage = chunk.usage.model_dump() if chunk.usage else self.usage
        piece = ""
        for choice in chunk.choices[:1]:
            self.reason = choice.finish_reason or self.reason
            tokens = (choice.logprobs and choice.logprobs.content) or []
            self.logprobs += [token.logprob for token in tokens]
            piece = choice.delta.content or ""
            self.calls.add(choice.delta.tool_calls)
        self.text += piece
        return piece

    def complete(self, sampling: Sampling) -> Reply:
        """Return the whole reply.

        Raises:
            MalformedReplyError: the stream ended before the reply did.
        """
        if self.reason is None:
            raise MalformedReplyError("the stream ended before the reply did")
        reply = read_reply(self.text, self.reason, self.usage, self.logprobs or None, sampling)
        return replace(reply, tool_calls=self.calls.complete())


def retries_of(error: Exception) -> int:
    """Return the number of retries before this error."""
    headers = getattr(getattr(error, "request", None), "headers", {})
    return int(headers.get("x-stainless-retry-count", 0))


def read_completion(body: str, sampling: Sampling) -> Reply:
    """Read the body of a chat completion.

    Raises:
        MalformedReplyError: the body is not a chat completion.
    """
    try:
        completion = json.loads(body)
    except ValueError:
        raise MalformedReplyError(f"{_clip(body) or 'an empty body'} instead of JSON") from None
    if not isinstance(completion, dict) or not completion.get("choices"):
        # Routers in front of several providers report a provider's failure with status 200.
        said = _said(completion.get("error")) if isinstance(completion, dict) else ""
        raise MalformedReplyError(f"no choices{f': {_clip(said)}' if said else ''}")
    try:
        choice = completion["choices"][0]
        text, logprobs = choice["message"].get("content"), choice.get("logprobs")
        calls = parse_calls(choice["message"].get("tool_calls"))
    except (AttributeError, LookupError, TypeError):
        raise MalformedReplyError("no message in the first choice") from None
    if text is None and calls:
        text = ""
    if not isinstance(text, str):
        refusal = choice["message"].get("refusal")
        why = f"it refused: {_clip(refusal)}" if refusal else f"finish_reason {choice.get('finish_reason')!r}"
        raise MalformedReplyError(f"no text ({why})")
    reply = read_reply(text, choice.get("finish_reason"), completion.get("usage"), _drawn(logprobs), sampling)
    return replace(reply, tool_calls=calls)


def read_reply(text: str, reason: object, usage: object, logprobs: Sequence[float] | None, sampling: Sampling) -> Reply:
    """Put a reply together from the parts that both a completion and a stream have."""
    counts = usage if isinstance(usage, dict) else {}
    details = counts.get("prompt_tokens_details")
    new_tokens = _count(counts, "completion_tokens")
    finish: FinishReason = "stop"
    if reason == "length":
        # Cut short before our limit: the server ran out of context while it wrote.
        finish = "context" if 0 < new_tokens < sampling.max_new_tokens else "length"
    reply = Reply(
        text,
        finish,
        prompt_tokens=_count(counts, "prompt_tokens"),
        cached_tokens=_count(details, "cached_tokens") if isinstance(details, dict) else 0,
        new_tokens=new_tokens,
        logprobs=tuple(logprobs) if sampling.logprobs and logprobs is not None else None,
        seed=sampling.seed,
    )
    if reason == "content_filter":
        return reply.failed("content_filter", "the endpoint's content filter ended the reply")
    return reply


def _drawn(logprobs: object) -> list[float] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    try:
        return [float(token["logprob"]) for token in content]
    except (KeyError, TypeError, ValueError):
        raise MalformedReplyError("log-probabilities that are not numbers") from None


def _count(counts: dict[str, Any], name: str) -> int:
    count = counts.get(name)
    return count if isinstance(count, int) else 0


def _is_context_error(error: Exception) -> bool:
    """Whether the prompt was too long: OpenAI and llama.cpp give it a code; the others only say so."""
    if getattr(error, "status_code", 0) not in (400, 413, 422):
        return False
    codes = {getattr(error, "code", None), getattr(error, "type", None)}
    return bool(codes & CONTEXT_CODES) or bool(CONTEXT_MESSAGE.search(str(error)))


def _said(error: object) -> str:
    """The message within an error's body, whatever form the server gave it."""
    if isinstance(error, dict):
        return str(error.get("message") or error.get("detail") or error)
    return str(error or "")


def _clip(text: str) -> str:
    if text.lstrip().startswith("<"):
        return "an HTML page"
    text = " ".join(text.split())
    return text if len(text) <= QUOTED else f"{text[:QUOTED]}..."
