"""A model behind an OpenAI-compatible endpoint: OpenAI, vLLM, llama.cpp, Ollama, a router, `telic serve`."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from random import uniform
from typing import TYPE_CHECKING, Any, TypeVar

from telic.dialogue import Dialogue
from telic.errors import ConfigError, UnsupportedControlError
from telic.models.capabilities import ReplyStreams
from telic.models.choices import as_question, read_choice
from telic.models.compatibility import MESSAGES_ONLY, controlled_messages, refuse_unsupported
from telic.models.control import ControlPoint
from telic.models.credentials import NO_KEY, OPENAI_URL, check_address, key_for
from telic.models.endpoint import Endpoint, MalformedReplyError, StreamedReply, read_completion, retries_of
from telic.models.endpoint_tools import tool_options
from telic.models.request import OnReply, Reply, Request
from telic.models.response_format import ResponseFormat
from telic.models.session import Session

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["RemoteModel", "Usage"]

T = TypeVar("T")

_Prepared = tuple[dict[str, Any], Request]

MALFORMED_RETRIES = 2
"""Retries after a malformed reply, at most: the server said 200, so it may mean it."""
CONNECT_TIMEOUT = 10.0
STREAMED: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}

_COUNTING = threading.Lock()  # not an attribute: a model travels to other processes, a lock does not


@dataclass(slots=True)
class Usage:
    """Counts of the requests to an endpoint so far."""

    requests: int = 0
    """Requests answered or failed; one that was retried counts once."""
    retries: int = 0
    """Times that a request was sent again."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    """Of the prompt tokens, those that the server had in its cache, if it says so."""
    new_tokens: int = 0
    errors: int = 0
    """Requests that failed for good."""


class RemoteModel:
    """A model behind an OpenAI-compatible chat-completions endpoint.

    Only text is exchanged: controls on messages act, all others and all readings are refused. A response format of JSON
    is passed on; whether the endpoint keeps to it is not checked. Timeouts, broken connections and statuses 408, 409,
    429 and 5xx are retried after an exponential backoff, or after the server's Retry-After. A seed is passed on only if
    the request has one, since some servers refuse the field; log-probabilities are None where the server gives none.

    Args:
        model: name of the model at the endpoint.
        base_url: where the API is, "/v1" included; else the environment's OPENAI_BASE_URL, else OpenAI.
        api_key: else the address's variable in the environment (`telic.models.credentials`): OPENAI_API_KEY for OpenAI
            and OPENAI_BASE_URL, for others `TELIC_KEY_` and the host. An address that needs no key does without.
        concurrency: requests in flight at once.
        retries: times that a failed request is sent again.
        timeout: seconds of silence after which a request counts as failed. An endpoint that does not stream is silent
            until the reply is complete.
        extra_body: further fields of every request's body, for what only this server knows. For example llama.cpp
            keeps its own defaults top_k=40 and min_p=0.05 unless told `{"top_k": 0, "min_p": 0}`.

    Raises:
        ConfigError: an argument is wrong, the address has a password in it, or OpenAI is to be called without a key.
    """

    points: frozenset[ControlPoint] = MESSAGES_ONLY
    readings: frozenset[str] = frozenset()

    def __init__(
        self,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        concurrency: int = 16,
        retries: int = 4,
        timeout: float = 60.0,
        extra_body: Mapping[str, Any] | None = None,
    ) -> None:
        url = base_url or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
        check_address(url, f"remote model {model!r}: base_url")
        key = api_key or key_for(url)
        if not key and url == OPENAI_URL:
            raise ConfigError(
                f"remote model {model!r}: {url} needs an API key; set the environment variable OPENAI_API_KEY, pass "
                "api_key=, or name another endpoint with base_url="
            )
        if concurrency < 1:
            raise ConfigError(f"remote model {model!r}: concurrency is {concurrency!r}; expected 1 or more")
        if retries < 0:
            raise ConfigError(f"remote model {model!r}: retries is {retries!r}; expected 0 or more")
        if timeout <= 0:
            raise ConfigError(f"remote model {model!r}: timeout is {timeout!r}; expected more than 0 seconds")
        self.concurrency = concurrency
        self.usage = Usage()
        self._endpoint = Endpoint(model, url, key or NO_KEY, retries, timeout, dict(extra_body or {}))

    @property
    def name(self) -> str:
        """The model's name at the endpoint."""
        return self._endpoint.model

    def __repr__(self) -> str:
        return f"RemoteModel({self.name!r}, base_url={self._endpoint.base_url!r})"

    def check_format(self, response_format: ResponseFormat) -> None:
        """Refuse what OpenAI's API cannot express; the endpoint itself compiles the format.

        Raises:
            UnsupportedControlError: it is no format of JSON.
        """
        if not response_format.is_json:
            raise UnsupportedControlError(
                f"model {self.name!r} takes JSON as its response format, not {response_format.kind}; pass the "
                "endpoint's own field for it with extra_body=, or run a model locally"
            )

    def session(self, system: str | None = None) -> Session:
        """Open a dialogue with this model."""
        return Session(self, Dialogue().with_system(system))

    def generate(self, requests: Sequence[Request], on_reply: OnReply | None = None) -> list[Reply]:
        """Answer all requests, `concurrency` at a time; see `Model.generate`.

        Works inside a running event loop too; `on_reply` is then called from another thread.
        """
        refuse_unsupported(self, requests)
        if not requests:
            return []
        return _run(self._generate([self._prepared(request) for request in requests], on_reply))

    def stream(self, request: Request) -> Iterator[str | Reply]:
        """Yield the reply's text piece by piece, then the whole `Reply`; see `Model.stream`.

        A request that fails before the first piece is retried; a stream that breaks off later yields a reply with a
        `failure` and the text so far.
        """
        refuse_unsupported(self, [request])
        return self._stream(request)

    def open_streams(self) -> ReplyStreams:
        """Open connections that stream replies in the running event loop."""
        from openai import AsyncOpenAI

        return _Streams(self, AsyncOpenAI(**self._client_options()))

    def _client_options(self) -> dict[str, Any]:
        from openai import Timeout

        endpoint = self._endpoint
        timeout = Timeout(endpoint.timeout, connect=min(endpoint.timeout, CONNECT_TIMEOUT))
        return {
            "base_url": endpoint.base_url,
            "api_key": endpoint.api_key,
            "max_retries": endpoint.retries,
            "timeout": timeout,
        }

    def _prepared(self, request: Request) -> _Prepared:
        asked = as_question(request) if request.choices else request
        options = self._endpoint.options(controlled_messages(asked), asked.sampling, asked.response_format)
        return options | tool_options(asked), request

    async def _generate(self, requests: Sequence[_Prepared], on_reply: OnReply | None) -> list[Reply]:
        from openai import AsyncOpenAI

        gate = asyncio.Semaphore(self.concurrency)
        tasks: list[asyncio.Task[Reply]] = []

        def submit(prepared: _Prepared) -> None:
            tasks.append(group.create_task(answer(len(tasks), prepared)))

        async def answer(index: int, prepared: _Prepared) -> Reply:
            async with gate:
                reply = await self._answer(client, *prepared)
            further = list((on_reply and on_reply(index, reply)) or ())
            refuse_unsupported(self, further)
            for request in further:
                submit(self._prepared(request))
            return reply

        # A client's connections belong to one event loop, and each call has its own.
        async with AsyncOpenAI(**self._client_options()) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    for prepared in requests:
                        submit(prepared)
            except ExceptionGroup as failures:  # what `on_reply` raised, or what it asked for and cannot have
                raise failures.exceptions[0] from None
        return [task.result() for task in tasks]

    async def _answer(self, client: AsyncOpenAI, options: dict[str, Any], request: Request) -> Reply:
        retries, sampling = 0, request.sampling
        for attempt in range(1 + min(self._endpoint.retries, MALFORMED_RETRIES)):
            if attempt:
                retries += 1
                await asyncio.sleep(0.5 * 2**attempt * uniform(0.75, 1))
            try:
                reply, retried = await self._ask(client, options, request)
                retries += retried
                break
            except MalformedReplyError as error:
                reply = self._endpoint.failure(error, sampling)
            except Exception as error:  # whatever the client raises: it is this request's failure, not the others'
                retries += retries_of(error)
                reply = self._endpoint.failure(error, sampling)
                break
        return self._counted(read_choice(request, reply) if request.choices else reply, retries)

    async def _ask(self, client: AsyncOpenAI, options: dict[str, Any], request: Request) -> tuple[Reply, int]:
        """Send one request; returns its reply, and how often the client has sent it again.

        Raises:
            MalformedReplyError: the server sent something else.
        """
        raw = await client.chat.completions.with_raw_response.create(**options)
        return read_completion(raw.http_response.text, request.sampling), raw.retries_taken

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        from openai import OpenAI

        if request.choices:  # which of them it is shows at the end
            reply = self.generate([request])[0]
            yield reply.text
            yield reply
            return
        streamed, retries = StreamedReply(), 0
        options, _ = self._prepared(request)
        with OpenAI(**self._client_options()) as client:
            try:
                raw = client.chat.completions.with_raw_response.create(**options, **STREAMED)
                retries = raw.retries_taken
                with raw.parse() as chunks:
                    for chunk in chunks:
                        if piece := streamed.add(chunk):
                            yield piece
                reply = streamed.complete(request.sampling)
            except Exception as error:  # as in `_answer`
                retries = max(retries, retries_of(error))
                reply = self._endpoint.failure(error, request.sampling, streamed.text)
        yield self._counted(reply, retries)

    async def _stream_async(self, client: AsyncOpenAI, request: Request) -> AsyncGenerator[str | Reply, None]:
        """Do as `_stream` does, in an event loop."""
        refuse_unsupported(self, [request])
        options, _ = self._prepared(request)
        if request.choices:
            reply = await self._answer(client, options, request)
            yield reply.text
            yield reply
            return
        streamed, retries = StreamedReply(), 0
        try:
            raw = await client.chat.completions.with_raw_response.create(**options, **STREAMED)
            retries = raw.retries_taken
            async with raw.parse() as chunks:
                async for chunk in chunks:
                    if piece := streamed.add(chunk):
                        yield piece
            reply = streamed.complete(request.sampling)
        except Exception as error:  # as in `_answer`
            retries = max(retries, retries_of(error))
            reply = self._endpoint.failure(error, request.sampling, streamed.text)
        yield self._counted(reply, retries)

    def _counted(self, reply: Reply, retries: int) -> Reply:
        usage = self.usage
        with _COUNTING:
            usage.requests += 1
            usage.retries += retries
            usage.prompt_tokens += reply.prompt_tokens
            usage.cached_tokens += reply.cached_tokens
            usage.new_tokens += reply.new_tokens
            usage.errors += reply.finish == "error"
        return reply


class _Streams:
    """Streams of an endpoint in one event loop, which share connections."""

    def __init__(self, model: RemoteModel, client: AsyncOpenAI) -> None:
        self._model, self._client = model, client

    def stream(self, request: Request) -> AsyncGenerator[str | Reply, None]:
        return self._model._stream_async(self._client, request)

    async def aclose(self) -> None:
        await self._client.close()


def _run(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end; inside a running event loop (a notebook), beside it in a thread. Ctrl-C stops either."""
    try:
        outer = asyncio.current_task()
    except RuntimeError:
        return asyncio.run(main)
    loop = asyncio.new_event_loop()
    task = loop.create_task(main)
    try:
        with ThreadPoolExecutor(1) as thread:
            work = thread.submit(loop.run_until_complete, task)
            try:
                # asyncio's own Ctrl-C only marks the outer task, which cannot notice while it is blocked here.
                while not wait([work], timeout=0.1).done:
                    if outer is not None and outer.cancelling():
                        raise asyncio.CancelledError
            except BaseException:
                loop.call_soon_threadsafe(task.cancel)
                raise
            return work.result()
    finally:
        loop.close()
