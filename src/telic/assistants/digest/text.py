"""Text of strangers, made plain: no markup, no invisible characters, nothing that a terminal or a page obeys."""

from __future__ import annotations

from html.parser import HTMLParser

import nh3

from telic.assistants.digest.links import host_of, host_written_in
from telic.assistants.mail import html_text
from telic.assistants.mail.words import visible

__all__ = ["HIDDEN_TEXT", "plain", "readable_html", "shortened"]

HIDDEN_TEXT = "hidden text was left out"
LONGEST_MARKUP = 1_000_000
"""Characters of markup that are read of one text."""
_MESSAGES_IN_SELECTORS = range(0xE0100, 0xE01F0)
"""Variation selectors that no font uses: a row of them can spell a hidden message."""


def plain(text: str, longest: int | None = None) -> str:
    """Return a text as one line of visible characters: no controls, no bidirectional overrides, no invisible letters.

    Args:
        text: any text.
        longest: characters after which it is shortened.
    """
    spaced = "".join(" " if char in "\v\f\x1c\x1d\x1e\x85\u2028\u2029" else char for char in text)
    line = " ".join(visible(spaced.translate(dict.fromkeys(_MESSAGES_IN_SELECTORS)))[0].split())
    return line if longest is None else shortened(line, longest)


def shortened(line: str, longest: int) -> str:
    """Shorten a line at a space."""
    if len(line) <= longest:
        return line
    return f"{line[: longest - 1].rsplit(' ', 1)[0].rstrip(' ,;:')}…"


def readable_html(markup: str) -> tuple[str, tuple[str, ...]]:
    """Return what a user of a piece of HTML would see, a paragraph a line, and what they should be warned of."""
    markup = markup[:LONGEST_MARKUP]
    text, hidden = html_text.html_to_text(markup)
    links = _LinkTexts()
    links.feed(nh3.clean(markup, tags={"a"}, attributes={"a": {"href"}}, link_rel=None))
    links.close()
    return text, tuple(dict.fromkeys([HIDDEN_TEXT] * (hidden > 0) + links.warnings))


class _LinkTexts(HTMLParser):
    """Finds links whose text is an address of another host than the one that they lead to."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.warnings: list[str] = []
        self._target = ""
        self._said: list[str] = []

    def handle_starttag(self, _tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._target, self._said = dict(attrs).get("href") or "", []

    def handle_endtag(self, _tag: str) -> None:
        said, real = host_written_in("".join(self._said)), host_of(self._target)
        if said and real and said != real:
            self.warnings.append(f"a link in it says {said} but leads to {real}")
        self._target, self._said = "", []

    def handle_data(self, data: str) -> None:
        self._said.append(data)
