"""Plain HTML elements with plain text in them: what a message says is never taken for markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

__all__ = ["box", "button", "choice", "pressed", "shown", "style_sheet", "text"]


@cache
def style_sheet() -> str:
    """The style of all pages."""
    return (resources.files("telic.server.dashboard") / "style.css").read_text(encoding="utf-8")


def box(tag: str = "div", classes: str = "", **attributes: str) -> Element:
    """An element that holds others. Underscores in the attributes' names are written as dashes."""
    made = ui.element(tag).classes(classes)
    _describe(made, attributes)
    return made


def text(content: str, tag: str = "span", classes: str = "", **attributes: str) -> TextElement:
    """An element that holds a text."""
    made = TextElement(tag=tag, text=content)
    made.classes(classes)
    _describe(made, attributes)
    return made


def button(label: str, on_click: Callable[[], Any], *, icon: str = "", classes: str = "", **attributes: str) -> Element:
    """A button with a text, or with an icon that `aria_label` names."""
    made = box("button", classes, type="button", **attributes)
    made.on("click", lambda: on_click(), args=[])
    with made:
        if icon:
            ui.icon(icon).props("aria-hidden=true")
        if label:
            text(label)
    return made


def choice(
    options: Iterable[tuple[str, str]], value: str, on_change: Callable[[str], Any], **attributes: str
) -> Element:
    """A list of which one is chosen: pairs of a value and what it is called."""
    made = box("select", **attributes)
    made.on("change", lambda event: on_change(str(event.args)), js_handler="(event) => emit(event.target.value)")
    with made:
        for own, called in options:
            option = text(called, "option", value=own)
            if own == value:
                option.props["selected"] = True
    return made


def pressed(made: Element, on: bool) -> None:
    """Say whether a button is pressed in."""
    if made.props.get("aria-pressed") != str(on).lower():
        made.props["aria-pressed"] = str(on).lower()


def shown(made: Element, on: bool) -> None:
    """Show an element, or hide it from everyone."""
    if made.visible != on:
        made.set_visibility(on)


def _describe(made: Element, attributes: dict[str, str]) -> None:
    made.props.update({name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
