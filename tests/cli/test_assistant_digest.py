"""`telic assistant digest` and `sources`, over a real socket, and the page in a real browser."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("feedparser")

from tests.assistants.digest.conftest import Answer, Site, site
from tests.cli.conftest import Run

__all__ = ["site"]

PURPOSE = """\
name = "news"
model = "fake"
system = "You are Alva."

[digest]
topics = ["night trains"]

[[digest.sources]]
kind = "feed"
url = "{address}/feed"
name = "Rail"
"""
FEED = """\
<rss version="2.0"><channel><title>Rail</title>
<item><title>Night trains return &lt;script&gt;alert(1)&lt;/script&gt;</title><link>https://rail.example/a</link>
<description>Sleepers run again between Vienna and Paris.</description></item>
<item><title>A bridge with a very long name opens at Llanfairpwllgwyngyllgogerychwyrndrobwllllantysiliogogoch</title>
<link>https://rail.example/b/{long}</link><description>It is wide.</description></item>
</channel></rss>""".replace("{long}", "x" * 300)


@pytest.fixture
def news(tmp_path: Path, site: Site) -> str:
    site.pages["/feed"] = Answer(FEED.encode())
    (tmp_path / "news.toml").write_text(PURPOSE.format(address=site.address))
    return "news.toml"


def test_a_digest_a_reaction_and_the_next_digest(run: Run, news: str) -> None:
    outcome = run("assistant", "digest", news)
    assert (outcome.status, outcome.error) == (0, "")
    assert " 1  Night trains return" in outcome.out
    assert "Why: 'night trains' is in `topics`" in outcome.out
    noted = run("assistant", "digest", news, "--react", "1", "2", "1", "more").out
    assert noted.startswith("Noted: more: Night trains")
    assert noted.count("Noted") == 2
    assert run("assistant", "digest", news).out.splitlines()[1].startswith("Nothing new from 1 of 1 sources")


def test_json_and_files(run: Run, news: str, tmp_path: Path) -> None:
    outcome = run("assistant", "digest", news, "--json", "--preview", "--html", "out/d.html", "--markdown", "d.md")
    found: dict[str, Any] = json.loads(outcome.out)
    assert found["entries"][0]["link"] == "https://rail.example/a"
    assert "Night trains return" in (tmp_path / "d.md").read_text()
    assert "<script" not in (tmp_path / "out" / "d.html").read_text()
    assert "Written to d.md." in outcome.error


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (('kind = "feed"', 'kind = "fed"'), "digest.sources[0]: unknown digest source 'fed'; did you mean 'feed'?"),
        (('url = "', 'ur = "'), "unknown setting 'ur'; did you mean 'url'?"),
        (("[digest]", "[digest]\nitems = 0"), "items is 0; expected a number greater than or equal to 1"),
        (("[digest]", "[digest]\ntopic = []"), "unknown setting 'topic'; did you mean 'topics'?"),
    ],
)
def test_mistakes_of_the_file_are_named_with_their_line(
    run: Run, news: str, tmp_path: Path, change: tuple[str, str], told: str
) -> None:
    text = (tmp_path / news).read_text()
    (tmp_path / news).write_text(text.replace(*change))
    outcome = run("assistant", "digest", news)
    assert outcome.status == 1
    assert told in outcome.error
    assert "line " in outcome.error


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (["--items", "0"], 2, "--items is 0; expected a number from 1 to 100"),
        (["--react", "1"], 2, "--react is '1'; expected an item and a reaction, such as: --react 3 more"),
        (["--react", "1", "more"], 1, "no digest was shown yet"),
        (["--every", "25:00"], 1, "--every is '25:00'; expected a time of day such as 7:00"),
    ],
)
def test_wrong_options_say_what_was_expected(run: Run, news: str, options: list[str], status: int, told: str) -> None:
    outcome = run("assistant", "digest", news, *options)
    assert outcome.status == status
    assert told in outcome.error


def test_a_file_that_cannot_be_written_costs_no_item(run: Run, news: str, tmp_path: Path) -> None:
    outcome = run("assistant", "digest", news, "--html", str(tmp_path))
    assert (outcome.status, outcome.out) == (1, "")
    assert "it is a folder" in outcome.error
    assert " 1  Night trains return" in run("assistant", "digest", news).out


def test_a_closed_pipe_costs_no_file(run: Run, news: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_text: str) -> None:
        raise OSError("the pipe is closed")

    monkeypatch.setattr("telic.cli.assistant_digest.print_line", closed)
    assert run("assistant", "digest", news, "--html", "d.html").status == 1
    assert "Night trains" in (tmp_path / "d.html").read_text()


def test_a_purpose_without_a_digest_says_so(run: Run, travel: Path) -> None:
    outcome = run("assistant", "digest", str(travel))
    assert outcome.status == 1
    assert "'travel' has no [digest] table" in outcome.error


def test_the_schedule(run: Run, news: str, tmp_path: Path) -> None:
    out = run("assistant", "digest", news, "--every", "7:00").out
    assert "\n0 7 * * * " in out
    assert str(tmp_path / "news.toml") in out


def test_sources_are_checked(run: Run, news: str, site: Site) -> None:
    assert run("assistant", "sources", news).status == 0
    site.pages["/feed"] = Answer(status=500)
    outcome = run("assistant", "sources", news, "--json")
    assert outcome.status == 1
    assert "answered 500" in json.loads(outcome.out)[0]["error"]
    assert "1 of 1 sources could not be read" in outcome.error


def test_the_page_in_a_browser(run: Run, news: str, tmp_path: Path, chromium: str) -> None:
    from playwright.sync_api import sync_playwright

    run("assistant", "digest", news, "--html", "d.html")
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 360, "height": 740})
        asked: list[str] = []
        errors: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: errors.append(message.text))
        page.on("dialog", lambda dialog: errors.append(dialog.message))
        page.goto((tmp_path / "d.html").as_uri())
        assert page.locator("ol.digest > li").count() == 2
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        assert page.evaluate("getComputedStyle(document.querySelector('ol.digest')).listStyleType") == "none"
        page.screenshot(path=str(tmp_path / "digest.png"), full_page=True)
        browser.close()
    assert asked == [(tmp_path / "d.html").as_uri()]
    assert errors == []
