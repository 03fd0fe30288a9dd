"""The page that lists all runs, and the way from a report to it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from telic.progress import Shortfall
from telic.reports import write_report, write_run_index
from telic.runs import RunFolder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Page

NASTY = "</script><script>alert(1)</script> & \"travel\" 'agent'"


def a_run(root: Path, name: str = "travel", verb: str = "measure", headline: str = "", model: str = "smollm2") -> Path:
    curve = [{"round": i, "stability": 0.9 - 0.2 * i, "low": None, "high": None, "n": 4} for i in range(3)]
    with RunFolder.create(root, verb, name, {"model": model}) as run:
        if headline:
            run.append_metrics({"headline": headline, "stability": {"curve": curve}})
    return run.path


def test_the_list_has_the_finding_the_curve_and_the_way_to_each_report_and_back(tmp_path: Path) -> None:
    folder = a_run(tmp_path, headline="drifts from round 2")
    report = write_report(folder, "Stability", "It drifts.")
    assert '<a href="../index.html" class="back">All runs</a>' in report.read_text()
    text = (tmp_path / "index.html").read_text()
    assert f'<a href="{folder.name}/report.html">travel</a>' in text
    assert "Drifts from round 2." in text
    assert "0.90 → 0.50" in text
    assert "smollm2" in text
    assert "<polyline" in text


def test_the_list_is_written_again_with_every_report(tmp_path: Path) -> None:
    for name in ("first", "second", "third"):
        report = write_report(a_run(tmp_path, name, headline="it holds"), "Stability", "It holds.")
        assert "All runs" in report.read_text()
        assert f">{name}</a>" in (tmp_path / "index.html").read_text()


def test_a_run_without_a_report_says_how_to_get_on(tmp_path: Path) -> None:
    cut, whole = a_run(tmp_path, "cut"), a_run(tmp_path, "whole", headline="it holds")
    path = write_run_index(tmp_path)
    assert path is not None
    text = path.read_text()
    assert f"telic measure --resume {cut}" in text
    assert f"telic view {whole}" in text
    assert "report.html" not in text


def test_a_run_that_a_time_limit_cut_says_so_until_it_is_whole(tmp_path: Path) -> None:
    shortfall = Shortfall(2, {"dialogues": (14, 32)})
    with RunFolder.create(tmp_path, "measure", "travel", {}) as run:
        run.append_metrics({"headline": "it holds", "shortfall": shortfall.as_dict()})
    caveat = f"--minutes 2: finished 14 of 32 dialogues. To play the rest, continue with --resume {run.path}."
    assert caveat in write_report(run.path, "Stability", "It holds.").read_text()
    note = f"14 of 32 dialogues; continue with: telic measure --resume {run.path}"
    assert note in (tmp_path / "index.html").read_text()
    with RunFolder.resume(run.path, {}) as again:
        again.append_metrics({"headline": "it holds", "shortfall": None})
    assert "finished 14 of" not in write_report(run.path, "Stability", "It holds.").read_text()
    assert "--resume" not in (tmp_path / "index.html").read_text()


def test_text_in_the_list_is_escaped_and_nothing_is_loaded(tmp_path: Path) -> None:
    a_run(tmp_path, NASTY, headline=NASTY, model=NASTY)
    path = write_run_index(tmp_path)
    assert path is not None
    text = path.read_text()
    assert text.count("<script") == text.count("</script>") == 1
    assert not re.search(r"https?://|<link|<img|@import|\ssrc=|url\(", text)


def test_a_page_of_another_origin_is_left_alone(tmp_path: Path) -> None:
    own = tmp_path / "index.html"
    own.write_text("<h1>My web site</h1>")
    folder = a_run(tmp_path, headline="it holds")
    assert "All runs" not in write_report(folder, "Stability", "It holds.").read_text()
    assert write_run_index(tmp_path) is None
    assert own.read_text() == "<h1>My web site</h1>"


def test_a_report_outside_of_a_run_folder_writes_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert "All runs" not in write_report(tmp_path / "mine", "Stability", "It holds.").read_text()
    assert not (tmp_path / "index.html").exists()


@pytest.fixture
def page(chromium: str) -> Iterator[Page]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 390, "height": 800})
        browser.close()


def test_the_filter_works_without_a_server_and_the_list_fits_a_phone(page: Page, tmp_path: Path) -> None:
    from playwright.sync_api import expect

    for name, verb, headline in (
        ("travel", "measure", "it drifts"), ("support", "hold", "refresh holds"), ("x" * 90, "measure", ""),
    ):  # fmt: skip
        a_run(tmp_path, name, verb, headline, model="a-model-with-a-name/" + "y" * 60)
    index = write_run_index(tmp_path)
    assert index is not None
    page.goto(index.as_uri())
    cards = page.locator(".runs > li:visible")
    expect(cards).to_have_count(3)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    page.get_by_label("Find").fill("REFRESH support")
    expect(cards).to_have_count(1)
    expect(cards).to_contain_text("Refresh holds.")
    page.get_by_label("Find").fill("nothing like this")
    expect(page.get_by_text("No run matches.")).to_be_visible()
    page.get_by_label("Find").fill("")
    page.get_by_label("Status").select_option("interrupted")
    expect(cards).to_have_count(1)
    expect(page.get_by_text("1 of 3")).to_be_visible()
    page.reload()
    expect(cards).to_have_count(1)
