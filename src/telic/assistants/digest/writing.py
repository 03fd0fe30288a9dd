"""Writing a digest: for a terminal, as Markdown, and as a page. Text of strangers acts in none of them."""

from __future__ import annotations

import re
from datetime import datetime

from telic.assistants.digest.digest import Digest, Entry
from telic.assistants.digest.reasons import age_text
from telic.reports.html import Html, element, page, section
from telic.terminal import printable

__all__ = ["digest_page", "markdown_text", "terminal_text"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
"""The page may load nothing, send nothing, and run nothing."""
_PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
_STYLE = """
ol.digest { list-style: none; margin: 0; padding: 0; max-width: 46rem; }
ol.digest > li { border-top: 1px solid var(--grid); padding: .9rem 0; overflow-wrap: anywhere; }
ol.digest h3 { margin: 0 0 .15rem; font-size: 1.05rem; }
ol.digest p { margin: .3rem 0; }
.where { color: var(--muted); font-size: .85rem; }
.warning { color: var(--warn); font-size: .88rem; }
"""


def terminal_text(digest: Digest) -> str:
    """Write a digest as plain text."""
    lines = [f"Digest of {_day(digest)}", digest.headline, ""]
    for entry in digest.entries:
        lines.append(f"{entry.number:>2}  {entry.story.item.title}")
        lines += [f"    {line}" for line in _details(entry, digest) if line]
        lines.append("")
    lines += [f"! {failure}" for failure in digest.failures]
    if digest.entries:
        lines.append("React with: --react NUMBER opened|more|less|never")
    return "\n".join(map(printable, lines)).rstrip()


def markdown_text(digest: Digest) -> str:
    """Write a digest as Markdown. All punctuation of strangers' text is escaped; links are the only markup."""
    lines = [f"# Digest of {_day(digest)}", "", escaped(digest.headline), ""]
    for entry in digest.entries:
        item = entry.story.item
        lines += [f"## {entry.number}. {escaped(item.title)}", "", escaped(_where(entry, digest))]
        lines += ["", f"<{item.link}>"] if item.link else []
        lines += ["", escaped(entry.summary)] if entry.summary else []
        lines += ["", f"Why: {escaped('; '.join(entry.reasons))}"]
        lines += ["", f"Also in: {', '.join(_also(entry))}"] if entry.story.also else []
        lines += ["", f"Warning: {escaped('; '.join(item.warnings))}"] if item.warnings else []
        lines.append("")
    if digest.failures:
        lines += ["## Not read", "", *(f"- {escaped(str(failure))}" for failure in digest.failures), ""]
    return "\n".join(lines)


def digest_page(digest: Digest) -> str:
    """Write a digest as a page of HTML that loads nothing and runs nothing."""
    body: list[Html] = [element("ol", *(_article(entry, digest) for entry in digest.entries), class_="digest")]
    if digest.failures:
        body.append(section("Not read", *(element("p", str(one), class_="warning") for one in digest.failures)))
    head = (
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="referrer", content="no-referrer"),
        element("style", Html(_STYLE)),
    )
    return page(f"Digest of {_day(digest)}", digest.headline, *body, head=head)


def escaped(text: str) -> str:
    """Return a text as Markdown that shows it as it is: all ASCII punctuation is escaped (CommonMark 2.4)."""
    return _PUNCTUATION.sub(r"\\\1", " ".join(text.split()))


def _article(entry: Entry, digest: Digest) -> Html:
    item = entry.story.item
    parts = [element("h3", f"{entry.number}. {item.title}"), element("div", _where(entry, digest), class_="where")]
    if item.link:
        parts.append(element("div", _anchor(item.link), class_="where"))
    if entry.summary:
        parts.append(element("p", entry.summary))
    parts.append(element("p", f"Why: {'; '.join(entry.reasons)}", class_="note"))
    if entry.story.also:
        others = [
            element("span", f"{'' if n == 0 else ', '}{one.source} ", _anchor(one.link) if one.link else one.title)
            for n, one in enumerate(entry.story.also)
        ]
        parts.append(element("p", "Also in: ", *others, class_="note"))
    if item.warnings:
        parts.append(element("p", f"⚠ {'; '.join(item.warnings)}", class_="warning"))
    return element("li", *parts, id=f"item-{entry.number}")


def _anchor(link: str) -> Html:
    return element("a", link, href=link, rel="noopener noreferrer nofollow")


def _details(entry: Entry, digest: Digest) -> list[str]:
    item = entry.story.item
    also = "; ".join(f"{one.source}: {one.link or one.title}" for one in entry.story.also)
    return [
        _where(entry, digest), item.link or "", entry.summary, f"Why: {'; '.join(entry.reasons)}",
        f"Also in: {also}" if also else "", f"Warning: {'; '.join(item.warnings)}" if item.warnings else "",
    ]  # fmt: skip


def _where(entry: Entry, digest: Digest) -> str:
    item = entry.story.item
    by = "summary by the model" if entry.summary_by == "model" else ""
    return " · ".join(filter(None, (item.source, item.author, age_text(item, digest.time), by)))


def _also(entry: Entry) -> list[str]:
    return [f"{escaped(one.source)} {f'<{one.link}>' if one.link else escaped(one.title)}" for one in entry.story.also]


def _day(digest: Digest) -> str:
    return f"{datetime.fromtimestamp(digest.time).astimezone():%A, %d %B %Y}"
