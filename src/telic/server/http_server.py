"""The HTTP server: uvicorn, with a time limit for clients that do not read, and for its own end."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol  # httptools accepts headers of any length

if TYPE_CHECKING:
    from fastapi import FastAPI

    from telic.server.service import Service

__all__ = ["make_server"]


def make_server(app: FastAPI, log_level: str = "warning") -> uvicorn.Server:
    """Make the server of an application that `create_app` made."""
    service: Service = app.state.service
    config = uvicorn.Config(
        app,
        http=_timed_protocol(service.config.write_seconds),
        log_level=log_level,
        timeout_graceful_shutdown=service.config.shutdown_seconds,
        server_header=False,
    )
    return _Server(config, service)


class _Server(uvicorn.Server):
    """Tells the service when it begins to stop."""

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._service.begin_closing()
        await super().shutdown(sockets)


def _timed_protocol(write_seconds: float) -> type[H11Protocol]:
    """Make a protocol that cuts the connection of a client that does not read what it is sent.

    The application then sees a client that has left: the reply is interrupted, and what was told is stored.
    """

    class TimedProtocol(H11Protocol):
        _timer: asyncio.TimerHandle | None = None

        def pause_writing(self) -> None:
            super().pause_writing()
            self._timer = self.loop.call_later(write_seconds, self.transport.abort)

        def resume_writing(self) -> None:
            self._stop_timer()
            super().resume_writing()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return TimedProtocol
