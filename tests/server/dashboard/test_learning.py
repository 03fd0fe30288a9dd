"""The page of learning: what it shows, that nothing in a quotation acts, and that it fits a phone in light and dark."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.server.dashboard.conftest import Dashboard, Open
from tests.server.dashboard.server import MARKUP


@pytest.mark.parametrize(("width", "scheme"), [(1400, "light"), (390, "dark")])
def test_learning_is_shown_and_fits(learning: Dashboard, opened: Open, width: int, scheme: str, tmp_path: Path) -> None:
    page = opened(f"{learning.url}/dashboard/learning", width=width, scheme=scheme)
    page.get_by_role("heading", name="Versions").wait_for()
    said = page.locator("#content").inner_text()
    for expected in (
        "Served: v1. Canary of v3:", "Users are satisfied with a reply", "v2 fake", "What to read first",
        "trained on 2 conversations, of which 1 are deleted", "Made by a test.",
    ):  # fmt: skip
        assert expected in said
    folder = Path(os.environ.get("TELIC_SCREENSHOTS", tmp_path))
    page.screenshot(path=folder / f"learning-{width}-{scheme}.png")
    first = page.locator("details").filter(has_text="That is wrong").first
    first.locator("summary").click()
    assert MARKUP in first.inner_text(), "a quotation is text"
    assert page.locator("#content img").count() == 0
    checks = page.locator("details").filter(has_text="Checks of the gate").first
    checks.locator("summary").click()
    assert "skipped" in checks.inner_text()
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    page.locator("#content .learning").evaluate("one => one.scrollTo(0, one.scrollHeight)")
    page.screenshot(path=folder / f"learning-{width}-{scheme}-end.png")


def test_a_link_leads_to_the_conversation(learning: Dashboard, opened: Open) -> None:
    page = opened(f"{learning.url}/dashboard/")
    page.get_by_role("link", name="Learning").click()
    page.locator("details").filter(has_text="That is wrong").first.locator("summary").click()
    address = page.get_by_role("link", name="Open the conversation").first.get_attribute("href")
    assert address is not None
    assert address.startswith("/dashboard/c/")
