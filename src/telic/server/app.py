"""The HTTP server: OpenAI's chat completions, health, metrics, and what a user may do with what is kept."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse

from telic.server.dashboard import mount
from telic.server.guard import Guard, holder_of
from telic.server.keys import Keys
from telic.server.problems import ApiError
from telic.server.replies import (
    SAFE,
    EventStream,
    GoneError,
    events_of,
    json_answer,
    problem,
    read_body,
    while_connected,
    whole,
)
from telic.server.service import Service
from telic.server.wire import Header, parse_request

__all__ = ["CONVERSATION", "create_app"]

CONVERSATION = "X-Telic-Conversation"
"""The header that names a conversation, in requests and answers."""
LEFT = 499
"""Status of a request whose client left, as metrics count it."""


def create_app(
    service: Service,
    keys: Keys | None = None,
    hosts: frozenset[str] | None = None,
    on_start: Callable[[], None] = lambda: None,
    *,
    dashboard: bool = False,
) -> FastAPI:
    """Make the server's application. Its `state.service` is the service.

    Args:
        service: answers and keeps conversations; the application starts and closes it.
        keys: who may use the server; without any, everyone who reaches it.
        hosts: names under which it may be called; None: any.
        on_start: called when requests are answered from now on.
        dashboard: also give the pages for people, at `/dashboard/`; one application of a process may.

    Raises:
        ConfigError: the process has a dashboard already; the dashboard's readers cannot be used.
        MissingExtraError: the dashboard needs NiceGUI.
    """
    keys = keys or Keys()

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        try:
            await service.start()
            on_start()
            yield
        finally:
            await service.close()

    # The pages of FastAPI's own documentation would load scripts from elsewhere.
    app = FastAPI(
        title="Telic", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.service = service
    _say_errors(app)
    api = _Api(service, keys)
    for prefix in ("/v1", ""):  # llama.cpp's clients leave the version out
        app.add_api_route(f"{prefix}/chat/completions", api.chat, methods=["POST"])
        app.add_api_route(f"{prefix}/models", api.models, methods=["GET"])
    app.add_api_route("/v1/models/{name:path}", api.model, methods=["GET"])
    for path in ("/healthz", "/health"):
        app.add_api_route(path, api.health, methods=["GET"])
    app.add_api_route("/metrics", api.figures, methods=["GET"])
    app.add_api_route("/telic/conversations", api.export, methods=["GET"])
    app.add_api_route("/telic/conversations", api.delete, methods=["DELETE"])
    if dashboard:
        mount(app, service, keys)
    app.add_middleware(Guard, hosts=hosts)  # last, so that it stands before all else
    return app


class _Api:
    """The routes."""

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys

    async def chat(self, request: Request) -> Response:
        """Answer a chat completion."""
        metrics, arrived = self._service.metrics, time.perf_counter()
        try:
            answer = await self._answer(request, arrived)
        except ApiError as error:
            answer = problem(error)
        except GoneError:
            answer = Response(status_code=LEFT)
        metrics.requests.labels(str(answer.status_code)).inc()
        return answer

    async def _answer(self, request: Request, arrived: float) -> Response:
        service = self._service
        holder = holder_of(request.headers, self._keys)
        with ExitStack() as resources:
            resources.enter_context(service.limits.enter(holder))
            resources.callback(lambda: service.metrics.whole.observe(time.perf_counter() - arrived))
            content = await read_body(request, service.config.max_body_bytes, service.config.body_seconds)
            body = parse_request(content)
            sub_user = body.user or body.safety_identifier
            user = f"{holder}/{sub_user}" if sub_user else holder
            named = request.headers.get(CONVERSATION) or body.conversation
            exchange = await service.begin(user, body, named)
            resources.callback(lambda: service.limits.spend(holder, exchange.tokens))
            resources.callback(exchange.close)
            await while_connected(request, exchange.first())
            service.metrics.first_token.observe(time.perf_counter() - arrived)
            header = Header(f"chatcmpl-{uuid4().hex}", int(time.time()), service.purpose.name)
            headers = {CONVERSATION: exchange.place.conversation}
            if body.ignored:
                headers["X-Telic-Ignored"] = ", ".join(body.ignored)
            if body.stream:
                return EventStream(events_of(exchange, service, header, body), resources.pop_all(), headers)
            work = whole(exchange, service, header, logprobs=bool(body.logprobs))
            text = await while_connected(request, work)
            return Response(text, 200, {**SAFE, **headers}, "application/json")

    async def models(self, request: Request) -> Response:
        """List the one model."""
        holder_of(request.headers, self._keys)
        return json_answer({"object": "list", "data": [self._model]})

    async def model(self, name: str, request: Request) -> Response:
        """Describe the one model."""
        holder_of(request.headers, self._keys)
        if name != self._service.purpose.name:
            raise ApiError(
                404, f"there is no such model; this server has {self._model['id']!r}", code="model_not_found"
            )
        return json_answer(self._model)

    @property
    def _model(self) -> dict[str, object]:
        service = self._service
        return {"id": service.purpose.name, "object": "model", "created": service.started, "owned_by": "telic"}

    async def health(self) -> Response:
        """Say whether requests are answered."""
        alive = self._service.alive
        return json_answer({"status": "ok" if alive else "failed"}, 200 if alive else 503)

    def figures(self, request: Request) -> Response:  # in a thread: the cache's size waits for the pass under way
        """Tell Prometheus."""
        holder_of(request.headers, self._keys)
        service = self._service
        service.metrics.under_way.set(service.limits.under_way)
        service.metrics.conversations.set(len(service.sessions))
        if service.local is not None:
            service.metrics.cache.set(service.local.cache_bytes)
        return Response(service.metrics.text(), headers=SAFE, media_type=CONTENT_TYPE_LATEST)

    async def export(self, request: Request) -> Response:
        """Give a user all that is kept of them, an episode a line."""
        user = self._user(request)

        def lines() -> Iterator[str]:
            for episode in self._service.store.episodes(user):
                yield episode.model_dump_json() + "\n"

        return StreamingResponse(lines(), headers=SAFE, media_type="application/x-ndjson")

    async def delete(self, request: Request) -> Response:
        """Delete all that is kept of a user."""
        return json_answer({"deleted": await self._service.forget(self._user(request))})

    def _user(self, request: Request) -> str:
        """The key's holder, or one of the users that its requests named (`?user=`)."""
        holder = holder_of(request.headers, self._keys)
        named = request.query_params.get("user")
        return f"{holder}/{named}" if named else holder


def _say_errors(app: FastAPI) -> None:
    """Put every error in OpenAI's form; what is not expected tells nothing of the inside."""

    async def api_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ApiError)
        return problem(error)

    async def http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        advice = "; chat completions are at /v1/chat/completions" if error.status_code == 404 else ""
        said = f"{request.method} to this path: {error.detail}{advice}"
        return problem(ApiError(error.status_code, said, headers=dict(error.headers or {})))

    async def unexpected(_request: Request, _error: Exception) -> Response:
        return problem(ApiError(500, "the server failed; its log says how"))

    app.add_exception_handler(ApiError, api_error)
    app.add_exception_handler(HTTPException, http_error)
    app.add_exception_handler(Exception, unexpected)
