import re
import sys
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from telic.dialogue import Message, ToolCall
from telic.reports import (
    COLORS,
    Html,
    LineEnd,
    Theme,
    element,
    figure,
    figure_svg,
    label_lines,
    page,
    save_png,
    style_axes,
    table,
    title_figure,
    write_svg,
)
from telic.reports.diffs import diff_lines, shown_diff
from telic.reports.steps import folded_text, step_texts, tool_steps
from telic.reports.theme import DARK, PAGE

NASTY = "<script>alert('x')</script> & \"quoted\""


def a_curve(title: str = "title") -> Figure:
    drawn = figure(3, 2)
    axes = drawn.add_subplot()
    axes.plot([0, 1, 2], [0.9, 0.5, 0.2], color=COLORS[0])
    axes.set_title(title, parse_math=False)
    style_axes(axes)
    return drawn


def drawing(title: str = "title") -> Html:
    return figure_svg(a_curve(title), f"A curve: {title}")


def test_text_is_escaped_wherever_it_stands() -> None:
    text = page(NASTY, NASTY, element("p", NASTY, title=NASTY), table([NASTY], [[NASTY]], NASTY), drawing(NASTY))
    assert "<script" not in text
    assert 'title="&lt;script&gt;alert(&#x27;x&#x27;)&lt;/script&gt; &amp; &quot;quoted&quot;"' in text


def test_markup_made_here_is_not_escaped_twice() -> None:
    assert element("p", element("b", "1 < 2"), " yes") == "<p><b>1 &lt; 2</b> yes</p>"


def test_a_page_loads_nothing() -> None:
    text = page("title", "lead", drawing())
    assert set(re.findall(r"\S*https?://[^\"\s]*", text)) == {
        'xmlns:xlink="http://www.w3.org/1999/xlink',
        'xmlns="http://www.w3.org/2000/svg',
    }
    assert not re.search(r"<script|<link|<img|@import|\ssrc=", text)
    assert not re.search(r"url\((?!#)", text)


def test_a_figure_follows_the_theme() -> None:
    svg = drawing()
    assert "#24292f" not in svg
    assert "fill: var(--c24292f)" in svg
    assert "DejaVu" not in svg
    assert "--c24292f:#24292f" in page("", "", svg)
    assert 'aria-label="A curve: title"' in svg


def test_equal_figures_give_equal_text_and_ids_of_different_figures_differ() -> None:
    assert drawing() == drawing()
    first, second = (set(re.findall(r'\sid="([^"]*)"', drawing(title))) for title in ("one", "two"))
    assert first
    assert not first & second


def test_drawing_keeps_no_global_state() -> None:
    before = "matplotlib.pyplot" in sys.modules
    drawing()
    assert ("matplotlib.pyplot" in sys.modules) == before


def test_a_png_is_written(tmp_path: Path) -> None:
    drawn = figure(2, 1)
    drawn.add_subplot().plot([0, 1])
    assert save_png(drawn, tmp_path / "x.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_figure_is_written_as_a_file_of_its_own(theme: Theme, tmp_path: Path) -> None:
    path = write_svg(a_curve(NASTY), tmp_path / "x.svg", NASTY, "It falls & falls.", theme)
    text = path.read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)  # it is well-formed, whatever the title
    names = {child.attrib.get("id"): child.text for child in root}
    assert [names[name] for name in root.attrib["aria-labelledby"].split()] == [NASTY, "It falls & falls."]
    assert (root.attrib["width"], root.attrib["height"], root.attrib["viewBox"]) == ("288", "192", "0 0 216 144")
    assert NASTY in {one.text for one in root.iter("{http://www.w3.org/2000/svg}text")}
    assert "script>alert" not in text.replace("&lt;script&gt;alert", "")
    assert not re.search(r"<image|<style|@import|url\((?!#)|href=\"(?!#)|var\(", text)
    assert set(re.findall(r"https?://[^\"\s]*", text)) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    colors = (DARK[COLORS[0]], PAGE["dark"]) if theme == "dark" else (COLORS[0], PAGE["light"])
    assert all(color in text for color in colors)
    assert (COLORS[0] in text) == (theme == "light")


def test_equal_figures_give_equal_files(tmp_path: Path) -> None:
    written = [write_svg(a_curve(), tmp_path / name, "A curve").read_bytes() for name in ("1.svg", "2.svg")]
    assert written[0] == written[1]


def contrast(one: str, other: str) -> float:
    """The contrast of two colours, as the Web Content Accessibility Guidelines define it."""

    def luminance(color: str) -> float:
        shares = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in shares]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("color", COLORS)
def test_text_in_a_line_colour_can_be_read_in_both_themes(color: str) -> None:
    assert contrast(color, PAGE["light"]) >= 4.5
    assert contrast(DARK[color], PAGE["dark"]) >= 4.5


@pytest.mark.parametrize("end", [0.0, 0.5, 1.0])
def test_names_of_lines_do_not_overlap_and_stay_inside(end: float) -> None:
    drawn = figure(5, 3)
    axes = drawn.add_subplot()
    names = [f"line {i}" for i in range(6)]
    for name in names:
        axes.plot([0, 1], [0.2, 0.9], label=name)
    axes.set_ylim(0, 1)
    label_lines(axes, [LineEnd(1.0, end, name, COLORS[0]) for name in names])
    title_figure(drawn, "What was found " * 12, "what is plotted")
    drawn.canvas.draw()
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 6
    assert all(below.y1 <= above.y0 + 1 for below, above in pairwise(boxes))
    assert boxes[-1].y1 <= drawn.bbox.y1
    assert boxes[0].y1 >= axes.bbox.y0, "above the labels of the axis"
    assert max(box.x1 for box in boxes) <= drawn.bbox.x1
    assert drawn.get_suptitle().count("\n") >= 2


PATCH = f"""diff --git a/x.sql b/x.sql
--- a/x.sql
+++ b/x.sql
@@ -1,3 +1,2 @@ {NASTY}
 same
--- a removed comment
-gone
+++ an added line
\\ No newline at end of file
"""


def test_the_lines_of_a_patch_are_told_by_their_place() -> None:
    kinds = [kind for kind, _ in diff_lines(PATCH)]
    assert kinds == ["file", "file", "file", "hunk", "same", "removed", "removed", "added", "same"]
    assert list(diff_lines("")) == []
    assert [kind for kind, _ in diff_lines("@@ -1 +1 @@\n-a\n+b\n--- a/y\n")] == ["hunk", "removed", "added", "file"]


def test_a_patch_is_escaped_and_hides_nothing() -> None:
    shown = shown_diff(PATCH.replace("gone", "g\u202eone"))
    assert "<script" not in shown
    assert "-g&lt;U+202E&gt;one" in shown
    assert shown.count('class="removed"') == 2


def test_steps_are_escaped_and_long_ones_are_folded() -> None:
    call = ToolCall(id="1", name="read", arguments=NASTY)
    steps = [
        Message(role="assistant", content="I look.", tool_calls=(call,)),
        Message(role="tool", content=f"{NASTY}\n" * 50, tool_call_id="1"),
    ]
    assert [text[:6] for text in step_texts(steps)] == ["I look", "→ read", "← <scr"]
    shown = tool_steps(steps)
    assert "<script" not in shown
    assert shown.count("<details>") == 1
    assert tool_steps([]) == ""


def test_a_text_is_cut_where_no_page_could_show_it() -> None:
    assert folded_text("short") == ("", "short")
    line, shown = folded_text("a" * 30_000)
    assert line == f"{'a' * 80} ... (30000 characters)"
    assert shown == f"{'a' * 20_000} ... (30000 characters)"
