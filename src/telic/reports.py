"""Self-contained report pages: escaped HTML, inline CSS, inline SVG; light and dark, wide and narrow.

Text is escaped unless it is `Html`, which only the functions of this module make: a transcript cannot break out of
the page. Figures are drawn in the light theme's colours; in the page these become the theme's CSS variables.
"""

from __future__ import annotations

import html
import io
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

__all__ = [
    "COLORS",
    "GRID",
    "INK",
    "Html",
    "details",
    "element",
    "figure",
    "figure_svg",
    "page",
    "save_png",
    "section",
    "style_axes",
    "table",
    "tiles",
]

INK = "#24292f"
MUTED = "#68707a"
GRID = "#d9dee4"
COLORS = ("#2563c9", "#c2571a", "#2b8a57", "#8a4bb8", "#b3325c", "#6d7a14")
"""Line colours, in the order of use."""
DARK = {
    INK: "#e3e6ea",
    MUTED: "#9aa3ad",
    GRID: "#3a4149",
    COLORS[0]: "#6ea3f5",
    COLORS[1]: "#ee9a5f",
    COLORS[2]: "#62c491",
    COLORS[3]: "#c08be6",
    COLORS[4]: "#ee7fa3",
    COLORS[5]: "#b9c75a",
}
VOID = frozenset({"br", "hr", "meta"})


class Html(str):
    """Markup that is safe to put into a page as it is."""

    __slots__ = ()


def element(tag: str, *children: str, **attributes: str | bool) -> Html:
    """An element. Children that are not `Html` are escaped, and so are attributes; `class_` gives `class`."""
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
    """A titled section."""
    return element("section", element("h2", title), *children)


def details(summary: str, *children: str) -> Html:
    """A part that opens on a click."""
    return element("details", element("summary", summary), *children)


def table(header: Sequence[str], rows: Iterable[Sequence[str]], caption: str = "") -> Html:
    """A table that scrolls sideways where it does not fit; its first column names the rows."""
    body = [element("tr", *(element("td" if i else "th", cell) for i, cell in enumerate(row))) for row in rows]
    head = element("tr", *(element("th", cell, scope="col") for cell in header))
    inner = [element("thead", head), element("tbody", *body)]
    if caption:
        inner.insert(0, element("caption", caption))
    return element("div", element("table", *inner), class_="scroll", tabindex="0")


def tiles(items: Iterable[tuple[str, str]]) -> Html:
    """Key figures side by side: label and value."""
    return element(
        "dl",
        *(element("div", element("dt", label), element("dd", value)) for label, value in items),
        class_="tiles",
    )


def page(title: str, lead: str, *sections: str) -> str:
    """The whole page as text. It loads nothing: no script, no style sheet, no image, no font."""
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", title),
        element("style", Html(_css())),
    )
    header = element("header", element("h1", title), element("p", lead, class_="lead"))
    body = element("body", element("main", header, *sections))
    return f"<!doctype html>\n{element('html', head, body, lang='en')}\n"


def figure(width: float, height: float) -> Figure:
    """An empty figure; width and height in inches. Needs no display and keeps no global state."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def style_axes(axes: Axes) -> None:
    """The house style: light grid, no box. Call it last: a title that is set later keeps its own size."""
    axes.set_facecolor("none")
    for side in axes.spines.values():
        side.set_visible(False)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=9, labelcolor=MUTED)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(MUTED)
        label.set_fontsize(9)
    axes.title.set_color(INK)
    axes.title.set_fontsize(9.5)


def figure_svg(drawn: Figure, alt: str, caption: str = "") -> Html:
    """The figure as inline SVG that follows the page's theme; equal figures give equal text.

    Args:
        drawn: the figure.
        alt: what it shows, for those who do not see it; also what tells its ids from those of other figures.
        caption: written under it.
    """
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    head, _, rest = text.partition(">")
    head = re.sub(r' (width|height)="[^"]*"', "", head)
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest, count=1, flags=re.DOTALL)
    # Matplotlib's style element would apply to the whole page, and its group ids are the same in every figure.
    rest = re.sub(r'<style type="text/css">.*?</style>', "", rest, count=1, flags=re.DOTALL)
    rest = re.sub(r'<g id="[^"]*_\d+"', "<g", rest)
    rest = re.sub(r'style="[^"]*"', _theme, rest)
    svg = Html(f'{head} role="img" aria-label="{html.escape(alt)}">{rest}'.strip())
    return element("figure", svg, *([element("figcaption", caption)] if caption else []))


def save_png(drawn: Figure, path: Path) -> Path:
    """Write the figure on white."""
    drawn.savefig(path, dpi=160, facecolor="white", metadata={"Software": None})
    return path


def _theme(style: re.Match[str]) -> str:
    """A style attribute with the page's colours and font."""
    text = re.sub(r"font-family: [^;\"]*;? ?", "", style[0])
    return re.sub("#[0-9a-f]{6}", lambda color: f"var(--c{color[0][1:]})" if color[0] in DARK else color[0], text)


def _join(children: Iterable[str]) -> str:
    return "".join(child if isinstance(child, Html) else html.escape(child) for child in children)


def _css() -> str:
    light = "".join(f"--c{color[1:]}:{color};" for color in DARK)
    dark = "".join(f"--c{color[1:]}:{other};" for color, other in DARK.items())
    ink, muted, grid, accent = (f"var(--c{color[1:]})" for color in (INK, MUTED, GRID, COLORS[0]))
    return f"""
:root {{ color-scheme: light dark; --page: #fff; --card: #f5f7f9; {light} }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: #15181c; --card: #1e2329; {dark} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: {ink};
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }}
main {{ max-width: 64rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }}
h1 {{ font-size: 1.05rem; font-weight: 600; color: {muted}; margin: 0 0 .4rem; overflow-wrap: anywhere; }}
.lead {{ font-size: 1.3rem; line-height: 1.35; font-weight: 600; margin: 0 0 1.2rem; max-width: 52rem; }}
h2 {{ font-size: 1.1rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid {grid}; }}
h3 {{ font-size: .95rem; margin: 1.2rem 0 .4rem; }}
p {{ max-width: 44rem; }}
.note {{ color: {muted}; font-size: .88rem; }}
figure {{ margin: .6rem 0; min-width: 0; }}
figure svg {{ display: block; width: 100%; height: auto; }}
figure svg text {{ font-family: inherit; }}
figcaption {{ color: {muted}; font-size: .85rem; }}
.columns {{ display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  align-items: start; }}
.columns > * {{ min-width: 0; }}
.multiples {{ display: grid; gap: .6rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 14rem), 1fr)); }}
.multiples figure {{ max-width: 22rem; }}
.tiles {{ display: grid; gap: .7rem; margin: 0; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }}
.tiles div {{ background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }}
.tiles dt {{ color: {muted}; font-size: .8rem; }}
.tiles dd {{ margin: 0; font-size: 1.05rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }}
.scroll {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: {muted}; padding-bottom: .3rem; }}
th, td {{ padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid {grid}; }}
thead th {{ color: {muted}; font-weight: 500; white-space: nowrap; }}
tbody th {{ font-weight: 500; }}
.numbers td {{ white-space: nowrap; }}
tr > :last-child {{ padding-right: 0; }}
details {{ background: var(--card); border-radius: .5rem; padding: .6rem .9rem; margin: .6rem 0; }}
summary {{ cursor: pointer; font-weight: 500; }}
pre, .text {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; }}
.text + .text {{ margin-top: .3rem; }}
.probe + .probe {{ margin-top: .7rem; }}
.chip {{ display: inline-block; border: 1px solid {grid}; border-radius: 1rem; padding: 0 .5rem; font-size: .8rem;
  font-variant-numeric: tabular-nums; }}
.speaker {{ color: {accent}; font-weight: 600; font-size: .82rem; }}
@media print {{ details {{ break-inside: avoid; }} }}
"""
