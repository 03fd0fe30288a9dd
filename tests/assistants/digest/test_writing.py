"""Links, plain text, Markdown, and the schedule."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from telic.assistants.digest import schedule_text
from telic.assistants.digest.links import canonical_link, safe_link
from telic.assistants.digest.text import plain
from telic.assistants.digest.writing import escaped
from telic.errors import ConfigError


@pytest.mark.parametrize(
    ("link", "safe"),
    [
        ("https://town.example/a b?q=<x>#é", "https://town.example/a%20b?q=%3Cx%3E#%C3%A9"),
        ("HTTP://Town.Example:8080/x", "http://town.example:8080/x"),
        ("https://me:secret@town.example/", "https://town.example/"),
        ("https://bücher.example/", "https://xn--bcher-kva.example/"),
        ("https://[2001:db8::1]/x", "https://[2001:db8::1]/x"),
        ("//town.example/x", None),
        ("javascript:alert(1)", None),
        ("https://", None),
        ("https://town.example:99999/", None),
        ("https://to wn.example/", None),
        ("mailto:a@b.example", None),
        ("https://town.example/" + "x" * 3000, None),
    ],
)
def test_only_links_to_the_web_stay_and_show_their_host(link: str, safe: str | None) -> None:
    assert safe_link(link) == safe


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://www.a.example/x/?utm_source=feed&b=2&a=1#top", "http://a.example/x?a=1&b=2", True),
        ("http://arxiv.org/abs/2611.00001v1", "https://arxiv.org/pdf/2611.00001v3", True),
        ("https://a.example/x?id=1", "https://a.example/x?id=2", False),
        ("https://a.example/x", "https://b.example/x", False),
    ],
)
def test_links_to_one_document_are_the_same(one: str, other: str, same: bool) -> None:
    assert (canonical_link(one) == canonical_link(other)) is same


@given(st.text(max_size=80))
def test_any_text_is_shown_in_markdown_as_it_is(text: str) -> None:
    line = plain(text)
    shown = MarkdownIt("commonmark").parseInline(f"Why: {escaped(line)}.")[0]
    assert {child.type for child in shown.children or ()} <= {"text", "text_special"}
    assert "".join(child.content for child in shown.children or ()) == f"Why: {line}."


def test_the_schedule_quotes_every_path(tmp_path: Path) -> None:
    folder = tmp_path / "50% $HOME 'my' \"news\"; rm -rf x"
    folder.mkdir()
    purpose = folder / "news.toml"
    purpose.write_text("")
    text = schedule_text("7:05", str(purpose), folder / "runs", "me", None, None)
    [cron] = [line for line in text.splitlines() if line.startswith("5 7 * * * ")]
    command = cron.removeprefix("5 7 * * * ").removesuffix(" >/dev/null")
    assert "%" not in command.replace(r"\%", "")
    words = shlex.split(command.replace(r"\%", "%"))
    assert words[words.index("digest") + 1] == str(purpose)
    assert words[-1] == str(folder / "news-digest.html")
    [start] = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    assert str(purpose).replace('"', r"\"").replace("%", "%%").replace("$", "$$") in start
    assert "OnCalendar=*-*-* 07:05:00" in text
    assert "--items 3" in schedule_text("7:05", str(purpose), folder / "runs", "me", None, None, items=3)


@pytest.mark.parametrize("every", ["7", "24:00", "7:60", "seven", "7:00; rm -rf /", ""])
def test_a_time_that_is_none_is_refused(every: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="expected a time of day such as 7:00"):
        schedule_text(every, "news.toml", tmp_path, "me", None, None)
