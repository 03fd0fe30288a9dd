"""Self-contained report pages: escaped HTML, inline CSS, inline SVG; light and dark, wide and narrow.

Text is escaped unless it is `Html`, which only this package makes. So a transcript cannot break out of the page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

from telic.reports.theme import report_style_sheet

__all__ = ["Html", "details", "element", "page", "section", "table", "tiles"]

VOID = frozenset({"br", "hr", "input", "meta"})


class Html(str):
    """Markup that goes into a page without escaping."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool) -> Html:
    """Return an element. Attributes are escaped, and children that are not `Html`; `class_` gives `class`."""
    written = ""
    for name, value in attributes.items():
        key = name.rstrip("_").replace("_", "-")
        if value is True:
            written += f" {key}"
        elif value is not False:
            written += f' {key}="{html.escape(value)}"'
    if tag in VOID:
        return Html(f"<{tag}{written}>")
    return Html(f"<{tag}{written}>{_join(children)}</{tag}>")


def section(title: str, *children: str) -> Html:
    """Return a section with a title."""
    return element("section", element("h2", title), *children)


def details(summary: str, *children: str) -> Html:
    """Return a part of the page that opens on a click."""
    return element("details", element("summary", summary), *children)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Html:
    """Return a table. It scrolls sideways if it is too wide; its first column names the rows."""
    body = [element("tr", *(element("td" if i else "th", cell) for i, cell in enumerate(row))) for row in rows]
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    inner = [element("thead", head), element("tbody", *body)]
    if caption:
        inner.insert(0, element("caption", caption))
    return element("div", element("table", *inner), class_="scroll", tabindex="0")


def tiles(items: Iterable[tuple[str, str]]) -> Html:
    """Return key figures side by side, each with a label and a value; an interval in brackets has its own line."""
    shown = []
    for label, value in items:
        estimate, bracket, rest = value.partition(" [")
        parts = [estimate, element("span", f"[{rest}", class_="range")] if bracket else [value]
        shown.append(element("div", element("dt", label), element("dd", *parts)))
    return element("dl", *shown, class_="tiles")


def page(title: str, lead: str, *sections: str, above: Sequence[str] = (), head: Sequence[str] = ()) -> str:
    """Return the whole page as text. It loads nothing: no style sheet, no image, no font.

    Args:
        title: the title, small above the lead.
        lead: the finding.
        *sections: the body.
        above: what stands above the title, such as a link.
        head: further elements of the page's head.
    """
    whole_head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(report_style_sheet())),
        *head,
    )
    header = element("header", *above, element("h1", title), element("p", lead, class_="lead"))
    body = element("body", element("main", header, *sections))
    return f"<!doctype html>\n{element('html', whole_head, body, lang='en')}\n"


def _join(children: Iterable[str]) -> str:
    return "".join(child if isinstance(child, Html) else html.escape(child) for child in children)
