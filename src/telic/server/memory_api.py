"""The HTTP routes of the memory: what is believed of a user, why, corrections, forgetting."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from telic.memory import new_event
from telic.server.authentication import authenticate
from telic.server.errors import ApiError
from telic.server.history import storable
from telic.server.http_requests import CLIENT_CLOSED_REQUEST, ClientDisconnectedError, named_user, read_body
from telic.server.http_responses import HeldStream, json_response
from telic.server.keys import Keys
from telic.server.service import Service
from telic.server.user_memories import UserMemories

__all__ = ["MemoryNote", "add_memory_routes"]

Text = Annotated[str, Field(min_length=1, max_length=500, pattern=r"\S"), AfterValidator(storable)]
PATH = "/telic/memory"


class MemoryNote(BaseModel):
    """What a client tells the memory about a user: a correction by hand, or a choice that the user made."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Text
    """The value of the slot, or the option that the user took or refused."""
    slot: Annotated[str, Field(min_length=1, max_length=60, pattern=r"\S"), AfterValidator(storable)] = "taste"
    """What it is about: `home`, `diet`, a slot of the purpose, or `taste` for likes and dislikes."""
    kind: Literal["correction", "choice"] = "correction"
    """`correction`: it replaces what was believed. `choice`: one weak observation."""
    polarity: Literal[1, -1] = 1
    """1: it is so, is liked, or was taken. -1: it is not so, is disliked, or was refused."""
    scope: Annotated[str, Field(max_length=200), AfterValidator(storable)] = ""
    """Of a choice: the situation in which it holds; empty: everywhere."""

    @classmethod
    def parse(cls, body: bytes) -> MemoryNote:
        """Read a note from JSON.

        Raises:
            ApiError: it is no note; the message names the field.
        """
        try:
            return cls.model_validate_json(body)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, first["loc"])) or "body"
            raise ApiError(400, f"{field}: {first['msg']}", param=field) from None


def add_memory_routes(app: FastAPI, service: Service, keys: Keys) -> None:
    """Add the routes to an application."""
    api = _MemoryApi(service, keys)
    app.add_api_route(PATH, api.show, methods=["GET"])
    app.add_api_route(PATH, api.note, methods=["POST"])
    app.add_api_route(PATH, api.forget, methods=["DELETE"])
    app.add_api_route(f"{PATH}/why", api.why, methods=["GET"])
    app.add_api_route(f"{PATH}/undo", api.undo, methods=["POST"])
    app.add_api_route(f"{PATH}/export", api.export, methods=["GET"])


class _MemoryApi:
    """The routes. A key reaches the memory of its holder and of the users that its requests named, one at a time."""

    def __init__(self, service: Service, keys: Keys) -> None:
        self._service, self._keys = service, keys

    async def show(self, request: Request) -> Response:
        """Answer what is believed of a user."""
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            return json_response({"user": user, **await memories.describe(user)})

    async def why(self, request: Request) -> Response:
        """Answer why it is believed: the evidence, with the user's words."""
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            reasons = await memories.why(user, _about(request))
            return json_response({"user": user, "reasons": [reason.as_dict() for reason in reasons]})

    async def note(self, request: Request) -> Response:
        """Take a correction or a choice."""
        config = self._service.config
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            if not memories.remembers(user):
                message = (
                    f"nothing is remembered about {user!r}, because requests under this key may come from several "
                    "people; name the user with ?user=, or set named_users_only = false in [memory]"
                )
                raise ApiError(409, message, param="user", code="not_remembered")
            try:
                note = MemoryNote.parse(await read_body(request, config.max_body_bytes, config.body_seconds))
            except ClientDisconnectedError:
                return Response(status_code=CLIENT_CLOSED_REQUEST)
            data: dict[str, Any] = {"slot": note.slot, "polarity": note.polarity}
            if note.kind == "choice":
                data = {"slot": note.slot, "taken": note.polarity > 0, "scope": note.scope}
            event = new_event(note.kind, note.value, "api", **data)
            await memories.observe(user, event)
            return json_response({"id": event.id}, 201)

    async def undo(self, request: Request) -> Response:
        """Take back the latest claim."""
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            return json_response({"undone": await memories.undo(user)})

    async def forget(self, request: Request) -> Response:
        """Forget what `?about=` names; without it, everything."""
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            return json_response({"removed": await memories.forget(user, _about(request))})

    async def export(self, request: Request) -> Response:
        """Export a user's evidence log, an event per line."""
        with ExitStack() as resources:
            memories, user = self._open(request, resources)
            return HeldStream(self._lines(memories, user), resources.pop_all(), "application/x-ndjson")

    async def _lines(self, memories: UserMemories, user: str) -> AsyncIterator[str]:
        for event in await memories.events(user):
            yield json.dumps(event.as_dict(), ensure_ascii=False) + "\n"

    def _open(self, request: Request, resources: ExitStack) -> tuple[UserMemories, str]:
        holder = authenticate(request.headers, self._keys)
        user = named_user(request, holder)
        memories = self._service.memories
        if memories is None:
            raise ApiError(404, "this purpose remembers nothing; add a [memory] table to its file", code="no_memory")
        resources.enter_context(self._service.limits.admit(holder))
        return memories, user


def _about(request: Request) -> str:
    """Return what a request is about.

    Raises:
        ApiError: it is empty, or there are several.
    """
    given = request.query_params.getlist("about")
    if len(given) > 1 or (given and not given[0].strip()):
        message = f"?about is {', '.join(map(repr, given))}; expected some words once, or no ?about for everything"
        raise ApiError(400, message, param="about")
    return given[0] if given else ""
