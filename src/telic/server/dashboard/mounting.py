"""Adding the dashboard to a server's application."""

from __future__ import annotations

import importlib.util
import logging
import warnings
from typing import TYPE_CHECKING

from starlette.responses import RedirectResponse

from telic.errors import ConfigError, MissingExtraError
from telic.server.dashboard.paths import PATH

if TYPE_CHECKING:
    from fastapi import FastAPI

    from telic.server.keys import Keys
    from telic.server.service import Service

__all__ = ["mount", "require_dashboard"]


def require_dashboard() -> None:
    """Check that NiceGUI is installed.

    Raises:
        MissingExtraError: it is not.
    """
    if importlib.util.find_spec("nicegui") is None:
        raise MissingExtraError("the dashboard", "server")


def mount(app: FastAPI, service: Service, keys: Keys) -> None:
    """Add the dashboard to an application that has not started. NiceGUI allows one per process.

    Raises:
        ConfigError: the process has a dashboard already; the readers that the settings name cannot be loaded.
        MissingExtraError: NiceGUI is not installed.
    """
    require_dashboard()
    from nicegui import core, ui

    from telic.server.dashboard.chat_page import register_chat_pages
    from telic.server.dashboard.issues_page import register_issue_pages
    from telic.server.dashboard.learning_page import register_learning_page
    from telic.server.dashboard.login import LoginMiddleware
    from telic.server.dashboard.memory_page import register_memory_page
    from telic.server.dashboard.runs_page import register_runs_page
    from telic.server.learning import LearningCache

    if core.app.config.has_run_config:
        raise ConfigError("this process already serves a dashboard; start the other server in its own process")
    service.beliefs.load()  # raises now, before the server starts
    # NiceGUI searches all objects for its server, and touches objects that torch has deprecated.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"nicegui\.ui_run_with")
    logging.getLogger("nicegui").setLevel(logging.ERROR)  # it warns of every page that is not found
    register_chat_pages()
    register_learning_page(LearningCache(service))
    register_runs_page()
    register_memory_page()
    register_issue_pages()
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
    app.add_middleware(LoginMiddleware, service=service, keys=keys, path=PATH)

    async def redirect() -> RedirectResponse:
        return RedirectResponse(f"{PATH}/")

    for path in ("/", PATH):
        app.add_api_route(path, redirect, methods=["GET"])
