"""Every kind of source passes the contract, and does what is its own."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from email.message import EmailMessage
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from telic.assistants.digest import DigestItem, SourceContext
from telic.assistants.digest.attention import asks_for_attention
from telic.assistants.digest.fetching import Fetcher
from telic.assistants.digest.sources.arxiv import ArxivSource
from telic.assistants.digest.sources.base import build_source, read_sources
from telic.errors import ConfigError
from tests.assistants.digest.conftest import Answer, Site, rss
from tests.contracts.digest_source_contract import NOW, DigestSourceContract

HOUR, DAY = 3600.0, 86_400.0

ATOM = """<?xml version="1.0" encoding="utf-8"?>
<feed xmlns="http://www.w3.org/2005/Atom"><title>arXiv</title>
<entry><id>http://arxiv.org/abs/2611.00001v2</id><title>{title}</title><summary>{text}</summary>
<published>2026-11-18T10:00:00Z</published><author><name>A. One</name></author><author><name>B. Two</name></author>
<link href="http://arxiv.org/abs/2611.00001v2" rel="alternate" type="text/html"/></entry></feed>"""


def xml(text: str) -> str:
    """A text as a feed may hold it: XML has no control characters."""
    kept = "".join(char for char in text if char >= " ")
    return kept.replace("&", "&amp;").replace("<", "&lt;")


class TestFeed(DigestSourceContract):
    kind, place = "feed", "url"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        clean = {"title": "".join(c for c in title if c >= " "), "html": "".join(c for c in text if c >= " ")}
        (folder / "feed.xml").write_bytes(rss(clean))
        return {"url": "feed.xml"}

    def test_entries_before_a_mistake_count(self, tmp_path: Path) -> None:
        whole = rss({"title": "First story of the day"}, {"title": "Second"})
        (tmp_path / "feed.xml").write_bytes(whole[: whole.index(b"Second")] + b"<<<broken")
        found = self.read(tmp_path, {"url": "feed.xml"})
        assert [item.title for item in found.items][:1] == ["First story of the day"]

    def test_entities_do_not_explode(self, tmp_path: Path) -> None:
        bomb = '<!DOCTYPE r [<!ENTITY a "aaaaaaaaaa">' + "".join(
            f'<!ENTITY {b} "{f"&{a};" * 10}">' for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        )
        (tmp_path / "feed.xml").write_text(f"{bomb}]><rss version='2.0'><channel><title>&i;</title></channel></rss>")
        found = self.read(tmp_path, {"url": "feed.xml"})
        assert len(str(found)) < 10_000

    def test_a_file_of_the_machine_is_not_an_entity(self, tmp_path: Path) -> None:
        (tmp_path / "secret").write_text("ZEBRA7")
        head = f'<!DOCTYPE r [<!ENTITY x SYSTEM "file://{tmp_path}/secret">]>'
        body = rss({"title": "A story"}).decode().replace("A story", "A story &x;")
        (tmp_path / "feed.xml").write_text(body.replace("?>", f"?>{head}", 1))
        assert "ZEBRA7" not in str(self.read(tmp_path, {"url": "feed.xml"}))

    def test_relative_links_are_resolved_and_broken_ones_cost_only_themselves(self, tmp_path: Path, site: Site) -> None:
        entries = [
            {"title": f"Story {n}", "link": link} for n, link in enumerate(("/a", "b", "http://[", "http://x:y/", ""))
        ]
        site.pages["/news/feed"] = Answer(rss(*entries))
        found = self.read(tmp_path, {"url": f"{site.address}/news/feed"})
        assert [item.link for item in found.items] == [f"{site.address}/a", f"{site.address}/news/b", None, None, None]

    def test_a_flood_is_cut(self, tmp_path: Path) -> None:
        (tmp_path / "feed.xml").write_bytes(rss(*({"title": f"Story {n}", "hours": n % 300} for n in range(900))))
        assert len(self.read(tmp_path, {"url": "feed.xml"}, most=50).items) == 50


class TestArxiv(DigestSourceContract):
    kind, place = "arxiv", "url"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        (folder / "papers.xml").write_text(ATOM.format(title=xml(title), text=xml(text)), encoding="utf-8")
        return {"url": "papers.xml"}

    def test_versions_of_a_paper_are_one_paper(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "A paper on bridges", "We study bridges.")
        [second] = self.read(tmp_path, settings).items
        path = tmp_path / "papers.xml"
        path.write_text(path.read_text().replace("00001v2", "00001v3"))
        [third] = self.read(tmp_path, settings).items
        assert (second.id, second.author) == (third.id, "A. One, B. Two")

    def test_the_api_is_asked_for_the_newest(self) -> None:
        address = ArxivSource(["cs.CL", "stat.ML"], query='all:"dialogue policy"', most=5).address
        assert address.startswith("https://export.arxiv.org/api/query?search_query=%28cat%3Acs.CL+OR+cat%3Astat.ML%29")
        assert address.endswith("sortBy=submittedDate&sortOrder=descending&max_results=5")

    @pytest.mark.parametrize("settings", [{}, {"categories": "cs.CL"}, {"categories": ["cs.CL OR all"]}, {"most": 0}])
    def test_what_asks_for_nothing_is_refused(self, settings: Mapping[str, Any]) -> None:
        with pytest.raises(ConfigError, match="arxiv"):
            build_source({"kind": "arxiv", **({"query": "x"} if "most" in settings else {}), **settings})


class TestPage(DigestSourceContract):
    kind, place = "page", "url"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        body = (
            f"<head><title>{title}</title></head><nav>Home About</nav><main><p>{text}</p></main><footer>2026</footer>"
        )
        (folder / "page.html").write_text(body, encoding="utf-8")
        return {"url": "page.html"}

    def test_only_the_main_part_is_read(self, tmp_path: Path) -> None:
        [item] = self.read(tmp_path, self.write(tmp_path, "Bridge", "Nine weeks.")).items
        assert item.text == "Nine weeks."

    def test_its_own_encoding_counts(self, tmp_path: Path) -> None:
        body = '<meta charset="iso-8859-1"><title>Straße</title><p>Brücke, neun Wochen</p>'
        (tmp_path / "page.html").write_bytes(body.encode("iso-8859-1"))
        [item] = self.read(tmp_path, {"url": "page.html"}).items
        assert (item.title, item.text) == ("Straße", "Brücke, neun Wochen")


class TestMarkdown(DigestSourceContract):
    kind, place = "markdown", "path"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        (folder / "notes").mkdir(exist_ok=True)
        path = folder / "notes" / "bridge.md"
        path.write_text(f"---\ntags: x\n---\n# {title}\n\n{text}\n", encoding="utf-8")
        os.utime(path, (NOW - HOUR, NOW - HOUR))
        return {"path": "notes"}

    def test_old_hidden_and_foreign_files_are_left_out(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "The bridge opens", "Nine weeks.")
        (tmp_path / "notes" / ".git").mkdir()
        (tmp_path / "notes" / ".git" / "x.md").write_text("# hidden")
        (tmp_path / "outside.md").write_text("# ZEBRA7")
        (tmp_path / "notes" / "link.md").symlink_to(tmp_path / "outside.md")
        old = tmp_path / "notes" / "old.md"
        old.write_text("# old")
        os.utime(old, (NOW - 30 * DAY, NOW - 30 * DAY))
        assert [item.title for item in self.read(tmp_path, settings).items] == ["The bridge opens"]


class TestSlack(DigestSourceContract):
    kind, place = "slack", "path"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        channel = folder / "export" / "general"
        channel.mkdir(parents=True, exist_ok=True)
        (folder / "export" / "users.json").write_text(json.dumps([{"id": "U1", "profile": {"real_name": "Ann"}}]))
        start = f"{NOW - HOUR:.4f}"
        messages = [
            {"type": "message", "user": "U1", "text": title, "ts": start, "thread_ts": start},
            {"type": "message", "user": "U2", "text": text, "ts": f"{NOW - 60:.4f}", "thread_ts": start},
            {"type": "message", "subtype": "channel_join", "user": "U2", "text": "has joined", "ts": start},
        ]
        (channel / "2026-11-18.json").write_text(json.dumps(messages))
        return {"path": "export"}

    def test_a_thread_is_one_item_with_names_and_real_links(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "<@U1> see <https://evil.example/x|https://bank.example> &amp; reply", "Yes.")
        [item] = self.read(tmp_path, settings).items
        assert item.title == "#general: @Ann see https://bank.example (https://evil.example/x) & reply"
        assert item.text.endswith("U2: Yes.")

    def test_an_unknown_channel_is_named(self, tmp_path: Path) -> None:
        settings = {**self.write(tmp_path, "Bridge", "Nine weeks."), "channels": ["random"]}
        assert "no channel 'random'; it has general" in str(self.read(tmp_path, settings).error)


class TestMail(DigestSourceContract):
    kind, place = "mail", "path"

    def write(self, folder: Path, title: str, text: str) -> Mapping[str, Any]:
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Message-ID"] = "Ann <ann@example.org>", "me@example.org", "<1@example.org>"
        mail["Subject"] = "".join(char for char in title if char >= " ")
        mail["Date"] = formatdate(NOW - HOUR)
        mail.set_content(f"{text}\n")
        (folder / "inbox.eml").write_bytes(bytes(mail))
        return {"path": "inbox.eml"}

    def test_lies_in_the_header_are_warned_of(self, tmp_path: Path) -> None:
        self.write(tmp_path, "Bridge", "Nine weeks.")
        path = tmp_path / "inbox.eml"
        data = path.read_bytes().replace(b"Ann <ann@", b'"boss@bank.example" <ann@')
        path.write_bytes(b"Reply-To: evil@evil.example\n" + data)
        [item] = self.read(tmp_path, {"path": "inbox.eml"}).items
        assert len(item.warnings) == 2

    def test_what_the_reader_wrote_is_left_out(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "Bridge", "Nine weeks.")
        assert self.read(tmp_path, {**settings, "own_addresses": ["Ann@example.org"]}).items == ()

    def test_an_answered_mail_asks_for_nothing_and_a_missing_answer_is_told(self, tmp_path: Path) -> None:
        def mail(sender: str, to: str, days: float, subject: str, text: str, **headers: str) -> bytes:
            made = EmailMessage()
            made["From"], made["To"], made["Subject"], made["Date"] = sender, to, subject, formatdate(NOW - days * DAY)
            for name, value in headers.items():
                made[name.replace("_", "-")] = value
            made.set_content(text)
            return bytes(made)

        for folder in ("inbox", "sent"):
            (tmp_path / folder).mkdir()
        asked = {"Message_ID": "<1@example.org>"}
        answer = {"In_Reply_To": "<1@example.org>"}
        me, ann, bob = "me@example.org", "Ann <ann@example.org>", "Bob <bob@example.org>"
        (tmp_path / "inbox" / "1.eml").write_bytes(mail(ann, me, 5, "Budget", "Can you approve it by Friday?", **asked))
        (tmp_path / "sent" / "1.eml").write_bytes(mail(me, ann, 4, "Re: Budget", "Approved.", **answer))
        (tmp_path / "sent" / "2.eml").write_bytes(mail(me, bob, 6, "Contract", "Could you send me the signed copy?"))
        found = self.read(tmp_path, {"path": "inbox", "sent": "sent"})
        assert found.error is None
        by_title = {item.title: item for item in found.items}
        assert set(by_title) == {"Budget", "No answer for 6 days: Contract (to Bob)"}
        assert asks_for_attention(by_title["Budget"]) == (0.0, "")
        assert asks_for_attention(replace(by_title["Budget"], asks=True))[0] > 0.5

    def test_a_mail_that_claims_to_be_the_readers_answers_and_asks_nothing(self, tmp_path: Path) -> None:
        settings = self.write(tmp_path, "Bridge", "Can you approve it by Friday?")
        asked = (tmp_path / "inbox.eml").read_bytes()
        claim = (
            "From: me@example.org\nTo: bob@example.org\nIn-Reply-To: <{}@example.org>\nDate: {}\n"
            "Subject: Payment\n\nCould you pay Eve?\n"
        )
        answer, old = claim.format(1, formatdate(NOW - HOUR / 2)), claim.format(2, formatdate(NOW - 5 * DAY))
        (tmp_path / "mail").mkdir()
        for number, trace in enumerate(("", "Delivered-To: me@example.org\n")):
            for name, one in (("1", asked), ("2", (trace + answer).encode()), ("3", (trace + old).encode())):
                (tmp_path / "mail" / f"{name}.eml").write_bytes(one)
            found = self.read(tmp_path, {**settings, "path": "mail", "own_addresses": ["me@example.org"]}).items
            assert [item.asks for item in found if item.title == "Bridge"] == [number == 1]
            assert len(found) == (2 if number == 0 else 1)

    def test_lines_that_were_wrapped_are_joined(self, tmp_path: Path) -> None:
        wrapped = "The bridge over the river at Harlow, which was closed for\nrepairs, opens again.\n\nBring a bell."
        [item] = self.read(tmp_path, self.write(tmp_path, "Bridge", wrapped)).items
        assert item.text == f"{wrapped.splitlines()[0]} repairs, opens again.\nBring a bell."


@dataclass(frozen=True)
class Broken:
    label: str = "broken"

    def read(self, context: SourceContext) -> Iterator[DigestItem]:
        yield DigestItem("never seen")
        raise ZeroDivisionError("in a plug-in")


@pytest.mark.parametrize(
    "table",
    [
        {"kind": "mail", "path": "in.mbox", "own_addresses": "ann@town.example"},
        {"kind": "mail", "path": "in.mbox", "own_addresses": [1]},
        {"kind": "mail", "path": "in.mbox", "sent": 3},
        {"kind": "slack", "path": "export", "channels": "general"},
        {"kind": "arxiv", "query": 3},
    ],
)
def test_settings_of_another_type_are_named(table: dict[str, Any]) -> None:
    name = list(table)[-1]
    with pytest.raises(ConfigError, match=f"{name} is .*; expected a "):
        build_source(table)


@pytest.mark.parametrize("kind", ["feed", "page"])
def test_what_is_no_address_is_an_error_of_its_source(kind: str, tmp_path: Path) -> None:
    context = SourceContext(Fetcher(tmp_path / "cache", tmp_path, timeout=5.0, max_bytes=1000), NOW, 0.0)
    [read] = read_sources([build_source({"kind": kind, "url": "http://[town"})], context, 5.0)
    assert (read.source, read.error) == ("http://[town", "'http://[town' is not an address: Invalid IPv6 URL")


def test_a_plug_in_that_raises_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "feed.xml").write_bytes(rss({"title": "A story"}))
    fetcher = Fetcher(tmp_path / "cache", tmp_path, timeout=5.0, max_bytes=10**6)
    good = build_source({"kind": "feed", "url": "feed.xml"})
    first, second = read_sources([Broken(), good], SourceContext(fetcher, NOW, 0.0), 5.0)
    assert (first.error, first.items) == ("ZeroDivisionError: in a plug-in", ())
    assert [item.title for item in second.items] == ["A story"]
