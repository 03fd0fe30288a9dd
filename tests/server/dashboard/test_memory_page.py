"""The page of the memory: what is believed, why, corrected, answered and forgotten; on a phone, in light and dark."""

from __future__ import annotations

import httpx
import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.server.dashboard.conftest import Dashboard, Open, connected
from tests.server.dashboard.test_looks import PALE, WIDE

SAID = [
    "My home airport is Graz. I live in Leeds.",
    "When I travel for work, I prefer <b>window</b> seats.",
    "I love marzipan.",
    "I love jazz.",
    "I hate jazz.",
    "I've moved to Porto.",
]


def tell(dashboard: Dashboard, *said: str) -> None:
    for text in said:
        messages = [{"role": "user", "content": text}]
        answer = httpx.post(f"{dashboard.url}/v1/chat/completions", json={"messages": messages}, timeout=60)
        assert answer.status_code == 200, answer.text


def test_users_see_why_correct_and_forget(remembering: Dashboard, opened: Open) -> None:
    tell(remembering, *SAID)
    page = opened(f"{remembering.url}/dashboard/")
    page.get_by_role("link", name="Memory").click()
    connected(page)
    page.get_by_role("button", name="Why? home Porto").click()
    expect(page.locator(".reasons mark")).to_have_text("Porto")
    page.get_by_role("button", name="Correct: home airport Graz").click()
    field = page.get_by_label("What is right, instead of: home airport Graz")
    field.fill("Vienna")
    field.press("Enter")
    page.get_by_role("button", name="Why? home airport Vienna").wait_for()
    page.get_by_role("button", name="dislikes jazz", exact=True).click()
    page.get_by_role("button", name="Why? dislikes jazz").wait_for()
    expect(page.locator(".question")).to_have_count(0)
    page.get_by_role("button", name="Forget: likes marzipan").click()
    page.get_by_role("group", name="Forget for good: likes marzipan").get_by_role("button", name="Forget").click()
    expect(page.get_by_text("marzipan")).to_have_count(0)
    for path in remembering.folder.glob("telic.db*"):
        assert b"marzipan" not in path.read_bytes()
    expect(page.locator(".facts b")).to_have_count(0)  # nobody's markup acts


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone(remembering: Dashboard, opened: Open, scheme: str) -> None:
    tell(remembering, "I love opera.", "I hate opera.", "I love chess.")
    page = opened(f"{remembering.url}/dashboard/memory", width=390, height=844, scheme=scheme)
    connected(page)
    page.get_by_role("button", name="Why? likes chess").click()
    page.locator(".reasons mark").first.wait_for()
    page.get_by_text("No longer believed").wait_for()
    assert page.evaluate(PALE) == []
    assert page.evaluate(WIDE) == []
