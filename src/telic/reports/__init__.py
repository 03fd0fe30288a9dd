"""Reports: self-contained HTML pages with inline figures."""

from telic.reports.figures import figure, figure_svg, save_png, style_axes
from telic.reports.html import Html, details, element, page, section, table, tiles
from telic.reports.theme import COLORS, GRID, INK, MUTED

__all__ = [
    "COLORS",
    "GRID",
    "INK",
    "MUTED",
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
