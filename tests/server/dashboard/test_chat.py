"""The dashboard in a browser: chat, beliefs, pins, comparisons, feedback, probes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("playwright")

from playwright.sync_api import expect

from tests.server.conftest import wait_for
from tests.server.dashboard.conftest import Dashboard, Open, at_rest, say

if TYPE_CHECKING:
    from playwright.sync_api import Page

SCRIPT = "<script>alert(1)</script> <img src=x onerror=alert(2)> **bold** {{ 1 + 1 }}"


def shares(page: Page) -> list[str]:
    """The percentages of all classes of what is known."""
    return [share for share in page.locator(".attribute > ul .share").all_inner_texts() if share]


def stored_reply(dashboard: Dashboard, page: Page) -> str:
    """The text of the first reply of the conversation that the page shows, as the store holds it."""
    [episode] = [one for one in dashboard.episodes() if page.url.endswith(one.id)]
    return episode.turns[1].text


def test_a_chat_is_streamed_read_and_stored_and_a_script_in_it_is_text(tiny: Dashboard, opened: Open) -> None:
    page = opened(tiny.url)
    expect(page).to_have_url(f"{tiny.url}/dashboard/")
    page.get_by_text("Send a message to begin.").wait_for()
    say(page, SCRIPT, 1)
    expect(page.locator(".turn.user .words")).to_have_text(SCRIPT)
    expect(page.locator(".turn script, .turn img")).to_have_count(0)
    name = page.url.rpartition("/")[2]
    [episode] = [one for one in tiny.episodes() if one.id == name]
    assert [(turn.role, turn.finish != "left") for turn in episode.turns] == [("user", True), ("assistant", True)]
    assert episode.turns[0].text == SCRIPT
    expect(page.locator(".turn.bot .words")).to_have_text(episode.turns[1].text)
    readings = episode.turns[1].readings
    assert set(readings) == {"attention", "beliefs"}
    assert len(readings["beliefs"]) == 7, "its own education is off"
    assert episode.metadata["setups"][episode.turns[1].origin["setup"]]["purpose"] == "travel"
    known = [one for name, one in readings["beliefs"].items() if not name.endswith("socioeconomic")]
    expected = [f"{p:.0%}" for one in known for p in one["probabilities"].values()]
    wait_for(lambda: sorted(shares(page)) == sorted(expected))
    unknown = page.locator(".attribute", has_text="Socioeconomic").locator(".answer-button")
    expect(unknown).to_have_text(["unknown", "unknown"])
    page.reload()
    page.get_by_role("button", name="Reply 1:").first.wait_for()
    wait_for(lambda: sorted(shares(page)) == sorted(expected))
    expect(page.get_by_role("navigation", name="Conversations").get_by_role("link", name="script")).to_have_count(1)


def test_unknown_is_the_resting_state_and_shows_no_percentages(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    answers = page.locator(".attribute .answer-button")
    expect(answers).to_have_text([*["unknown"] * 6, "off", "unknown"])
    assert shares(page) == []
    say(page, "Hello!", 1)
    wait_for(lambda: len(shares(page)) > 0)
    unsure = page.locator(".attribute", has_text="Socioeconomic").first
    expect(unsure.locator(".answer-button")).to_have_text("unknown")
    assert set(unsure.locator(".share").all_inner_texts()) == {""}


def test_a_reading_shows_the_words_that_it_rests_on_and_how_reliable_it_is(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    words = "Hi <b>there</b>, I am eight."
    say(page, words, 1)
    stored = tiny.episodes()
    why = page.get_by_role("button", name=re.compile("^Your age: .* Why"))
    why.click()
    shown = page.locator(".side").first.locator(".attribute").first.locator(".explanation")
    expect(shown).to_contain_text("Without any of your words: ")
    expect(shown).to_contain_text("In 42 natural conversations that said your age, it was right in 90%")
    expect(shown).to_contain_text("In 60 natural conversations that did not say it, it claimed to know in 7%.")
    expect(page.locator(".turn.user .words")).to_have_text(words)
    quoted = [quote.strip("“”") for quote in shown.locator(".quote").all_inner_texts()]
    marked = page.locator(".turn.user mark").all_inner_texts()
    assert set(quoted) <= set(marked) <= set(words.split())
    expect(page.locator(".turn b")).to_have_count(0)
    at_rest(page)
    assert tiny.episodes() == stored, "nothing is stored"
    why.click()
    expect(shown).to_be_hidden()
    expect(page.locator("mark")).to_have_count(0)
    unsure = page.get_by_role("button", name="Your socioeconomic status: unknown. Why?")
    unsure.click()
    expect(page.locator(".explanation:visible")).to_contain_text("at least 110% is needed")


def test_a_reading_of_itself_that_the_card_does_not_support_is_off(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    say(page, "Hello, who are you?", 1)
    expect(page.locator(".side").last).to_contain_text("Off if the readers' card does not support it.")
    expect(page.locator(".side").first).not_to_contain_text("Off if")
    page.get_by_role("button", name="Its own education level: off. Why?").click()
    reason = "Off: in 31% of 42 natural conversations it took the user's for its own."
    expect(page.locator(".explanation:visible")).to_contain_text(reason)
    expect(page.locator(".explanation:visible")).to_contain_text("set unsupported_readings = true in [serve]")
    # It can be pinned all the same.
    page.get_by_role("button", name="Pin its own education level “high school” as likely").click()
    page.get_by_role("button", name="Unpin: itself: high school").wait_for()


def test_an_earlier_reply_shows_its_beliefs_and_drift(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    say(page, "Hello! I am eight years old.", 1)
    expect(page.locator(".attribute .share").first).to_have_text(re.compile(r"\d+%"))
    first = shares(page)
    expect(page.locator(".gauge")).to_have_text(re.compile("^100%"))
    say(page, "Where should I go in May, and with whom?", 2)
    wait_for(lambda: shares(page) != first)
    expect(page.locator(".gauge strong")).to_have_text(re.compile(r"^\d+%$"))
    second, level = shares(page), page.locator(".gauge strong").inner_text()
    page.get_by_role("button", name="Reply 1: show its readings").click()
    page.get_by_text("reply 1 of 2").wait_for()
    wait_for(lambda: shares(page) == first)
    bar = page.locator(".bars").get_by_role("button", name=f"Reply 2: {level}")
    bar.focus()
    page.keyboard.press("Enter")
    page.get_by_text("reply 2 of 2").wait_for()
    wait_for(lambda: shares(page) == second)
    expect(bar).to_have_attribute("aria-pressed", "true")
    page.locator(".turn.bot .words").first.click()
    page.get_by_role("button", name="Latest reply").click()
    page.get_by_text("reply 2 of 2").wait_for()


def test_pin_regenerate_compare_choose_unpin(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    say(page, "Hello, who are you?", 1)
    old, before = stored_reply(tiny, page), page.url
    page.get_by_label("Strength of pins").select_option("4.0")
    pin = page.get_by_role("button", name="Pin your age “child” as likely")
    pin.click()
    page.get_by_role("button", name="Pin its own gender “male” as unlikely").click()
    page.get_by_role("button", name="Unpin: itself: not male").wait_for()
    expect(pin).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Regenerate reply 1, and compare").click()
    keep = page.get_by_role("button", name="Keep the regenerated answer")
    keep.wait_for()
    page.get_by_text("Beliefs, from old to new").wait_for()
    answers = page.locator(".answer")
    expect(answers.first.locator(".words")).to_have_text(old)
    expect(answers.first.locator(".tag")).to_have_text("no pins")
    expect(answers.last.locator(".tag")).to_have_text(["you: child", "itself: not male"])
    # What is pinned is told, whether it changed or not.
    expect(page.get_by_text("your age: ")).to_have_count(1)
    new = answers.last.locator(".words").inner_text().replace("\0", "\ufffd")  # as the store holds it
    keep.click()
    page.wait_for_function("before => location.href !== before", arg=before)
    at_rest(page)
    expect(page.locator(".turn.bot .words")).to_have_text(new)
    expect(page.locator(".turn.bot .tag").first).to_have_text("you: child")
    episodes = {one.id: one for one in tiny.episodes()}
    old_id, new_id = (url.rpartition("/")[2] for url in (before, page.url))
    kept, left = episodes[new_id], episodes[old_id]
    assert kept.metadata["parent"] == old_id
    *_, control = kept.metadata["setups"][kept.turns[1].origin["setup"]]["controls"]
    assert (control["name"], control["strength"]) == ("belief", 4.0)
    assert (control["towards"], control["away"]) == ({"user_age": "child"}, {"self_gender": "male"})
    assert kept.feedback[0].source == "preferred"
    assert kept.feedback[0].value == {"to": old_id, "position": 1}
    assert "controls" not in left.turns[1].origin, "the other answer is as it was"
    page.reload()
    page.get_by_role("button", name="Unpin: you: child").wait_for()
    expect(page.get_by_label("Strength of pins")).to_have_value("4.0")
    page.get_by_role("button", name="Unpin: you: child").click()
    page.get_by_role("button", name="Unpin: itself: not male").click()
    page.locator(".pinned").wait_for(state="hidden")
    say(page, "And now?", 2)
    kept = next(one for one in tiny.episodes() if one.id == new_id)
    controls = kept.metadata["setups"][kept.turns[3].origin["setup"]]["controls"]
    assert [control["name"] for control in controls] == ["talkative", "planner"]


def test_regenerate_without_pins_and_keep_the_old_answer(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    page.get_by_role("button", name="Pin your gender “female” as likely").click()
    say(page, "Hello there.", 1)
    old = stored_reply(tiny, page)
    expect(page.locator(".turn.bot .tag").first).to_have_text("you: female")
    page.get_by_role("button", name="Regenerate reply 1 without pins, and compare").click()
    page.get_by_text("Beliefs, from old to new").wait_for()
    expect(page.locator(".answer").last.locator(".tag")).to_have_text("no pins")
    expect(page.get_by_role("button", name="Send")).to_be_disabled()
    page.get_by_role("button", name="Keep the old answer").click()
    page.locator(".compare").wait_for(state="detached")
    at_rest(page)
    expect(page.locator(".turn.bot .words")).to_have_text(old)
    expect(page.get_by_role("button", name="Unpin: you: female")).to_be_visible()  # the pins stay as they were


def test_thumbs_and_edits_are_stored_and_the_chat_continues_from_the_edit(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    say(page, "Good morning.", 1)
    up, down = (page.get_by_role("button", name=f"Reply 1 is {word}") for word in ("good", "bad"))
    up.click()
    expect(up).to_have_attribute("aria-pressed", "true")
    down.click()
    expect(down).to_have_attribute("aria-pressed", "true")
    expect(up).to_have_attribute("aria-pressed", "false")
    before = page.url.rpartition("/")[2]
    page.get_by_role("button", name="Edit reply 1").click()
    page.get_by_label("Edited reply").fill("I am Mia. <b>Where to?</b>")
    page.get_by_role("button", name="Save edit").click()
    page.get_by_text("edited by you").wait_for()
    page.wait_for_function("before => !location.href.endsWith(before)", arg=before)
    expect(page.locator(".turn.bot .words")).to_have_text("I am Mia. <b>Where to?</b>")
    say(page, "To the mountains.", 2)
    episodes = {one.id: one for one in tiny.episodes()}
    told = [(one.source, one.value) for one in episodes[before].feedback]
    assert told == [("thumb", 1), ("thumb", -1), ("edit", "I am Mia. <b>Where to?</b>")]
    after = episodes[page.url.rpartition("/")[2]]
    assert (after.turns[1].text, after.turns[1].finish) == ("I am Mia. <b>Where to?</b>", "edited")
    assert len(after.turns) == 4


def test_the_planners_choice_is_shown(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    expect(page.locator(".planner")).to_contain_text("Chooses before every reply.")
    say(page, "What is next?", 1)
    [episode] = [one for one in tiny.episodes() if page.url.endswith(one.id)]
    act = episode.turns[1].origin["planner"]["act"]
    expect(page.locator(".planner")).to_contain_text(f"Act: {act}")
    expect(page.locator(".turn.bot .tag", has_text=f"act: {act}")).to_have_count(1)
    wait_for(lambda: sorted(page.locator(".planner .label").all_inner_texts()) == ["ask", "tell"])


def test_probes_are_asked_on_a_fork(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/")
    say(page, "Hi, what is there to do?", 1)
    page.get_by_role("button", name="Ask the probes").click()
    page.get_by_text(re.compile(r"Probe score \d+%, mean over 1 of 1 probes")).wait_for()
    page.locator("summary", has_text="answers").click()
    page.locator(".question", has_text="What is your name?").wait_for()
    [episode] = [one for one in tiny.episodes() if page.url.endswith(one.id)]
    assert len(episode.turns) == 2, "the chat never sees them"
    [branch] = episode.branches
    assert (branch.probe, branch.round, len(branch.answers)) == ("name", 1, 4)


def test_conversations_are_told_apart_searched_and_deleted(tiny: Dashboard, opened: Open) -> None:
    urls = []
    for _ in range(2):
        page = opened(f"{tiny.url}/dashboard/")
        say(page, "The very same quokka.", 1)
        urls.append(page.url)
    entries = page.locator(".sidebar li", has_text="The very same quokka.")
    expect(entries).to_have_count(2)
    replies = {one.id: " ".join(one.turns[1].text.split()) for one in tiny.episodes()}
    told = [" ".join(text.split()) for text in entries.locator(".closing").all_text_contents()]
    assert told == [replies[url.rpartition("/")[2]][:80].strip() for url in reversed(urls)], "by their latest words"
    search = page.get_by_label("Search conversations")
    search.fill("QUOKKA same")
    expect(page.locator(".sidebar li a")).to_have_count(2)
    search.fill("quokka nowhere")
    expect(page.get_by_text("No conversation contains these words.")).to_be_visible()
    search.fill("quokka")
    expect(entries).to_have_count(2)
    entries.last.get_by_role("button", name="Delete: The very same quokka.").click()
    entries.last.get_by_role("button", name="Keep").click()
    expect(entries).to_have_count(2)
    entries.last.get_by_role("button", name="Delete: The very same quokka.").click()
    entries.last.get_by_role("button", name="Delete", exact=True).click()
    expect(entries).to_have_count(1)
    assert page.url == urls[1], "the open one stays open"
    entries.first.get_by_role("button", name="Delete: The very same quokka.").click()
    entries.first.get_by_role("button", name="Delete", exact=True).click()
    page.wait_for_url(f"{tiny.url}/dashboard/")
    assert not {url.rpartition("/")[2] for url in urls} & {one.id for one in tiny.episodes()}


def test_an_address_without_a_conversation_says_so_and_begins_a_new_one(tiny: Dashboard, opened: Open) -> None:
    page = opened(f"{tiny.url}/dashboard/c/{'0' * 32}")
    expect(page.get_by_role("alert")).to_contain_text("This conversation was not found")
    say(page, "Then a new one.", 1)
    assert not page.url.endswith("0" * 32)


def test_the_button_that_saves_an_edit_is_readable_while_the_pointer_is_on_it(tiny: Dashboard, opened: Open) -> None:
    for scheme in ("light", "dark"):
        page = opened(f"{tiny.url}/dashboard/", scheme=scheme)
        say(page, "Good evening.", 1)
        page.get_by_role("button", name="Edit reply 1").click()
        save = page.get_by_role("button", name="Save edit")
        color = "button => getComputedStyle(button).color"
        away = save.evaluate(color)
        save.hover()
        assert save.evaluate(color) == away, "the colour that goes with the button's ground"
