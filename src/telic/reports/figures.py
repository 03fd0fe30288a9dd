"""Figures of reports: drawn by matplotlib in the light theme's colours, written as inline SVG or as PNG.

In a page the colours become CSS variables of the theme, so that a figure follows light and dark.
"""

from __future__ import annotations

import html
import io
import re
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from telic.reports.html import Html, element
from telic.reports.theme import DARK, GRID, INK, MUTED

__all__ = ["figure", "figure_svg", "save_png", "style_axes"]


def figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches. It needs no display and keeps no global state."""
    drawn = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(drawn)
    return drawn


def style_axes(axes: Axes) -> None:
    """Apply the reports' style: light grid, no box. Call it last: a title that is set later keeps its own size."""
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
    """Return a figure as inline SVG that follows the page's theme. Equal figures give equal text.

    Args:
        drawn: the figure.
        alt: what the figure shows, for screen readers. The ids in the SVG depend on it, so no two figures of a page
            may share it.
        caption: text under the figure.
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
    """Write a figure as PNG on a white background."""
    drawn.savefig(path, dpi=160, facecolor="white", metadata={"Software": None})
    return path


def _theme(style: re.Match[str]) -> str:
    """Replace colours and font in a style attribute by the page's."""
    text = re.sub(r"font-family: [^;\"]*;? ?", "", style[0])
    return re.sub("#[0-9a-f]{6}", lambda color: f"var(--c{color[0][1:]})" if color[0] in DARK else color[0], text)
