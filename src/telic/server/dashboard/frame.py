"""The parts that all pages share: the header with its links, the theme, the style."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nicegui import ui
from starlette.requests import Request

from telic.promotion.records import BASE
from telic.server.authentication import LOCAL_USER
from telic.server.dashboard.elements import box, button, dashboard_style, select, text
from telic.server.dashboard.login import key_holder, page_service
from telic.server.dashboard.paths import PATH

__all__ = ["VIEWS", "frame"]

THEME = "telic_theme"
THEMES = {"auto": None, "light": False, "dark": True}
PAGES = (
    ("chat", "Chat", f"{PATH}/"),
    ("learning", "Learning", f"{PATH}/learning"),
    ("issues", "Issues", f"{PATH}/issues"),
    ("runs", "Runs", f"{PATH}/runs"),
)
"""Name, label and address of each page."""
VIEWS = {"chat": "Chat", "panels": "Beliefs and drift", "list": "Conversations"}
"""The views of the chat page, of which a narrow screen shows one at a time."""


@contextmanager
def frame(request: Request, page: str, on_view: Callable[[str], Any] | None = None) -> Iterator[dict[str, Any]]:
    """Draw the header of a page, and enter its body.

    Args:
        request: the request for the page.
        page: `chat`, `learning`, `memory`, `issues` or `runs`.
        on_view: called with the name in `VIEWS` that a narrow screen should show.

    Yields:
        The buttons of the views, by name.
    """
    service, theme = page_service(request), request.cookies.get(THEME, "auto")
    theme = theme if theme in THEMES else "auto"
    ui.add_head_html(f"<style>{dashboard_style()}</style>")
    ui.page_title(f"{service.purpose.name} · Telic")
    dark = ui.dark_mode(THEMES[theme])
    views: dict[str, Any] = {}

    def set_theme(name: str) -> None:
        if name in THEMES:
            dark.value = THEMES[name]
            ui.run_javascript(f"document.cookie = '{THEME}={name}; path={PATH}; max-age=31536000; samesite=strict'")

    with box("div", "telic"):
        text("Skip to content", "a", "skip", href="#content")
        with box("header", "top"):
            with box("div", "purpose"):
                text(service.purpose.name, "h1")
                version = "" if service.version == BASE else f"{service.version} "
                text(f"{version}on {service.runner.model.name}", "span", "hint")
            with box("nav", "links", aria_label="Pages"):
                remembers = [("memory", "Memory", f"{PATH}/memory")] if service.memories is not None else []
                for name, label, target in (*PAGES[:2], *remembers, *PAGES[2:]):
                    text(label, "a", "", href=target, **({"aria_current": "page"} if page == name else {}))
            select(
                [(name, name.capitalize()) for name in THEMES], theme, set_theme, aria_label="Colours", class_="theme"
            )
            holder = key_holder(request)
            if holder != LOCAL_USER:
                with box("form", "logout", method="post", action=f"{PATH}/logout"):
                    text(f"Log out ({holder})", "button", "small", type="submit")
        if on_view is not None:
            with box("nav", "views", aria_label="View"):
                for name, label in VIEWS.items():
                    views[name] = button(label, partial(on_view, name), aria_pressed=str(name == "chat").lower())
        with box("main", "content", id="content", tabindex="-1"):
            yield views
