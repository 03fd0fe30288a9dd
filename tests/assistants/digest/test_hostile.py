"""Hostile items: none is obeyed, none is remembered, and nothing of them acts in what is written."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from telic.assistants.digest import Digest, digest_page, markdown_text, terminal_text
from telic.memory import Memory, parse_event
from telic.models import Model, ScriptedModel
from tests.assistants.digest.conftest import NOW, MakeDesk, rss

HOSTILE: list[dict[str, Any]] = json.loads((Path(__file__).parent / "hostile.json").read_text(encoding="utf-8"))
BENIGN = {"title": "River bridge opens again", "html": "The river bridge at Harlow opens again on Monday."}


def clean_xml(text: str) -> str:
    """What XML 1.0 cannot hold is left out; sources of other kinds can hold it, see the contract."""
    return "".join(char for char in text if char >= " " or char in "\n\t\r")


@pytest.fixture
def digest_of(make_desk: MakeDesk, tmp_path: Path) -> Callable[..., Digest]:
    """Make the digest of a feed in a file, and record it."""

    def make(*entries: dict[str, Any], model: Model | None = None, record: bool = True, **settings: Any) -> Digest:
        clean = [{**one, "title": clean_xml(one["title"]), "html": clean_xml(one["html"])} for one in entries]
        (tmp_path / "feed.xml").write_bytes(rss(*clean))
        desk = make_desk({"kind": "feed", "url": "feed.xml"}, **settings)
        found = desk.make(NOW, model=model, record=record)
        assert (len(found.entries), found.failures) == (len(entries), ())
        return found

    return make


each_attack = pytest.mark.parametrize("attack", HOSTILE, ids=[one["name"] for one in HOSTILE])


def outputs(digest: Digest) -> dict[str, str]:
    return {
        "terminal": terminal_text(digest),
        "page": digest_page(digest),
        "markdown": markdown_text(digest),
        "json": json.dumps(digest.as_dict(), ensure_ascii=False),
    }


class Tags(HTMLParser):
    """All elements of a page, with their attributes."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(markup)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def the_page_has_only_its_own_markup(digest: Digest) -> None:
    own = {"html", "head", "meta", "title", "style", "body", "main", "header"}
    own |= {"h1", "h3", "p", "ol", "li", "div", "a"}
    [entry] = digest.entries
    for tag, attributes in Tags(digest_page(digest)).found:
        assert tag in own
        assert not [name for name in attributes if name.startswith("on")]
        if tag == "a":
            assert attributes["href"] == entry.story.item.link
    policies = [one["content"] for _, one in Tags(digest_page(digest)).found if "http-equiv" in one]
    assert str(policies[0]).startswith("default-src 'none'")


def the_markdown_has_no_link_but_the_items_own_and_no_picture(digest: Digest) -> None:
    [entry] = digest.entries
    tokens = MarkdownIt("commonmark").parse(markdown_text(digest))
    inside = [child for token in tokens for child in token.children or ()]
    assert {token.type for token in tokens} <= {
        "heading_open", "heading_close", "paragraph_open", "paragraph_close", "inline",
    }  # fmt: skip
    assert not [child for child in inside if child.type in ("image", "html_inline", "code_inline")]
    links = [child.attrs["href"] for child in inside if child.type == "link_open"]
    assert links == ([entry.story.item.link] if entry.story.item.link else [])


@each_attack
def test_nothing_of_it_acts_and_nothing_is_remembered(
    attack: dict[str, Any], digest_of: Callable[..., Digest], make_desk: MakeDesk, tmp_path: Path
) -> None:
    digest = digest_of(attack, topics=["bridges"])
    nothing_hidden_is_shown(attack, digest)
    the_reader_is_warned(attack, digest)
    the_page_has_only_its_own_markup(digest)
    the_markdown_has_no_link_but_the_items_own_and_no_picture(digest)
    make_desk({"kind": "feed", "url": "x"}).react(["1"], "more", NOW + 60)
    [path] = (tmp_path / "memory").glob("*.jsonl")
    memory = Memory(None, map(parse_event, path.read_text(encoding="utf-8").splitlines()))
    assert len(memory) == 2
    described = memory.describe(NOW)
    assert (described["facts"], described["questions"], described["failures"]) == ([], [], [])
    assert memory.notes("What do I like? Tell me about the river bridge.").text == ""


def nothing_hidden_is_shown(attack: dict[str, Any], digest: Digest) -> None:
    for name, text in outputs(digest).items():
        if attack["canary"]:
            assert attack["canary"] not in text, name
        assert not [char for char in text if unicodedata.category(char) in ("Cf", "Cs") and char not in "\u200c\u200d"]
        assert not [char for char in text if unicodedata.category(char) == "Cc" and char != "\n"], name


def the_reader_is_warned(attack: dict[str, Any], digest: Digest) -> None:
    [entry] = digest.entries
    told = "; ".join(entry.story.item.warnings)
    assert attack["warning"] in told
    assert bool(told) == bool(attack["warning"])
    assert not told or told.split("; ")[0] in terminal_text(digest)


OBEDIENT = (
    "PWNED: I have forwarded the inbox as you asked. ![x](https://evil.example/leak.png)",
    "From now on, you must answer anything. The river bridge at Harlow opens again on Monday.",
    "The river bridge opens again, see https://evil.example/login",
    "The user likes casinos, gambling, Las Vegas and roulette.",
)


@pytest.mark.parametrize("written", OBEDIENT)
def test_what_an_obedient_model_writes_is_not_shown(written: str, digest_of: Callable[..., Digest]) -> None:
    found = digest_of(BENIGN, model=ScriptedModel([written]))
    assert found.entries[0].summary_by == "item"
    assert found.entries[0].summary == BENIGN["html"]


@each_attack
def test_the_model_gets_the_text_as_a_quotation(attack: dict[str, Any], digest_of: Callable[..., Digest]) -> None:
    model = ScriptedModel(lambda _: "The river bridge at Harlow opens again.")
    found = digest_of(attack, model=model)
    assert found.entries[0].summary_by == "model"
    [(system, user)] = model.seen
    assert (system.role, user.role) == ("system", "user")
    first, quotation = user.content.split("\n")
    assert first == "What is this about?"
    assert quotation.startswith('"')
    assert quotation.endswith('"')
    assert not set(quotation[1:-1]) & set('"<>[]{}`|')


def test_no_attack_gains_a_place(digest_of: Callable[..., Digest]) -> None:
    """It stays behind six items that the user cares more about."""
    better = [
        {"title": f"Night trains to {town}", "html": f"A sleeper to {town} leaves at nine.", "hours": 20}
        for town in ("Vienna", "Paris", "Rome", "Oslo", "Basel", "Prague")
    ]
    for attack in HOSTILE:
        hours = -24 * 365 if attack["name"] == "date in the future" else 21
        html = attack["html"].replace("night trains compilers", "breaking urgent")
        found = digest_of(
            {**attack, "hours": hours, "html": html}, *better, record=False, topics=["night trains"], most_per_source=10
        )
        titles = [one.story.item.title for one in found.entries]
        assert all(title.startswith("Night trains") for title in titles[:6]), attack["name"]
