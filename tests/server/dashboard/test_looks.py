"""The dashboard on a phone, in light and dark, with the keyboard alone; and the page of runs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import httpx
import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from telic import measure
from telic.models import FakeModel
from telic.reports import write_report
from telic.runs import RunFolder
from tests.server.conftest import wait_for
from tests.server.dashboard.conftest import Dashboard, Open, say
from tests.server.dashboard.server import KEYS, PURPOSE

if TYPE_CHECKING:
    from playwright.sync_api import Page

# Of every text that is seen: what it says, where it is too pale against what is behind it (WCAG 2.2, AA).
PALE = """
() => {
  const parse = c => { const n = c.match(/[\\d.]+/g).map(Number); return n.length > 3 ? n : [...n, 1]; };
  const linear = v => v / 255 <= .03928 ? v / 255 / 12.92 : ((v / 255 + .055) / 1.055) ** 2.4;
  const light = c => .2126 * linear(c[0]) + .7152 * linear(c[1]) + .0722 * linear(c[2]);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c[3] > .9) return c;
    }
    return [255, 255, 255, 1];
  };
  const found = [];
  for (const e of document.querySelectorAll('.telic *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest(':disabled, .skip, .q-icon')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5) found.push([e.textContent.slice(0, 40), ((a + .05) / (b + .05)).toFixed(2)]);
  }
  return found;
}
"""
WIDE = """
() => [...document.querySelectorAll('.telic *')]
  .filter(e => e.checkVisibility() && !e.closest('.skip, .scroll') && e.getBoundingClientRect().right > 391)
  .map(e => e.className + ' ' + e.textContent.slice(0, 30))
"""
# Of what has the focus: its name, and whether one sees that it has it.
FOCUS = """
() => {
  const e = document.activeElement;
  if (!e || e === document.body) return null;
  const style = getComputedStyle(e);
  const label = e.labels && e.labels.length ? e.labels[0].textContent : '';
  return { name: (e.getAttribute('aria-label') || label || e.textContent || '').trim(), tag: e.tagName.toLowerCase(),
    seen: e.matches(':focus-visible') && (style.outlineStyle !== 'none' || !!e.closest('.q-field--focused')) };
}
"""


def stops(page: Page, most: int = 120) -> list[dict[str, Any]]:
    """List the elements that the tab key reaches."""
    found: list[dict[str, Any]] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        here = page.evaluate(FOCUS)
        if here is None or (found and here == found[0]):
            break
        found.append(here)
    return found


def test_everything_works_with_the_keyboard(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    field = page.get_by_label("Your message")
    field.focus()
    page.keyboard.type("First line")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("second line")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Regenerate reply 1, and compare").wait_for()
    page.wait_for_function("document.querySelector('.attribute .share').textContent !== ''")
    expect(page.locator(".turn.user .words")).to_have_js_property("textContent", "First line\nsecond line")
    page.reload()
    page.wait_for_function("document.querySelector('.attribute .share')?.textContent")
    found = stops(page)
    assert [one for one in found if not one["name"]] == []
    assert [one for one in found if not one["seen"]] == []
    names = [one["name"] for one in found]
    for name in (
        "Skip to content", "Runs", "Colours", "New conversation", "Reply 1 is good", "Edit reply 1", "Your message",
        "Regenerate reply 1, and compare", "Send", "Pin your age “child” as likely", "Strength of pins",
        "Pin its own socioeconomic status “high” as unlikely", "Ask the probes",
    ):  # fmt: skip
        assert name in names, name
    thumb = page.get_by_role("button", name="Reply 1 is good")
    thumb.focus()
    page.keyboard.press("Space")
    page.wait_for_selector("[aria-label='Reply 1 is good'][aria-pressed=true]")
    expect(thumb).to_be_focused()  # the focus stays where it was
    page.get_by_role("button", name="Edit reply 1").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("textarea[aria-label='Edited reply']:focus")
    page.keyboard.type("More. ")
    expect(page.get_by_label("Edited reply")).to_have_value(re.compile(r"More\."))
    page.keyboard.press("Escape")
    page.get_by_label("Edited reply").wait_for(state="detached")


def test_a_phone_shows_one_view_at_a_time_and_nothing_overflows(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/", width=390, height=844)
    say(page, "Hello from a phone, with a verylongwordthatdoesnotbreak" + "n" * 60, 1)

    def fits() -> None:
        page.wait_for_function("document.documentElement.scrollWidth === 390")
        wait_for(lambda: page.evaluate(WIDE) == [])

    fits()
    expect(page.locator(".beliefs")).to_be_hidden()
    page.get_by_role("button", name="Beliefs and drift").click()
    page.locator(".beliefs").wait_for()
    expect(page.get_by_label("Your message")).to_be_hidden()
    assert page.get_by_role("button", name="Pin your age “child” as likely").bounding_box()["width"] >= 24  # type: ignore[index]
    fits()
    page.get_by_role("button", name="Conversations", exact=True).click()
    page.get_by_role("link", name="Hello from a phone").first.wait_for()
    fits()
    page.goto(f"{tiny.url}/dashboard/runs")
    page.get_by_role("heading", name="Runs").wait_for()
    fits()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_light_and_dark_follow_the_system_or_the_user_and_all_text_is_readable(
    tiny: Dashboard, opened: Open, scheme: str
) -> None:
    other = {"light": "dark", "dark": "light"}[scheme]
    page = opened(f"{tiny.url}/dashboard/", scheme=scheme)
    say(page, "Hello!", 1)
    page.get_by_role("button", name="Pin your age “child” as likely").click()
    page.get_by_role("button", name="Unpin: you: child").wait_for()
    ground = "getComputedStyle(document.body).backgroundColor"
    own = page.evaluate(ground)
    wait_for(lambda: page.evaluate(PALE) == [])
    page.get_by_label("Colours").select_option(other)
    page.wait_for_function(f"{ground} !== '{own}'")
    wait_for(lambda: page.evaluate(PALE) == [])
    chosen = page.evaluate(ground)
    page.reload()
    page.get_by_label("Your message").wait_for()
    page.wait_for_function(f"{ground} === '{chosen}'")
    expect(page.get_by_label("Colours")).to_have_value(other)


def test_runs_are_listed_with_their_curves_and_reports(tiny: Dashboard, opened: Open) -> None:
    root = tiny.folder / "runs"
    run = measure(FakeModel(drift=0.2), PURPOSE, dialogues=6, rounds=3, resamples=100, folder=root)
    assert run.folder is not None
    (run.folder / "report.html").write_text(
        "<!doctype html><title>Report</title><link rel=icon href=data:,><h1>Stability</h1>"
    )
    with RunFolder.create(root, "train", "travel", {"steps": 1}) as other:
        bare = other.path.name
    (root / "measure-broken").mkdir()
    (root / "measure-broken" / "config.toml").write_text("no = toml = at all")
    page = opened(f"{tiny.url}/dashboard/")
    page.get_by_role("link", name="Runs").click()
    row = page.locator(".run-list li").filter(has_text=run.folder.name)
    row.wait_for()
    first, last = run.curve[0], run.curve[-1]
    expect(row).to_contain_text(f"{first.stability:.2f} [{first.low:.2f}, {first.high:.2f}] → {last.stability:.2f}")
    expect(row).to_contain_text("finished")
    unfinished = page.locator(".run-list li").filter(has_text=bare)
    expect(unfinished).to_contain_text("interrupted")
    expect(unfinished.get_by_role("link")).to_have_count(0)
    expect(page.locator(".run-list li").filter(has_text="measure-broken")).to_contain_text("damaged")
    page.get_by_label("Find").fill("travel interrupted")
    expect(page.locator(".run-list li:visible")).to_have_count(1)
    expect(page.get_by_text("1 of 3")).to_be_visible()
    page.get_by_label("Find").fill("")
    expect(page.locator(".run-list li:visible")).to_have_count(3)
    page.locator(".curves canvas").wait_for()
    row.get_by_role("link", name=f"Report of {run.folder.name}").click()
    page.get_by_role("heading", name="Stability").wait_for()
    page.go_back()
    page.locator(".curves canvas").wait_for()
    with httpx.Client(base_url=f"{tiny.url}/dashboard") as http:
        assert http.get("/runs/index.html").headers["location"] == "/dashboard/runs", "where reports link to"
        assert "default-src 'none'" in http.get(f"/runs/{run.folder.name}/report").headers["content-security-policy"]
        for name in (bare, "nothing", "..", "%2e%2e", "..%2Fruns"):
            assert http.get(f"/runs/{name}/report").status_code == 404


def test_a_report_leads_back_to_the_list_without_another_login(scripted: Dashboard, opened: Open) -> None:
    with RunFolder.create(scripted.folder / "runs", "measure", "travel", {}) as run:
        run.append_metrics({"headline": "it holds"})
    write_report(run.path, "Stability", "It holds.")
    page = opened(f"{scripted.url}/dashboard/")
    page.get_by_label("API key").fill(KEYS["ann"])
    page.keyboard.press("Enter")
    page.get_by_role("link", name="Runs").click()
    page.get_by_role("link", name=f"Report of {run.path.name}").click()
    page.get_by_role("link", name="All runs").click()
    page.wait_for_url(f"{scripted.url}/dashboard/runs")
    expect(page.locator(".run-list li").filter(has_text="It holds.")).to_have_count(1)
