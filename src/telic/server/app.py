"""The HTTP server: OpenAI's chat completions, health, metrics, export and deletion of conversations, events."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, aclosing, asynccontextmanager
from uuid import uuid4

from fastapi import FastAPI, Request
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.responses import Response

from telic.errors import ConfigError, DataError
from telic.server.authentication import authenticate
from telic.server.chat_answers import make_response, stream_response
from telic.server.chat_request import parse_request
from telic.server.chat_response import ResponseMetadata
from telic.server.consents import parse_consent
from telic.server.dashboard import mount
from telic.server.errors import ApiError
from telic.server.exchange import Exchange
from telic.server.http_requests import (
    CLIENT_CLOSED_REQUEST,
    ClientDisconnectedError,
    named_user,
    read_body,
    while_connected,
)
from telic.server.http_responses import SAFETY_HEADERS, HeldStream, error_response, json_response
from telic.server.keys import Keys
from telic.server.log import current_record
from telic.server.memory_api import add_memory_routes
from telic.server.middleware import ANY_ORIGIN, HostOriginMiddleware
from telic.server.reported_events import EventReport
from telic.server.request_log import REQUEST_ID, RequestLogMiddleware, record_of
from telic.server.service import Service

__all__ = ["CONVERSATION", "create_app"]

CONVERSATION = "X-Telic-Conversation"
"""The header that names a conversation, in requests and responses."""
IGNORED = "X-Telic-Ignored"
"""The header that lists the fields of a request that were ignored."""
CAPPED = "X-Telic-Capped"
"""The header that says which limit a reply got instead of what its request asked for."""


def create_app(
    service: Service,
    keys: Keys | None = None,
    hosts: frozenset[str] | None = None,
    on_start: Callable[[], None] = lambda: None,
    *,
    dashboard: bool = False,
) -> FastAPI:
    """Make the application of a server. Its `state.service` is the service.

    Args:
        service: replies to requests and stores conversations; the application starts and closes it.
        keys: API keys; without any, the server accepts every request that reaches it.
        hosts: host names of the server; None: any.
        on_start: called when the server has started.
        dashboard: whether to add the dashboard, at `/dashboard/`; a process can have only one.

    Raises:
        ConfigError: the process has a dashboard already; the dashboard's readers cannot be loaded; every web page
            could use a server without keys.
        MissingExtraError: NiceGUI is not installed, which the dashboard needs.
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

    # No documentation pages: FastAPI's own load scripts from another host.
    app = FastAPI(
        title="Telic", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False
    )
    app.state.service = service
    _add_error_handlers(app)
    _add_routes(app, _Api(service, keys))
    add_memory_routes(app, service, keys)
    if dashboard:
        mount(app, service, keys)
    _add_middleware(app, keys, hosts, service.config.allow_origins)
    return app


def _add_middleware(app: FastAPI, keys: Keys, hosts: frozenset[str] | None, origins: tuple[str, ...]) -> None:
    """Add what all requests pass; the last one is the outermost."""
    if ANY_ORIGIN in origins and not keys:
        raise ConfigError(
            "allow_origins has '*', and there are no API keys: every web page could use the server. Name the origins, "
            "or make a key with: telic keys NAME"
        )
    if origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "PUT", "DELETE"],
            allow_headers=["*"],
            expose_headers=[CONVERSATION, IGNORED, CAPPED, REQUEST_ID, "Retry-After"],
        )
    app.add_middleware(HostOriginMiddleware, hosts=hosts, origins=origins)
    app.add_middleware(RequestLogMiddleware)


def _add_routes(app: FastAPI, api: _Api) -> None:
    for prefix in ("/v1", ""):  # llama.cpp's clients omit the version
        app.add_api_route(f"{prefix}/chat/completions", api.chat, methods=["POST"])
        app.add_api_route(f"{prefix}/models", api.models, methods=["GET", "HEAD"])
    app.add_api_route("/v1/models/{name:path}", api.model, methods=["GET", "HEAD"])
    for path in ("/healthz", "/health"):
        app.add_api_route(path, api.health, methods=["GET", "HEAD"])
    app.add_api_route("/metrics", api.metrics, methods=["GET"])
    app.add_api_route("/telic/conversations", api.export, methods=["GET"])
    app.add_api_route("/telic/conversations", api.delete, methods=["DELETE"])
    app.add_api_route("/telic/events", api.report_event, methods=["POST"])
    app.add_api_route("/telic/consent", api.consent, methods=["GET"])
    app.add_api_route("/telic/consent", api.set_consent, methods=["PUT"])
    app.add_api_route("/telic/canary", api.canary, methods=["GET"])


class _Api:
    """The routes."""

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys

    async def chat(self, request: Request) -> Response:
        """Answer a chat completion."""
        metrics, start = self._service.metrics, time.perf_counter()
        try:
            response = await self._answer_chat(request, start)
        except ApiError as error:
            response = error_response(error)
        except ClientDisconnectedError:
            response = Response(status_code=CLIENT_CLOSED_REQUEST)
        metrics.requests.labels(str(response.status_code)).inc()
        return response

    async def _answer_chat(self, request: Request, start: float) -> Response:
        service = self._service
        holder = authenticate(request.headers, self._keys)
        with ExitStack() as resources:
            resources.enter_context(service.limits.admit(holder))
            resources.callback(lambda: service.metrics.request_seconds.observe(time.perf_counter() - start))
            content = await read_body(request, service.config.max_body_bytes, service.config.body_seconds)
            body = parse_request(content)
            sub_user = body.user or body.safety_identifier
            user = f"{holder}/{sub_user}" if sub_user else holder
            conversation = request.headers.get(CONVERSATION) or body.conversation
            exchange = await service.begin(user, body, conversation)
            resources.callback(lambda: self._count(holder, exchange))
            resources.callback(exchange.close)
            await while_connected(request, exchange.wait_for_first_event())
            service.metrics.first_token_seconds.observe(time.perf_counter() - start)
            metadata = ResponseMetadata(f"chatcmpl-{uuid4().hex}", int(time.time()), service.purpose.name)
            headers = {CONVERSATION: exchange.conversation}
            if body.ignored:
                headers[IGNORED] = ", ".join(body.ignored)
            if body.requested_tokens > service.config.max_new_tokens:
                headers[CAPPED] = f"max_tokens={service.config.max_new_tokens}"
            if body.stream:
                lines = stream_response(exchange, exchange.runner, metadata, body)
                return HeldStream(lines, resources.pop_all(), headers=headers)
            text = await while_connected(request, make_response(exchange, exchange.runner, metadata, body))
            return Response(text, 200, {**SAFETY_HEADERS, **headers}, "application/json")

    def _count(self, holder: str, exchange: Exchange) -> None:
        """Count the tokens of an exchange that has ended, for the limits and for the log."""
        self._service.limits.spend(holder, exchange.computed_tokens)
        record = current_record()
        record.tokens, record.conversation = exchange.computed_tokens, exchange.conversation

    async def models(self, request: Request) -> Response:
        """List the served model."""
        authenticate(request.headers, self._keys)
        return json_response({"object": "list", "data": [self._model]})

    async def model(self, name: str, request: Request) -> Response:
        """Describe the served model."""
        authenticate(request.headers, self._keys)
        if name != self._service.purpose.name:
            raise ApiError(404, f"unknown model; this server has {self._model['id']!r}", code="model_not_found")
        return json_response(self._model)

    @property
    def _model(self) -> dict[str, object]:
        service = self._service
        return {"id": service.purpose.name, "object": "model", "created": service.created, "owned_by": "telic"}

    async def health(self) -> Response:
        """Report the version, and whether requests are answered: 503, with the parts that fail, if they are not."""
        failing = await self._service.health.failing()
        version = {"version": self._service.version}
        if (refused := self._service.refused) is not None:
            version["refused"] = refused.version  # why is for those who have a key
        if failing:
            return json_response({"status": "failed", "failing": failing, **version}, 503)
        return json_response({"status": "ok", **version})

    def metrics(self, request: Request) -> Response:  # in a thread: `cache_bytes` waits for the engine's current pass
        """Report the metrics to Prometheus."""
        authenticate(request.headers, self._keys)
        service = self._service
        service.metrics.active_requests.set(service.limits.active_count)
        service.metrics.conversations.set(sum(len(one.sessions) for one in service.loaded))
        service.metrics.versions_loaded.set(len(service.loaded))
        if service.runner.local is not None:
            service.metrics.cache_bytes.set(service.runner.local.cache_bytes)
        return Response(service.metrics.text(), headers=SAFETY_HEADERS, media_type=CONTENT_TYPE_LATEST)

    async def export(self, request: Request) -> Response:
        """Export a user's conversations, an episode per line."""
        holder = authenticate(request.headers, self._keys)
        user = named_user(request, holder)
        with ExitStack() as resources:
            resources.enter_context(self._service.limits.admit(holder))
            return HeldStream(self._lines(user), resources.pop_all(), "application/x-ndjson")

    async def _lines(self, user: str) -> AsyncIterator[str]:
        async with aclosing(self._service.store.exported(user)) as episodes:
            async for episode in episodes:
                yield episode.model_dump_json() + "\n"

    async def delete(self, request: Request) -> Response:
        """Delete everything stored about a user."""
        holder = authenticate(request.headers, self._keys)
        user = named_user(request, holder)
        with self._service.limits.admit(holder):
            return json_response({"deleted": await self._service.delete_user(user)})

    async def report_event(self, request: Request) -> Response:
        """Store an event that another system reports about a conversation of the key's holder."""
        holder, service = authenticate(request.headers, self._keys), self._service
        with service.limits.admit(holder):
            try:
                content = await read_body(request, service.config.max_body_bytes, service.config.body_seconds)
                report = EventReport.parse(content)
            except DataError as error:
                raise ApiError(400, str(error), param=str(error).partition(":")[0]) from None
            except ClientDisconnectedError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            status = await service.store.add_event(holder, report)
            if service.memories is not None and status == "stored":
                await service.memories.observe_report(holder, report)
        current_record().conversation = report.conversation
        return json_response({"id": report.id, "status": status}, 201 if status == "stored" else 200)

    async def consent(self, request: Request) -> Response:
        """Say whether the conversations of a user may be learnt from."""
        user = named_user(request, authenticate(request.headers, self._keys))
        return json_response({"learn": await self._service.store.consent(user), "rule": self._service.config.learn})

    async def set_consent(self, request: Request) -> Response:
        """Store whether the conversations of a user may be learnt from."""
        holder, service = authenticate(request.headers, self._keys), self._service
        user = named_user(request, holder)
        with service.limits.admit(holder):
            try:
                content = await read_body(request, service.config.max_body_bytes, service.config.body_seconds)
            except ClientDisconnectedError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            learn = parse_consent(content)
            await service.store.set_consent(user, learn)
        return json_response({"learn": learn, "rule": service.config.learn})

    async def canary(self, request: Request) -> Response:
        """Say what is known of the canary."""
        authenticate(request.headers, self._keys)
        canary = self._service.canary
        version = {"version": self._service.version}
        return json_response({**version, "canary": None if canary is None else canary.state()})


def _add_error_handlers(app: FastAPI) -> None:
    """Register handlers that answer every error in OpenAI's form, an unexpected one without its details."""

    @app.exception_handler(ApiError)
    async def api_error(_request: Request, error: ApiError) -> Response:
        return error_response(error)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, error: HTTPException) -> Response:
        advice = "; chat completions are at /v1/chat/completions" if error.status_code == 404 else ""
        message = f"{error.detail}: {request.method} on this path{advice}"
        return error_response(ApiError(error.status_code, message, headers=dict(error.headers or {})))

    @app.exception_handler(Exception)
    async def unexpected(request: Request, _error: Exception) -> Response:
        name = record_of(request.scope).id  # uvicorn logs the traceback
        message = f"internal server error; see the server's log at id={name}"
        return error_response(ApiError(500, message, headers={REQUEST_ID: name}))
