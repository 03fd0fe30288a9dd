"""Reports: self-contained HTML pages with inline figures."""

from telic.reports.figures import (
    LineEnd,
    figure,
    figure_svg,
    label_lines,
    legend_above,
    save_png,
    style_axes,
    title_figure,
    write_svg,
)
from telic.reports.html import Html, details, element, page, section, table, tiles
from telic.reports.run_index import write_report, write_run_index
from telic.reports.theme import COLORS, GRID, INK, MARKERS, MUTED, Theme

__all__ = [
    "COLORS",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "Html",
    "LineEnd",
    "Theme",
    "details",
    "element",
    "figure",
    "figure_svg",
    "label_lines",
    "legend_above",
    "page",
    "save_png",
    "section",
    "style_axes",
    "table",
    "tiles",
    "title_figure",
    "write_report",
    "write_run_index",
    "write_svg",
]
