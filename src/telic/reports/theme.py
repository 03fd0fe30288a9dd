"""The colours of reports in light and dark themes, and the style sheet of their pages."""

from __future__ import annotations

from typing import Literal

__all__ = [
    "COLORS",
    "DARK",
    "FONTS",
    "GRID",
    "INK",
    "MARKERS",
    "MUTED",
    "PAGE",
    "Theme",
    "report_style_sheet",
]

Theme = Literal["light", "dark"]
INK = "#24292f"
MUTED = "#616973"
GRID = "#d9dee4"
COLORS = ("#1d4fc4", "#c2530c", "#23804f", "#a24fc4", "#6d0f3f", "#454100")
"""Line colours, in the order of use. They differ in lightness too, for eyes that do not tell red from green, and have
a contrast of at least 4.5 with the page, so that text may have them."""
MARKERS = ("o", "s", "^", "D", "v", "P")
"""The marker of each line colour."""
DARK = {
    INK: "#e3e6ea",
    MUTED: "#9aa3ad",
    GRID: "#3a4149",
    COLORS[0]: "#8cbcff",
    COLORS[1]: "#e57f2d",
    COLORS[2]: "#6fe8a8",
    COLORS[3]: "#a97af4",
    COLORS[4]: "#cc7d92",
    COLORS[5]: "#f5e35a",
}
"""What each colour becomes in the dark theme."""
PAGE: dict[Theme, str] = {"light": "#ffffff", "dark": "#15181c"}
"""The background of each theme."""
FONTS = "system-ui, -apple-system, Segoe UI, Roboto, Helvetica Neue, Arial, sans-serif"
"""The fonts of pages and figures; all are the reader's own."""

_STYLE_SHEET = """
:root {{ color-scheme: light dark; --page: {page_light}; --card: #f5f7f9; {light}
  --ink: {ink}; --muted: {muted}; --grid: {grid}; --accent: {accent}; --good: {good}; --warn: {warn}; }}
@media (prefers-color-scheme: dark) {{ :root {{ --page: {page_dark}; --card: #1e2329; {dark} }} }}
* {{ box-sizing: border-box; }}
body {{ margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.55 {fonts}; }}
main {{ max-width: 70rem; margin: 0 auto; padding: 1.5rem 1.25rem 4rem; }}
a {{ color: var(--accent); }}
a:focus-visible, summary:focus-visible, input:focus-visible, select:focus-visible, .scroll:focus-visible {{
  outline: 2px solid var(--accent); outline-offset: 2px; }}
.back {{ display: inline-block; font-size: .88rem; margin-bottom: .8rem; }}
.back::before {{ content: "← "; }}
h1 {{ font-size: 1.05rem; font-weight: 600; color: var(--muted); margin: 0 0 .4rem; overflow-wrap: anywhere; }}
.lead {{ font-size: 1.3rem; line-height: 1.35; font-weight: 600; margin: 0 0 1.2rem; max-width: 52rem; }}
h2 {{ font-size: 1.1rem; margin: 2.4rem 0 .6rem; padding-top: .8rem; border-top: 1px solid var(--grid); }}
h3 {{ font-size: .95rem; margin: 1.2rem 0 .4rem; }}
p {{ max-width: 44rem; }}
.note {{ color: var(--muted); font-size: .88rem; }}
figure {{ margin: .6rem 0; min-width: 0; }}
figure svg {{ display: block; width: 100%; max-width: 39rem; height: auto; }}
figcaption {{ color: var(--muted); font-size: .85rem; }}
.columns {{ display: grid; gap: 1rem 2rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  align-items: start; }}
.columns > * {{ min-width: 0; }}
.multiples {{ display: grid; gap: .6rem 1.2rem;
  grid-template-columns: repeat(auto-fill, minmax(min(45%, 14rem), 1fr)); }}
.multiples figure {{ max-width: 22rem; }}
.tiles {{ display: grid; gap: .7rem; margin: 0; grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }}
.tiles div {{ background: var(--card); border-radius: .5rem; padding: .6rem .8rem; }}
.tiles dt {{ color: var(--muted); font-size: .8rem; }}
.tiles dd {{ margin: 0; font-size: 1.05rem; font-weight: 600; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }}
.tiles .range {{ display: block; font-size: .9rem; font-weight: 400; white-space: nowrap; }}
.tiles + .columns, .tiles + figure {{ margin-top: 1rem; }}
.scroll {{ overflow-x: auto; --fade: color-mix(in srgb, var(--ink) 22%, transparent);
  background: linear-gradient(to right, var(--page) 40%, transparent) local 0 0 / 2.5rem 100% no-repeat,
    linear-gradient(to left, var(--page) 40%, transparent) local 100% 0 / 2.5rem 100% no-repeat,
    linear-gradient(to right, var(--fade), transparent) scroll 0 0 / .7rem 100% no-repeat,
    linear-gradient(to left, var(--fade), transparent) scroll 100% 0 / .7rem 100% no-repeat; }}
details .scroll {{ background: none; }}
table {{ border-collapse: collapse; font-size: .88rem; font-variant-numeric: tabular-nums; }}
caption {{ text-align: left; color: var(--muted); padding-bottom: .3rem; }}
th, td {{ padding: .25rem .8rem .25rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); }}
thead th {{ color: var(--muted); font-weight: 500; white-space: nowrap; }}
tbody th {{ font-weight: 500; }}
.numbers td {{ white-space: nowrap; }}
tr > :last-child {{ padding-right: 0; }}
details {{ background: var(--card); border-radius: .5rem; padding: .6rem .9rem; margin: .6rem 0; }}
summary {{ cursor: pointer; font-weight: 500; }}
pre, .text {{ white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; font: inherit; }}
.text + .text {{ margin-top: .3rem; }}
.probe + .probe {{ margin-top: .7rem; }}
.chip {{ display: inline-block; border: 1px solid var(--grid); border-radius: 1rem; padding: 0 .5rem; font-size: .8rem;
  font-variant-numeric: tabular-nums; }}
.diff {{ font: .85rem/1.45 ui-monospace, monospace; white-space: pre; overflow-x: auto; background: var(--card);
  padding: .6rem 0; border-radius: .5rem; }}
.diff span {{ display: block; padding: 0 .9rem; width: max-content; min-width: 100%; }}
.diff .file {{ color: var(--muted); font-weight: 600; }}
.diff .hunk {{ color: var(--accent); }}
.diff .added {{ background: color-mix(in srgb, var(--good) 16%, transparent); }}
.diff .removed {{ background: color-mix(in srgb, var(--warn) 16%, transparent); }}
.speaker {{ color: var(--accent); font-weight: 600; font-size: .82rem; }}
@media print {{ details {{ break-inside: avoid; }} }}
"""
"""The rules, with the names of colours in braces and all other braces doubled, as `str.format` takes them."""


def report_style_sheet() -> str:
    """Return the style sheet of a report page. Its CSS variables `--cRRGGBB` are the theme's colours."""
    light = "".join(f"--c{color[1:]}:{color};" for color in DARK)
    dark = "".join(f"--c{color[1:]}:{other};" for color, other in DARK.items())
    ink, muted, grid, accent, good, warn = (
        f"var(--c{color[1:]})" for color in (INK, MUTED, GRID, COLORS[0], COLORS[2], COLORS[1])
    )
    return _STYLE_SHEET.format(
        page_light=PAGE["light"], page_dark=PAGE["dark"], light=light, dark=dark, fonts=FONTS, ink=ink, muted=muted,
        grid=grid, accent=accent, good=good, warn=warn,
    )  # fmt: skip
