"""A digest as its user meets it: order, reasons, copies, repeats, reactions, forgetting, failures."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from telic.assistants.digest import Digest, digest_page, terminal_text
from telic.errors import ConfigError, RunError
from telic.memory import Memory, MemoryConfig, MemoryFile, new_event
from telic.run_lock import acquire_lock
from tests.assistants.digest.conftest import HOUR, NOW, Answer, MakeDesk, Site, rss

DAY = 24 * HOUR
TRAINS = {"title": "Night trains return to Vienna", "html": "Sleepers with berths run again between Vienna and Paris."}
CUP = {
    "title": "Cup final ends without a goal",
    "html": "The striker missed twice, and the keeper saved penalties.",
}
BREAD = {
    "title": "A baker explains her sourdough",
    "html": "The starter ferments for a day before it is shaped.",
}


def titles(digest: Digest) -> list[str]:
    return [entry.story.item.title for entry in digest.entries]


def feed(folder: Path, *entries: dict[str, Any], name: str = "feed.xml") -> dict[str, Any]:
    (folder / name).write_bytes(rss(*entries))
    return {"kind": "feed", "url": name, "name": name.removesuffix(".xml")}


def test_what_the_reader_wants_comes_first_and_says_why(make_desk: MakeDesk, tmp_path: Path) -> None:
    digest = make_desk(feed(tmp_path, CUP, BREAD, TRAINS), topics=["night trains"], avoid=["football cup"]).make(NOW)
    assert titles(digest) == [TRAINS["title"], BREAD["title"], CUP["title"]]
    first, _, last = digest.entries
    assert first.reasons[0] == "'night trains' is in `topics`"
    assert first.reasons[1] in ("words: trains, Night", "words: Night, trains")
    assert last.reasons[0] == "lower, because 'football cup' is in `avoid`"


def test_without_any_evidence_the_newest_comes_first(make_desk: MakeDesk, tmp_path: Path) -> None:
    entries = [{**CUP, "hours": 30}, {**BREAD, "hours": 2}, {**TRAINS, "hours": 10}]
    digest = make_desk(feed(tmp_path, *entries)).make(NOW)
    assert titles(digest) == [BREAD["title"], TRAINS["title"], CUP["title"]]
    assert digest.entries[0].reasons == ("2 hours old",)


def test_nothing_is_shown_twice(make_desk: MakeDesk, tmp_path: Path) -> None:
    source = feed(tmp_path, TRAINS, BREAD)
    assert len(make_desk(source).make(NOW).entries) == 2
    changed = {**TRAINS, "link": "https://other.example/9", "title": "Night trains return to Vienna today"}
    feed(tmp_path, changed, BREAD, CUP)
    later = make_desk(source).make(NOW + DAY)
    assert titles(later) == [CUP["title"]]
    assert (later.repeated, "2 were shown before" in later.headline) == (2, True)


def test_a_preview_records_nothing(make_desk: MakeDesk, tmp_path: Path) -> None:
    desk = make_desk(feed(tmp_path, TRAINS))
    assert titles(desk.make(NOW, record=False)) == titles(desk.make(NOW)) == [TRAINS["title"]]


def test_copies_of_one_story_are_one_entry(make_desk: MakeDesk, tmp_path: Path) -> None:
    other = {**TRAINS, "title": "Night trains return to Vienna!", "link": "https://b.example/1"}
    same_link = {"title": "Sleepers are back", "link": "https://town.example/0/?utm_source=feed"}
    copies = {"a.xml": TRAINS, "b.xml": other, "c.xml": same_link}
    digest = make_desk(*(feed(tmp_path, entry, name=name) for name, entry in copies.items())).make(NOW)
    [entry] = digest.entries
    assert sorted(entry.story.sources) == ["a", "b", "c"]
    assert "3 sources have it" in entry.reasons
    assert "Also in: " in terminal_text(digest)


def test_versions_and_columns_are_different_stories(make_desk: MakeDesk, tmp_path: Path) -> None:
    entries = [
        {"title": "Python 3.14 is released today", "html": "It has a faster start.", "link": "https://p.example/14"},
        {"title": "Python 3.15 is released today", "html": "It has lazy imports.", "link": "https://p.example/15"},
        {"title": "Weekly links", "html": "Ten recipes with rhubarb.", "link": "https://p.example/a"},
        {"title": "Weekly links", "html": "The bridge and the harbour.", "link": "https://p.example/b"},
    ]
    assert len(make_desk(feed(tmp_path, *entries)).make(NOW).entries) == 4


def test_reactions_change_the_order_of_the_next_digest(make_desk: MakeDesk, tmp_path: Path) -> None:
    source = feed(tmp_path, TRAINS, CUP)
    desk = make_desk(source)
    first = desk.make(NOW)
    number = {entry.story.item.title: str(entry.number) for entry in first.entries}
    assert desk.react([number[CUP["title"]]], "less", NOW + 60) == [CUP["title"]]
    assert desk.react([number[TRAINS["title"]]], "more", NOW + 60) == [TRAINS["title"]]
    new = [
        {"title": "Striker signs a new contract", "html": "The keeper stays too. Cup next.", "hours": -23, "link": "https://t.example/5"},
        {"title": "A sleeper to Rome", "html": "Trains with berths run at night.", "hours": -20, "link": "https://t.example/6"},
    ]  # fmt: skip
    feed(tmp_path, *new)
    digest = desk.make(NOW + DAY)
    assert titles(digest) == ["A sleeper to Rome", "Striker signs a new contract"]
    assert digest.entries[0].reasons[0] == f"you wanted more of “{TRAINS['title']}”"
    assert digest.entries[1].reasons[0] == f"lower, because you wanted less of “{CUP['title']}”"


def test_the_latest_reaction_counts_and_opening_takes_nothing_back(make_desk: MakeDesk, tmp_path: Path) -> None:
    from telic.assistants.digest.evidence import collect_evidence

    desk = make_desk(feed(tmp_path, TRAINS))
    desk.make(NOW)
    targets = []
    for reaction in ("opened", "less", "opened", "more"):
        desk.react(["1"], reaction, NOW + 60)
        [evidence] = collect_evidence(desk._memory(), desk.config, NOW + 60)
        targets.append(evidence.target)
    assert targets == [0.7, -1.0, -1.0, 1.0]


def test_old_reactions_count_for_less(make_desk: MakeDesk, tmp_path: Path) -> None:
    from telic.assistants.digest.evidence import collect_evidence

    desk = make_desk(feed(tmp_path, TRAINS), half_life_days=7)
    desk.make(NOW)
    desk.react(["1"], "more", NOW)
    weights = [collect_evidence(desk._memory(), desk.config, NOW + days * DAY)[0].weight for days in (0, 7, 14)]
    assert weights == pytest.approx([2.0, 1.0, 0.5])


def test_never_leaves_out_what_is_like_it(make_desk: MakeDesk, tmp_path: Path) -> None:
    source = feed(tmp_path, CUP)
    desk = make_desk(source)
    desk.make(NOW)
    desk.react(["1"], "never", NOW)
    again = {
        "title": "Cup final: keeper saves two penalties",
        "html": "The striker missed.",
        "link": "https://n.example/1",
    }
    feed(tmp_path, again, BREAD)
    digest = desk.make(NOW + 60 * DAY - 59 * DAY)
    assert titles(digest) == [BREAD["title"]]
    assert (digest.avoided, "1 are like what you never want to see" in digest.headline) == (1, True)


def test_what_was_said_in_a_chat_counts(make_desk: MakeDesk, tmp_path: Path) -> None:
    log = MemoryFile.of_user(tmp_path / "memory", "news", "me")
    log.append([new_event("message", "I love sourdough. I hate football.", "c1", time=NOW - DAY)])
    digest = make_desk(feed(tmp_path, CUP, BREAD)).make(NOW)
    assert titles(digest)[0] == BREAD["title"]
    assert digest.entries[0].reasons[0] == "you said that you like 'sourdough'"


def test_forgetting_erases_reactions_and_what_was_shown(make_desk: MakeDesk, tmp_path: Path) -> None:
    source = feed(tmp_path, TRAINS, CUP)
    desk = make_desk(source)
    desk.make(NOW)
    desk.react(["1", "2"], "more", NOW)
    log = MemoryFile.of_user(tmp_path / "memory", "news", "me")
    memory = Memory(MemoryConfig(), log.read())
    plan = memory.plan_forgetting("night trains")
    log.forget(plan, new_event("forget", "", "here", events=list(plan.events)))
    left = log.path.read_text(encoding="utf-8")
    assert "Night trains" not in left
    assert "Cup final" in left
    assert titles(desk.make(NOW + DAY)) == []  # it is not shown again either
    with pytest.raises(ConfigError, match="there is no item '1'"):
        desk.react(["1"], "more", NOW)


@pytest.mark.parametrize(
    ("names", "reaction", "told"),
    [
        (["9"], "more", "there is no item '9': the latest digest has 1 items"),
        (["abcdef1234"], "more", "there is no item 'abcdef1234': expected the number"),
        (["1"], "mroe", "unknown reaction 'mroe'; did you mean 'more'?"),
        (["1", "9"], "more", "there is no item '9'"),
    ],
)
def test_a_wrong_reaction_is_refused_as_a_whole(
    make_desk: MakeDesk, tmp_path: Path, names: list[str], reaction: str, told: str
) -> None:
    desk = make_desk(feed(tmp_path, TRAINS))
    with pytest.raises(ConfigError, match="no digest was shown yet"):
        desk.react(["1"], "more", NOW)
    desk.make(NOW)
    before = MemoryFile.of_user(tmp_path / "memory", "news", "me").read()
    with pytest.raises(ConfigError) as caught:
        desk.react(names, reaction, NOW)
    assert told in str(caught.value)
    assert MemoryFile.of_user(tmp_path / "memory", "news", "me").read() == before


def test_a_source_that_fails_shows_and_the_others_still_count(make_desk: MakeDesk, tmp_path: Path, site: Site) -> None:
    site.pages["/broken"] = Answer(b"<rss><channel><item>", headers={"Content-Type": "text/xml"})
    sources = [
        {"kind": "feed", "url": f"{site.address}/gone", "name": "Gone"},
        {"kind": "feed", "url": f"{site.address}/broken", "name": "Broken"},
        {"kind": "markdown", "path": "nowhere"},
        feed(tmp_path, TRAINS),
    ]
    digest = make_desk(*sources).make(NOW)
    assert titles(digest) == [TRAINS["title"]]
    assert [failure.source for failure in digest.failures] == ["Gone", "Broken", "nowhere"]
    assert "answered 404" in digest.failures[0].why
    for text in (terminal_text(digest), digest_page(digest)):
        assert "Gone could not be read" in text
    assert "1 of 4 sources" in digest.headline


def test_a_source_that_hangs_does_not_keep_the_digest_waiting(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from telic.assistants.digest.sources import base, markdown

    monkeypatch.setattr(base, "GRACE", 0.0)
    never = threading.Event()
    monkeypatch.setattr(markdown.MarkdownSource, "read", lambda *_: never.wait(600))
    digest = make_desk({"kind": "markdown", "path": "x"}, feed(tmp_path, TRAINS), timeout=3).make(NOW)
    never.set()
    assert titles(digest) == [TRAINS["title"]]
    assert digest.failures[0].why == "it was not read within 3 seconds"


def test_one_source_does_not_fill_the_digest(make_desk: MakeDesk, tmp_path: Path) -> None:
    words = ("Tax", "Rain", "Zoo", "Tram", "Milk", "Vote")
    flood = [{"title": f"{word} in the news", "link": f"https://f.example/{word}"} for word in words]
    digest = make_desk(feed(tmp_path, *flood, name="flood.xml"), feed(tmp_path, TRAINS, CUP), items=4).make(NOW)
    assert sorted(entry.story.item.source for entry in digest.entries) == ["feed", "feed", "flood", "flood"]


def test_two_digests_at_once_show_no_item_twice(make_desk: MakeDesk, tmp_path: Path) -> None:
    source = feed(tmp_path, *({"title": f"Story number {n}", "link": f"https://t.example/{n}"} for n in range(12)))
    found: list[list[str]] = []

    def make() -> None:
        found.append(titles(make_desk(source, items=4).make(NOW)))

    threads = [threading.Thread(target=make) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shown = [title for one in found for title in one]
    assert len(shown) == len(set(shown)) == 12


def test_another_digest_that_takes_long_is_named(
    make_desk: MakeDesk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telic.assistants.digest.desk.PATIENCE", 0.05)
    desk = make_desk(feed(tmp_path, TRAINS))
    (tmp_path / "digest").mkdir()
    path = MemoryFile.of_user(tmp_path / "memory", "news", "me").path
    acquire_lock(tmp_path / "digest" / f".{path.stem}.lock")
    with pytest.raises(RunError, match="another digest is being made by process"):
        desk.make(NOW)


def test_too_old_items_are_left_out_and_a_date_in_the_future_gains_nothing(make_desk: MakeDesk, tmp_path: Path) -> None:
    digest = make_desk(feed(tmp_path, {**CUP, "hours": 15 * 24}, {**TRAINS, "hours": -9999})).make(NOW)
    [entry] = digest.entries
    assert entry.story.item.time == NOW
    assert entry.reasons == ("less than an hour old",)


def test_a_mail_that_asks_comes_before_an_article_that_pleases(make_desk: MakeDesk, tmp_path: Path) -> None:
    mail = (
        "From: Dana <dana@acme.example>\nSubject: Budget\nDate: Tue, 18 Nov 2026 09:00:00 +0000\n\n"
        "Can you approve the budget by Friday? Nothing else is missing.\n"
    )
    advert = (
        "From: Shop <news@shop.example>\nSubject: 50% off, act now\nDate: Tue, 18 Nov 2026 09:00:00 +0000\n"
        "List-Unsubscribe: <mailto:x@shop.example>\n\nSale! Can you resist? Ends by Friday. Unsubscribe here.\n"
    )
    (tmp_path / "mail").mkdir()
    for number, text in enumerate((mail, advert)):
        (tmp_path / "mail" / f"{number}.eml").write_text(text)
    digest = make_desk(
        {"kind": "mail", "path": "mail"}, feed(tmp_path, TRAINS), topics=["night trains"], max_age_days=60
    ).make(NOW)
    assert titles(digest) == ["Budget", TRAINS["title"], "50% off, act now"]
    assert digest.entries[0].reasons[0] == "it asks for you: “Can you approve the budget by Friday?”"
