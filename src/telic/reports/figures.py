"""Figures: drawn by matplotlib in the light theme's colours; written as inline SVG, as a file in SVG, or as PNG.

In a page the colours become CSS variables of the theme, so that a figure follows light and dark. A file in SVG is in
one of the two.
"""

from __future__ import annotations

import html
import io
import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from scipy.optimize import isotonic_regression

from telic.files import write_atomically
from telic.reports.html import Html, element
from telic.reports.theme import DARK, FONTS, GRID, INK, MUTED, PAGE, Theme

__all__ = [
    "LineEnd",
    "figure",
    "figure_svg",
    "label_lines",
    "legend_above",
    "save_png",
    "style_axes",
    "title_figure",
    "write_svg",
]

FRAME = 75
"""About how much of a figure's height the title and the labels of the x axis take, in points."""
LINE_HEIGHT = 12.0
"""Height of a line of text, in points."""


@dataclass(frozen=True, slots=True)
class LineEnd:
    """The right end of a line in a figure, with its name and colour."""

    x: float
    y: float
    name: str
    color: str


def figure(width: float, height: float) -> Figure:
    """Return an empty figure; width and height in inches. It needs no display and keeps no global state."""
    drawn = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.08, h_pad=0.06))
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


def title_figure(drawn: Figure, title: str, subtitle: str = "") -> None:
    """Write the finding above a figure, and below it what is plotted; both wrapped to the figure's width."""
    width = drawn.get_figwidth() * 72 - 20
    size, small = 11.5, 9.0
    text = textwrap.fill(title, int(width / (0.56 * size)))
    drawn.suptitle(text, x=0.012, ha="left", color=INK, fontsize=size, fontweight="bold", parse_math=False)
    if subtitle:
        text = textwrap.fill(subtitle, int(width / (0.53 * small)))
        drawn.axes[0].set_title(text, loc="left", pad=8, color=MUTED, fontsize=small, parse_math=False)


def label_lines(axes: Axes, ends: Sequence[LineEnd]) -> None:
    """Write the names of lines at their right ends, apart from each other. Call it when the limits of the axes are set.

    Args:
        axes: the axes that the lines are in.
        ends: the right end of each line, with its name and colour.
    """
    if not ends:
        return
    low, high = axes.get_ylim()
    drawn = axes.get_figure(root=True)
    assert drawn is not None
    height = max(drawn.get_figheight() * 72 - FRAME, LINE_HEIGHT)
    ordered = sorted(ends, key=lambda end: end.y)
    wanted = np.array([(end.y - low) / (high - low) * height for end in ordered])
    steps = LINE_HEIGHT * np.arange(len(ordered))
    # The places nearest to the wanted ones that are at least a line's height apart.
    placed = isotonic_regression(wanted - steps).x + steps
    placed = placed - max(0.0, placed[-1] - height)
    placed = placed + max(0.0, -placed[0])
    right = max(end.x for end in ends)
    for end, place, want in zip(ordered, placed, wanted, strict=True):
        axes.annotate(
            end.name, (right, end.y), (8, float(place - want)), textcoords="offset points", va="center",
            color=end.color, fontsize=9, annotation_clip=False, parse_math=False,
        )  # fmt: skip


def legend_above(axes: Axes, columns: int = 3) -> None:
    """Write the legend above the axes, where it hides no line."""
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, frameon=False, fontsize=8.5, labelcolor=INK,
        handlelength=2.5, borderaxespad=0.2, columnspacing=1.5,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)


def figure_svg(drawn: Figure, alt: str, caption: str = "") -> Html:
    """Return a figure as inline SVG that follows the page's theme. Equal figures give equal text.

    Args:
        drawn: the figure.
        alt: what the figure shows, for screen readers. The ids in the SVG depend on it, so no two figures of a page
            may share it.
        caption: text under the figure.
    """
    view_box, content = _svg(drawn, alt, {color: f"var(--c{color[1:]})" for color in DARK})
    svg = Html(
        f'<svg xmlns:xlink="http://www.w3.org/1999/xlink" viewBox="{view_box}" xmlns="http://www.w3.org/2000/svg" '
        f'role="img" aria-label="{html.escape(alt)}">{content}</svg>'
    )
    return element("figure", svg, *([element("figcaption", caption)] if caption else []))


def write_svg(drawn: Figure, path: Path, title: str, description: str = "", theme: Theme = "light") -> Path:
    """Write a figure as a file of its own, in one theme. Equal figures give equal files.

    The file loads nothing, its text is text in the reader's own font, and it has the theme's background. So it can be
    shown on any page; with a light and a dark file, a `<picture>` shows the one that fits.

    Args:
        drawn: the figure.
        path: the file; its folder must exist.
        title: what the figure shows, for screen readers.
        description: more on what can be seen, for screen readers.
        theme: the colours.

    Returns:
        The path of the file.
    """
    view_box, content = _svg(drawn, title, DARK if theme == "dark" else {})
    width, height = (round(float(size) * 4 / 3) for size in view_box.split()[2:])  # points to pixels
    names = "title description" if description else "title"
    described = f'<desc id="description">{html.escape(description)}</desc>\n' if description else ""
    write_atomically(
        path,
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="{width}" '
        f'height="{height}" viewBox="{view_box}" role="img" aria-labelledby="{names}">\n'
        f'<title id="title">{html.escape(title)}</title>\n{described}'
        f'<rect width="100%" height="100%" rx="4" fill="{PAGE[theme]}"/>\n{content}\n</svg>\n',
    )
    return path


def save_png(drawn: Figure, path: Path) -> Path:
    """Write a figure as PNG on a white background."""
    drawn.savefig(path, dpi=160, facecolor="white", metadata={"Software": None})
    return path


def _svg(drawn: Figure, salt: str, colors: Mapping[str, str]) -> tuple[str, str]:
    """Return a figure's view box, and its content in other colours. The ids in it depend on the salt."""
    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt}):
        drawn.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    text = buffer.getvalue()
    head, _, rest = text[text.index("<svg") :].partition(">")
    view_box = re.search(r'viewBox="([^"]*)"', head)
    assert view_box is not None
    rest = re.sub(r"<metadata>.*?</metadata>", "", rest[: rest.rindex("</svg>")], count=1, flags=re.DOTALL)
    # Matplotlib's style element would apply to the whole page, and its group ids are the same in every figure.
    rest = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", rest, count=1, flags=re.DOTALL)
    rest = re.sub(r'<g id="[^"]*_\d+"', "<g", rest)
    rest = re.sub(r'style="[^"]*"', lambda style: _restyle(style[0], colors), rest)
    return view_box[1], f'<g stroke-linejoin="round">{rest.strip()}</g>'


def _restyle(style: str, colors: Mapping[str, str]) -> str:
    """Replace the colours and the fonts in a style attribute."""
    style = re.sub(r"'DejaVu Sans'[^;\"]*", FONTS, style)
    return re.sub("#[0-9a-f]{6}", lambda color: colors.get(color[0], color[0]), style)
