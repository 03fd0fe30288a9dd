"""The dashboard with API keys, and with a model without readings; replies that are stopped or fail."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import httpx
import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.server.conftest import wait_for
from tests.server.dashboard.conftest import Dashboard, Open, at_rest, connected, say
from tests.server.dashboard.server import KEYS

if TYPE_CHECKING:
    from playwright.sync_api import Page


def enter(page: Page, name: str) -> None:
    page.get_by_label("API key").fill(KEYS[name])
    page.keyboard.press("Enter")
    page.get_by_label("Your message").wait_for()
    connected(page)


def test_nothing_is_shown_without_a_key(scripted: Dashboard) -> None:
    with httpx.Client(base_url=scripted.url, follow_redirects=False) as http:
        for path in ("/dashboard/", "/dashboard/c/anything", "/dashboard/runs"):
            answer = http.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, "/dashboard/login")
        assert http.get("/").headers["location"] == "/dashboard/"
        polled = http.get("/dashboard/_nicegui_ws/socket.io/?EIO=4&transport=polling")
        assert polled.status_code == 401
        form = http.get("/dashboard/login")
        assert form.status_code == 200
        assert "default-src 'self'" in form.headers["content-security-policy"]
        for body in (b"", b"key=", b"key=wrong", b"\xff\xfe", b"key=%00"):
            refused = http.post("/dashboard/login", content=body)
            assert (refused.status_code, "Unknown API key" in refused.text) == (401, True)
            assert "set-cookie" not in refused.headers
        assert http.post("/dashboard/login", content=b"x" * 5000).status_code == 413
        foreign = http.post(
            "/dashboard/login", data={"key": KEYS["ann"]}, headers={"Origin": "http://elsewhere.example"}
        )
        assert foreign.status_code == 403
        good = http.post("/dashboard/login", data={"key": KEYS["ann"]})
        assert (good.status_code, good.headers["location"]) == (303, "/dashboard/")
        cookie = good.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/dashboard"))
        assert http.get("/dashboard/").status_code == 200
        assert http.post("/dashboard/logout").status_code == 303
        assert http.get("/dashboard/").status_code == 303


def test_each_key_has_its_own_conversations(scripted: Dashboard, opened: Open) -> None:
    ann = opened(f"{scripted.url}/dashboard/")
    enter(ann, "ann")
    say(ann, "I am ann.", 1)
    bob = opened(f"{scripted.url}/dashboard/")
    enter(bob, "bob")
    bob.get_by_text("None yet.").wait_for()
    bob.goto(ann.url)
    bob.get_by_text("Send a message to begin.").wait_for()
    expect(bob.get_by_role("alert")).to_contain_text("This conversation was not found")
    expect(bob.get_by_text("I am ann.")).to_have_count(0)
    assert [one.metadata["user"] for one in scripted.episodes()] == ["ann"]
    bob.get_by_role("button", name="Log out (bob)").click()
    bob.get_by_label("API key").wait_for()


def test_missing_readings_are_shown_as_unknown(scripted: Dashboard, opened: Open) -> None:
    page = opened(f"{scripted.url}/dashboard/")
    enter(page, "bob")
    say(page, "Hello", 1)
    expect(page.locator(".gauge")).to_have_text("Unknown: this model does not report attention.")
    expect(page.locator(".beliefs")).to_contain_text("Unknown. Readers need hidden states")
    expect(page.locator(".probes")).to_contain_text("no [[probes]], so this is unknown")
    expect(page.locator(".planner")).to_contain_text("The purpose has no planner.")
    expect(page.get_by_role("button", name="Pin")).to_have_count(0)
    expect(page.get_by_role("button", name="Reply 1: unknown")).to_have_count(1)


def test_a_reply_is_stopped_and_its_text_is_stored(scripted: Dashboard, opened: Open) -> None:
    page = opened(f"{scripted.url}/dashboard/")
    enter(page, "bob")
    page.get_by_label("Your message").fill("Something long, please.")
    page.get_by_role("button", name="Send").click()
    page.locator(".pending .words", has_text="word word").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.get_by_text("stopped", exact=True).wait_for()
    at_rest(page)
    expect(page.get_by_label("Your message")).to_be_focused()
    expect(page).to_have_url(re.compile(r"/dashboard/c/\w+$"))
    [episode] = [one for one in scripted.episodes() if page.url.endswith(one.id)]
    reply = episode.turns[1]
    assert reply.finish == "left"
    assert 3 < len(reply.text.split()) < 400
    expect(page.locator(".turn.bot .words")).to_have_text(reply.text)
    say(page, "Go on.", 2)


def test_the_field_has_the_focus_if_a_reply_is_stopped_after_its_last_word(scripted: Dashboard, opened: Open) -> None:
    page = opened(f"{scripted.url}/dashboard/")
    enter(page, "bob")
    page.get_by_label("Your message").fill("Be slow to end.")
    page.get_by_role("button", name="Send").click()
    page.locator(".pending .words", has_text="you said 'Be slow to end.'").wait_for()
    page.get_by_role("button", name="Stop").click()
    page.locator(".pending").first.wait_for(state="detached")
    at_rest(page)
    expect(page.get_by_label("Your message")).to_be_focused()


@pytest.mark.parametrize("first", [True, False], ids=["at once", "later"])
def test_the_message_is_restored_if_the_reply_fails(scripted: Dashboard, opened: Open, first: bool) -> None:
    page = opened(f"{scripted.url}/dashboard/")
    enter(page, "ann")
    if not first:
        say(page, "Hello", 1)
    page.get_by_label("Your message").fill("Now fail.")
    page.keyboard.press("Enter")
    alert = page.get_by_role("alert").filter(has_text="the model failed to reply (exception)")
    alert.wait_for()
    expect(page.get_by_label("Your message")).to_have_value("Now fail.")
    expect(page.locator(".turn")).to_have_count(0 if first else 2)
    alert.get_by_role("button", name="Dismiss").click()
    alert.wait_for(state="hidden")
    say(page, "Better.", 1 if first else 2)


def test_a_page_that_is_closed_during_a_reply_loses_nothing(scripted: Dashboard, opened: Open) -> None:
    page = opened(f"{scripted.url}/dashboard/")
    enter(page, "ann")
    page.get_by_label("Your message").fill("Closing soon.")
    page.keyboard.press("Enter")
    page.locator(".pending .words", has_text="Mia").wait_for()
    page.goto(f"{scripted.url}/dashboard/runs")
    page.get_by_role("heading", name="Runs").wait_for()
    # The list is read when its page opens, and the reply is still being generated.
    wait_for(lambda: any(one.turns[0].text == "Closing soon." for one in scripted.episodes()))
    page.goto(f"{scripted.url}/dashboard/")
    page.get_by_role("link", name="Closing soon.").click()
    page.locator(".turn.bot .words", has_text="you said 'Closing soon.'").wait_for()
