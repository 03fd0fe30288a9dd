"""What all pages have in common: the head with its links, light and dark, the style."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nicegui import ui
from starlette.requests import Request

from telic.server.dashboard.access import HOLDER, SERVICE
from telic.server.dashboard.elements import box, button, choice, style_sheet, text
from telic.server.dashboard.mounting import PATH
from telic.server.guard import NOBODY
from telic.server.service import Service

__all__ = ["VIEWS", "frame", "holder_of", "service_of"]

THEME = "telic_theme"
THEMES = {"auto": None, "light": False, "dark": True}
VIEWS = {"chat": "Chat", "mind": "Beliefs and drift", "list": "Conversations"}
"""What a narrow screen shows one at a time."""


def service_of(request: Request) -> Service:
    """What a page talks to."""
    service: Service = request.scope[SERVICE]
    return service


def holder_of(request: Request) -> str:
    """Whose key a page is shown for."""
    holder: str = request.scope[HOLDER]
    return holder


@contextmanager
def frame(request: Request, here: str, on_view: Callable[[str], Any] | None = None) -> Iterator[dict[str, Any]]:
    """Draw the head of a page, and go on within its body.

    Args:
        request: for the page.
        here: `chat` or `runs`.
        on_view: told which of `VIEWS` a narrow screen is to show.

    Yields:
        The buttons of those, by name.
    """
    service, theme = service_of(request), request.cookies.get(THEME, "auto")
    theme = theme if theme in THEMES else "auto"
    ui.add_head_html(f"<style>{style_sheet()}</style>")
    ui.page_title(f"{service.purpose.name} · Telic")
    dark = ui.dark_mode(THEMES[theme])
    views: dict[str, Any] = {}

    def set_theme(name: str) -> None:
        if name in THEMES:
            dark.value = THEMES[name]
            ui.run_javascript(f"document.cookie = '{THEME}={name}; path={PATH}; max-age=31536000; samesite=strict'")

    with box("div", "telic"):
        text("To the content", "a", "skip", href="#content")
        with box("header", "top"):
            with box("div", "purpose"):
                text(service.purpose.name, "h1")
                text(f"on {service.model.name}", "span", "hint")
            with box("nav", "links", aria_label="Pages"):
                for name, label, target in (("chat", "Chat", f"{PATH}/"), ("runs", "Runs", f"{PATH}/runs")):
                    text(label, "a", "", href=target, **({"aria_current": "page"} if here == name else {}))
            choice(
                [(name, name.capitalize()) for name in THEMES], theme, set_theme, aria_label="Colours", class_="theme"
            )
            if holder_of(request) != NOBODY:
                with box("form", "leave", method="post", action=f"{PATH}/logout"):
                    text(f"Leave ({holder_of(request)})", "button", "small", type="submit")
        if on_view is not None:
            with box("nav", "views", aria_label="View"):
                for name, label in VIEWS.items():
                    views[name] = button(label, partial(on_view, name), aria_pressed=str(name == "chat").lower())
        with box("main", "content", id="content", tabindex="-1"):
            yield views
