"""HTML elements with plain text: no text is interpreted as markup."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from typing import Any

from nicegui import ui
from nicegui.element import Element
from nicegui.elements.mixins.text_element import TextElement

__all__ = ["box", "button", "dashboard_style", "select", "set_pressed", "set_visible", "text"]


@cache
def dashboard_style() -> str:
    """Read the style sheet of all pages."""
    return (resources.files("telic.server.dashboard") / "style.css").read_text(encoding="utf-8")


def box(tag: str = "div", classes: str = "", **attributes: str) -> Element:
    """Make an element that contains others. Underscores in the names of attributes become dashes."""
    element = ui.element(tag).classes(classes)
    _set_attributes(element, attributes)
    return element


def text(content: str, tag: str = "span", classes: str = "", **attributes: str) -> TextElement:
    """Make an element that contains a text."""
    element = TextElement(tag=tag, text=content)
    element.classes(classes)
    _set_attributes(element, attributes)
    return element


def button(label: str, on_click: Callable[[], Any], *, icon: str = "", classes: str = "", **attributes: str) -> Element:
    """Make a button with a text, or with an icon that `aria_label` names."""
    element = box("button", classes, type="button", **attributes)
    element.on("click", lambda: on_click(), args=[])
    with element:
        if icon:
            ui.icon(icon).props("aria-hidden=true")
        if label:
            text(label)
    return element


def select(
    options: Iterable[tuple[str, str]], value: str, on_change: Callable[[str], Any], **attributes: str
) -> Element:
    """Make a drop-down list. Each option is a pair of a value and its label."""
    element = box("select", **attributes)
    element.on("change", lambda event: on_change(str(event.args)), js_handler="(event) => emit(event.target.value)")
    with element:
        for own, label in options:
            option = text(label, "option", value=own)
            if own == value:
                option.props["selected"] = True
    return element


def set_pressed(element: Element, on: bool) -> None:
    """Set the state of a toggle button."""
    if element.props.get("aria-pressed") != str(on).lower():
        element.props["aria-pressed"] = str(on).lower()


def set_visible(element: Element, on: bool) -> None:
    """Show an element, or hide it, also from screen readers."""
    if element.visible != on:
        element.set_visibility(on)


def _set_attributes(element: Element, attributes: dict[str, str]) -> None:
    element.props.update({name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()})
