"""The colours of reports in light and dark themes, and the style sheet of their pages."""

from __future__ import annotations

__all__ = ["COLORS", "DARK", "GRID", "INK", "MUTED", "report_style_sheet"]

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

_STYLE_SHEET = """
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
"""The rules, with the names of colours in braces and all other braces doubled, as `str.format` takes them."""


def report_style_sheet() -> str:
    """Return the style sheet of a report page. Its CSS variables `--cRRGGBB` are the theme's colours."""
    light = "".join(f"--c{color[1:]}:{color};" for color in DARK)
    dark = "".join(f"--c{color[1:]}:{other};" for color, other in DARK.items())
    ink, muted, grid, accent = (f"var(--c{color[1:]})" for color in (INK, MUTED, GRID, COLORS[0]))
    return _STYLE_SHEET.format(light=light, dark=dark, ink=ink, muted=muted, grid=grid, accent=accent)
