"""Putting the dashboard on the server's application, beside the API."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from telic.errors import ConfigError, MissingExtraError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from telic.server.keys import Keys
    from telic.server.service import Service

__all__ = ["PATH", "mount", "require_dashboard"]

PATH = "/dashboard"
"""Where it is; the server's root leads there."""


def require_dashboard() -> None:
    """See that what draws the dashboard is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise MissingExtraError("the dashboard", "server")


def mount(app: FastAPI, service: Service, keys: Keys) -> None:
    """Add the dashboard to an application, before it starts. A process has one at most: NiceGUI is one per process.

    Raises:
        ConfigError: the process has one already; the readers that the settings name cannot be used.
        MissingExtraError: NiceGUI is not installed.
    """
    require_dashboard()
    from nicegui import core, ui

    from telic.server.dashboard import page, runs
    from telic.server.dashboard.access import Door

    if core.app.config.has_run_config:
        raise ConfigError("this process serves a dashboard already; start another server in a process of its own")
    _ = service.observer  # what is wrong with its readers is said before anything is served
    # It looks for its server among all objects that there are, and what torch has deprecated is one of them.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"nicegui\.ui_run_with")
    logging.getLogger("nicegui").setLevel(logging.ERROR)  # that a page was not found is no news
    page.register()
    runs.register()
    ui.run_with(
        app,
        mount_path=PATH,
        title="Telic",
        favicon="🎯",
        dark=None,
        language="en-US",
        reconnect_timeout=10,  # seconds: a phone loses its connection for a moment
        tailwind=False,
        show_welcome_message=False,
    )
    app.add_middleware(Door, service=service, keys=keys, path=PATH)

    async def lead_there() -> RedirectResponse:
        return RedirectResponse(f"{PATH}/")

    for path in ("/", PATH):
        app.add_api_route(path, lead_there, methods=["GET"])
