"""The routes that Telic adds to a vLLM server, under `/telic/v1`: `model`, `controls`, `formats`, `generate`.

vLLM loads them if its environment says `VLLM_PLUGINS=telic`; `telic vllm-serve` starts a server that way.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import ValidationError

from telic.errors import ConfigError
from telic.models.vllm.control_wire import ControlFiles
from telic.models.vllm.model import supported_points
from telic.models.vllm.plugin.service import PluginService, UnknownControlError
from telic.models.vllm.protocol import PROTOCOL, FormatBody, GenerateBody, ModelCard
from telic.models.vllm.rounds import READ

__all__ = ["TelicEndpoint"]

LARGEST_BODY = 64 << 20
"""Bytes of a request; a planner with its prefixes has a few million."""


class TelicEndpoint:
    """An endpoint plug-in of vLLM."""

    name = "telic"
    required_tasks = ("generate",)

    def attach_router(self, app: FastAPI) -> None:
        """Add the routes."""
        router = APIRouter(prefix="/telic/v1")
        router.add_api_route("/model", _model, methods=["GET"])
        router.add_api_route("/controls", _controls, methods=["POST"])
        router.add_api_route("/formats", _formats, methods=["POST"])
        router.add_api_route("/generate", _generate, methods=["POST"])
        app.include_router(router)

    async def init_state(self, engine_client: Any, state: Any, args: Any) -> None:
        """Make the service, and let the workers observe their models."""
        found = await engine_client.collective_rpc("telic_install")
        state.telic = PluginService(engine_client, hooks_act=all(found))
        state.telic_model = (args.served_model_name or [args.model])[0]
        keys = args.api_key or [os.environ.get("VLLM_API_KEY")]
        state.telic_keys = [key for key in ([keys] if isinstance(keys, str) else keys) if key]


def _service(request: Request) -> PluginService:
    """The service, for those who know a key; vLLM itself guards only its own routes."""
    if keys := request.app.state.telic_keys:
        from vllm.entrypoints.serve.middleware.authenticate import AuthenticationMiddleware

        if not AuthenticationMiddleware(request.app, keys).verify_token(request.headers):
            raise HTTPException(401, "Unauthorized")
    service: PluginService = request.app.state.telic
    return service


async def _model(request: Request) -> ModelCard:
    service = _service(request)
    return ModelCard(
        protocol=PROTOCOL,
        telic=version("telic"),
        vllm=_vllm_version(),
        model=request.app.state.telic_model,
        hidden_size=service.limits.hidden_size,
        layers=service.layers,
        points=sorted(supported_points(service.hooks_act)),
        readings=sorted(READ),
        context_length=service.limits.context_length,
        max_batch=service.limits.max_batch,
    )


async def _controls(request: Request) -> JSONResponse:
    service = _service(request)
    try:
        files = ControlFiles.from_dict(await _body(request))
        return JSONResponse({"key": await service.add_control(files)})
    except (ConfigError, KeyError, TypeError, ValueError) as error:
        raise HTTPException(400, str(error)) from error


async def _formats(request: Request) -> JSONResponse:
    service = _service(request)
    try:
        await service.compile_format(FormatBody.model_validate(await _body(request)).read())
    except ValidationError as error:
        raise HTTPException(400, _first_problem(error)) from error
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    return JSONResponse({})


async def _generate(request: Request) -> Any:
    service = _service(request)
    try:
        body = GenerateBody.model_validate(await _body(request))
        events = _in_own_task(service.answer(body))
        first = await anext(events)
    except ValidationError as error:
        raise HTTPException(400, _first_problem(error)) from error
    except UnknownControlError as error:
        raise HTTPException(409, f"unknown control {error}") from error
    except ConfigError as error:
        raise HTTPException(400, str(error)) from error
    if body.stream:
        return StreamingResponse(_lines(first, events), media_type="application/x-ndjson")
    async with aclosing(events):
        return JSONResponse([first, *[event async for event in events]][-1])


async def _in_own_task(events: AsyncGenerator[Any, None]) -> AsyncGenerator[Any, None]:
    """Yield events that a task of its own produces.

    A response whose client has gone is cancelled at every `await`, so nothing could be tidied up there. The task is
    cancelled once.
    """
    queue: asyncio.Queue[Any] = asyncio.Queue()
    end = object()

    async def produce() -> None:
        try:
            async with aclosing(events):
                async for event in events:
                    queue.put_nowait(event)
        finally:
            queue.put_nowait(end)

    task = asyncio.create_task(produce())
    try:
        while (event := await queue.get()) is not end:
            yield event
        await task  # raises what it has raised
    finally:
        task.cancel()


async def _lines(first: Any, events: AsyncGenerator[Any, None]) -> AsyncGenerator[str, None]:
    """Each event as a line of JSON: pieces of text, then the reply."""
    async with aclosing(events):
        yield json.dumps(first) + "\n"
        async for event in events:
            yield json.dumps(event) + "\n"


async def _body(request: Request) -> dict[str, Any]:
    text = await request.body()
    if len(text) > LARGEST_BODY:
        raise HTTPException(413, f"the request has {len(text)} bytes; at most {LARGEST_BODY} are read")
    try:
        body = json.loads(text)
    except ValueError as error:
        raise HTTPException(400, f"the request is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise HTTPException(400, "the request is no JSON object")
    return body


def _first_problem(error: ValidationError) -> str:
    problem = error.errors()[0]
    return f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"


def _vllm_version() -> str:
    import vllm

    return str(vllm.__version__)
