"""A model on a vLLM server with Telic's plug-in (`telic vllm-serve`)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from telic.errors import ConfigError, Failure, ModelError
from telic.models.choices import draw_by_likelihood
from telic.models.compatibility import MESSAGES_ONLY, contrast_prompts, controlled_messages, refuse_unsupported
from telic.models.control import Control, ControlPoint
from telic.models.credentials import NO_KEY, key_for
from telic.models.endpoint import MalformedReplyError
from telic.models.remote import RemoteModel
from telic.models.request import Continuation, Reply, Request, Sampling, ScoredContinuation, random_seed
from telic.models.response_format import ResponseFormat
from telic.models.vllm.control_wire import pack
from telic.models.vllm.protocol import PROTOCOL, FormatBody, ModelCard, carried, reply_from_wire

if TYPE_CHECKING:
    from openai import AsyncOpenAI

__all__ = ["VllmEndpoint", "find_plugin"]

MODEL, CONTROLS, GENERATE = "/telic/v1/model", "/telic/v1/controls", "/telic/v1/generate"
FORMATS = "/telic/v1/formats"
FIND_SECONDS = 3.0
"""Time in which an endpoint has to say whether it has the plug-in."""
FORMAT_SECONDS = 30.0
"""Time in which a server has to compile a format."""
MOST_CHECKED = 1024
"""Formats that a client remembers to be right."""


class VllmEndpoint(RemoteModel):
    """A model behind a vLLM server with Telic's plug-in.

    It supports what `VllmModel` does. The prompts are made here and rendered there; controls that act inside the model
    are sent once, as the files of a saved control.

    Args:
        card: what the server says about the model.
        root: address of the server, without "/v1".
        **options: those of `RemoteModel`.
    """

    def __init__(self, card: ModelCard, root: str, **options: Any) -> None:
        super().__init__(card.model, f"{root}/v1", **options)
        self.card, self._root = card, root
        self.points: frozenset[ControlPoint] = frozenset(card.points)  # type: ignore[arg-type]
        self.readings = frozenset(card.readings)
        self._sent: dict[str, str] = {}
        """By control: the key under which the server knows it."""
        self._checked: set[ResponseFormat] = set()
        """Formats that the server has compiled."""

    @property
    def hidden_size(self) -> int:
        """Width of the residual stream."""
        return self.card.hidden_size

    @property
    def layers(self) -> int:
        """Number of decoder layers."""
        return self.card.layers

    @property
    def context_length(self) -> int:
        """Longest dialogue in tokens, the reply included."""
        return self.card.context_length

    def __repr__(self) -> str:
        return f"VllmEndpoint({self.name!r}, {self._root!r})"

    def check_format(self, response_format: ResponseFormat) -> None:
        """Let the server compile a response format, so that no reply waits for it.

        Raises:
            ConfigError: it is wrong, or exceeds a limit; the message says where.
        """
        import httpx

        if response_format in self._checked:
            return
        body, key = FormatBody.of(response_format).model_dump(), self._endpoint.api_key
        headers = {"Authorization": f"Bearer {key}"}
        try:
            found = httpx.post(f"{self._root}{FORMATS}", json=body, headers=headers, timeout=FORMAT_SECONDS)
        except httpx.HTTPError:  # the reply to the request will tell what is wrong with the server
            return
        if found.status_code == httpx.codes.BAD_REQUEST:
            raise ConfigError(_detail(found.text))
        if found.status_code == httpx.codes.OK:
            self._checked.add(response_format)
            if len(self._checked) > MOST_CHECKED:
                self._checked.clear()

    def score(
        self, continuations: Sequence[Continuation], controls: Sequence[Control] = ()
    ) -> list[ScoredContinuation]:
        """Compute the log-likelihood of given replies.

        Raises:
            ModelError: a continuation is empty or does not fit in the context, or the server failed.
        """
        if not all(continuation.text for continuation in continuations):
            raise ModelError("an empty continuation has no likelihood; give at least one character")
        scored: list[ScoredContinuation] = []
        requests = [_Forced(c.messages, Sampling(seed=0), tuple(controls), forced=c.text) for c in continuations]
        for request, reply in zip(requests, self.generate(requests), strict=True):
            if reply.logprobs is None:
                failure = reply.failure or Failure("model", "context_full", "the context is full")
                raise ModelError(f"cannot score a continuation: {failure.detail}", failure.kind)
            scored.append(ScoredContinuation(sum(reply.logprobs), len(reply.logprobs), request.greedy))
        return scored

    def _prepared(self, request: Request) -> tuple[dict[str, Any], Request]:
        for control in request.controls:  # before anything is sent
            if not control.points <= MESSAGES_ONLY and control.key not in self._sent:
                pack(control)
        prompts = [(None, controlled_messages(request)), *contrast_prompts(request)]
        form = request.response_format
        body = {
            "prompts": [
                {
                    "owner": owner,
                    "messages": [message.model_dump(exclude_defaults=True) for message in messages],
                    "control_state": carried(request.cache, number),
                }
                for number, (owner, messages) in enumerate(prompts)
            ],
            "sampling": asdict(request.sampling),
            "readings": sorted(request.readings),
            "reply_prefix": request.reply_prefix,
            "speaker": request.speaker,
            "tools": [tool.model_dump() for tool in request.tools],
            "tool_choice": request.tool_choice,
            "response_format": form and FormatBody.of(form).model_dump(),
            "cache_salt": request.cache_salt,
            "stream": True,  # a connection that is closed then ends the reply
        }
        return body | ({"forced": request.forced} if isinstance(request, _Forced) else {}), request

    async def _ask(self, client: AsyncOpenAI, options: dict[str, Any], request: Request) -> tuple[Reply, int]:
        if request.choices:
            return await self._choose(client, options, request), 0
        reply: Reply | None = None
        async for event in self._events(client, options, request):
            reply = event if isinstance(event, Reply) else None
        if reply is None:
            raise MalformedReplyError("the stream ended before the reply did")
        return reply, 0

    async def _choose(self, client: AsyncOpenAI, options: dict[str, Any], request: Request) -> Reply:
        """Score the choices, and draw one."""
        seed = random_seed() if request.sampling.seed is None else request.sampling.seed
        # One seed, so that a control decides the same for all choices.
        branch = replace(request, choices=(), keep=False, sampling=replace(request.sampling, seed=seed))
        body = {**options, "sampling": asdict(branch.sampling)}
        asked = [self._ask(client, {**body, "forced": choice}, branch) for choice in request.choices]
        return draw_by_likelihood(request, [reply for reply, _ in await asyncio.gather(*asked)], seed)

    async def _events(
        self, client: AsyncOpenAI, options: dict[str, Any], request: Request
    ) -> AsyncGenerator[str | Reply, None]:
        """Send a request, and yield what comes: pieces of text, then the reply."""
        import openai

        for last in (False, True):
            keys = [await self._key(client, control) for control in request.controls]
            try:
                stream = await client.post(
                    f"{self._root}{GENERATE}",
                    cast_to=object,
                    body={**options, "controls": keys},
                    stream=True,
                    stream_cls=openai.AsyncStream[object],
                )
            except openai.ConflictError:
                if last:
                    raise
                self._sent.clear()  # the server was started anew, or has forgotten a control
                continue
            async with stream:  # else a reply that is given up would be read to its end
                async for line in stream.response.aiter_lines():
                    yield _read(line, request)
            return

    async def _key(self, client: AsyncOpenAI, control: Control) -> str | None:
        """The key under which the server knows a control, which is sent if it is new."""
        if control.points <= MESSAGES_ONLY:
            return None
        if control.key not in self._sent:
            answer = await client.post(f"{self._root}{CONTROLS}", cast_to=object, body=pack(control).as_dict())
            self._sent[control.key] = str(answer["key"]) if isinstance(answer, dict) else ""
        return self._sent[control.key]

    async def _stream_async(self, client: AsyncOpenAI, request: Request) -> AsyncGenerator[str | Reply, None]:
        refuse_unsupported(self, [request])
        options, _ = self._prepared(request)
        text = ""
        try:
            if request.choices:  # nothing is known until all of them are scored
                reply: str | Reply = await self._choose(client, options, request)
                yield str(reply)
            else:
                reply = ""
                async for reply in self._events(client, options, request):
                    if isinstance(reply, str):
                        text += reply
                        yield reply
            if isinstance(reply, str):
                raise MalformedReplyError("the stream ended before the reply did")
        except Exception as error:  # as in `_answer`
            reply = self._endpoint.failure(error, request.sampling, text)
        yield self._counted(reply, 0)

    def _stream(self, request: Request) -> Iterator[str | Reply]:
        """Stream in an event loop of its own, in a thread: this one may have a loop already."""
        from openai import AsyncOpenAI

        loop = asyncio.new_event_loop()
        client = AsyncOpenAI(**self._client_options())
        events = self._stream_async(client, request)
        with ThreadPoolExecutor(1) as thread:
            try:
                while True:
                    yield thread.submit(loop.run_until_complete, anext(events)).result()
            except StopAsyncIteration:
                pass
            finally:
                thread.submit(loop.run_until_complete, events.aclose()).result()
                thread.submit(loop.run_until_complete, client.close()).result()
                loop.close()


@dataclass(slots=True)
class _Forced(Request):
    """A request whose reply is given."""

    forced: str = ""
    greedy: bool = False
    """Whether every token of it was the most likely one, once it is scored."""


def _read(line: str, request: Request) -> str | Reply:
    """Read a line: a piece of text, or the reply.

    Raises:
        MalformedReplyError: it is neither.
    """
    try:
        event = json.loads(line)
        if isinstance(event, str):
            return event
        reply = reply_from_wire(event)
        if request.cache is not None and request.keep and reply.failure is None:
            for number, carried_on in enumerate(event["control_states"]):
                own = request.cache.contrast_cache(number - 1) if number else request.cache
                own.control_state = carried_on
        if isinstance(request, _Forced):
            request.greedy = bool(event["greedy"])
    except (KeyError, TypeError, ValueError) as error:
        raise MalformedReplyError(f"{error!r} in {line[:200]!r}") from error
    return reply


def _detail(text: str) -> str:
    """What a server says of a request that it refuses."""
    try:
        answer = json.loads(text)
        return str(answer["error"]["message"] if "error" in answer else answer["detail"])  # vLLM's way, and FastAPI's
    except (KeyError, TypeError, ValueError):
        return text[:200]


def find_plugin(address: str, options: Mapping[str, Any]) -> VllmEndpoint | None:
    """Find out whether an endpoint is a vLLM server with Telic's plug-in.

    Args:
        address: its URL, "/v1" included.
        options: those of `RemoteModel`.

    Returns:
        The model; None if the endpoint is something else, or cannot be reached.

    Raises:
        ModelError: it has a plug-in of another version of Telic.
    """
    import httpx

    root = address.rstrip("/").removesuffix("/v1")
    key = options.get("api_key") or key_for(address) or NO_KEY
    try:
        found = httpx.get(f"{root}{MODEL}", headers={"Authorization": f"Bearer {key}"}, timeout=FIND_SECONDS)
        card = ModelCard.model_validate_json(found.text) if found.status_code == httpx.codes.OK else None
    except (httpx.HTTPError, httpx.InvalidURL, ValidationError):  # the client says what is wrong with an address
        return None
    if card is None:
        return None
    if card.protocol != PROTOCOL:
        raise ModelError(
            f"{root} runs the plug-in of telic {card.telic} (protocol {card.protocol}), and this is protocol "
            f"{PROTOCOL}; install the same telic on both sides"
        )
    # A request waits at the server, silently, while others are before it.
    return VllmEndpoint(card, root, **{"concurrency": card.max_batch, "timeout": 600.0, **options})
