import re
import sys
from pathlib import Path

from telic.reports import Html, element, figure, figure_svg, page, save_png, style_axes, table

NASTY = "<script>alert('x')</script> & \"quoted\""


def drawing(title: str = "title") -> Html:
    drawn = figure(3, 2)
    axes = drawn.add_subplot()
    axes.plot([0, 1, 2], [0.9, 0.5, 0.2])
    axes.set_title(title, parse_math=False)
    style_axes(axes)
    return figure_svg(drawn, f"A curve: {title}")


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
