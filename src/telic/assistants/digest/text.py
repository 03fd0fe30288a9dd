"""Text of strangers, made plain: no markup, no invisible characters, nothing that a terminal or a page obeys."""

from __future__ import annotations

import re
import unicodedata
from html.parser import HTMLParser

import nh3

from telic.assistants.digest.links import host_of, host_written_in

__all__ = ["HIDDEN_TEXT", "MISLEADING_LINK", "html_to_text", "plain", "shortened"]

HIDDEN_TEXT = "hidden text was left out"
MISLEADING_LINK = "a link's text names another host than it leads to"
DEEPEST = 1_000_000
"""Characters of markup that are read of one text."""

_JOINERS = "\u200c\u200d"
"""Invisible, but Persian and emoji are spelt with them."""
_WITHOUT_CONTENT = {"script", "style", "template", "noscript", "svg", "math", "object", "iframe", "head", "title"}
_TAGS = {"a", "blockquote", "br", "div", "li", "p", "pre", "span", "td", "th", "tr", "article", "section"} | {
    f"h{level}" for level in range(1, 7)
}
_BLOCKS = _TAGS - {"a", "span"}
_HIDING = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|opacity:0?(?:\.0\d*)?(?:;|$)|font-size:0?(?:\.\d+)?(?:px|pt|em|rem|%)?(?:;|!|$)"
    r"|(?:^|;)(?:max-)?(?:height|width):0|text-indent:-\d{3,}|(?:left|top|right|margin-left):-\d{3,}|mso-hide:all"
    r"|clip:rect\(0|clip-path:inset\((?:50|100)%|transform:scale\(0"
)
_WHITE = re.compile(r"(?:^|;)color:(?:white|#fff(?:fff)?|transparent|rgba?\(255,255,255[^)]*\))(?:;|!|$)")
_BACKGROUND = re.compile(r"(?:^|;)background")


def plain(text: str, longest: int | None = None) -> str:
    """Return a text as one line of visible characters: no controls, no bidirectional overrides, no invisible letters.

    Args:
        text: any text.
        longest: characters after which it is shortened.
    """
    shown = (
        char if unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp") or char in _JOINERS
        else "" if unicodedata.category(char) == "Cf" else " "
        for char in text
        if not 0xE0100 <= ord(char) <= 0xE01EF  # variation selectors that can spell a hidden message
    )  # fmt: skip
    line = " ".join("".join(shown).split())
    return line if longest is None else shortened(line, longest)


def shortened(line: str, longest: int) -> str:
    """Shorten a line at a space."""
    if len(line) <= longest:
        return line
    return f"{line[: longest - 1].rsplit(' ', 1)[0].rstrip(' ,;:')}…"


def html_to_text(markup: str) -> tuple[str, tuple[str, ...]]:
    """Return what a reader of a piece of HTML would see, a paragraph a line, and warnings.

    nh3 repairs the tree and drops what is no text. What a style hides is left out. Where a link's text is itself an
    address of another host, the host that the link leads to stands behind it.
    """
    clean = nh3.clean(
        markup[:DEEPEST],
        tags=_TAGS,
        clean_content_tags=_WITHOUT_CONTENT,
        attributes={"*": {"style", "hidden", "aria-hidden"}, "a": {"href", "style", "hidden", "aria-hidden"}},
        link_rel=None,
    )
    reader = _VisibleText()
    reader.feed(clean)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(filter(None, lines)), tuple(dict.fromkeys(reader.warnings))


class _VisibleText(HTMLParser):
    """Collects the visible text of a well-formed tree."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.warnings: list[str] = []
        self._open: list[tuple[str, bool]] = []
        """The open elements, each with whether it is hidden."""
        self._link: tuple[str, int] | None = None
        """Where the open link leads, and the number of parts before it."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Open an element."""
        if tag in _BLOCKS:
            self.parts.append("\n")
        if tag == "br":
            return
        found = dict(attrs)
        style = re.sub(r"\s+", "", (found.get("style") or "").casefold())
        hidden = "hidden" in found or found.get("aria-hidden") == "true" or _HIDING.search(style) is not None
        hidden = hidden or (_WHITE.search(style) is not None and _BACKGROUND.search(style) is None)
        self._open.append((tag, hidden))
        if tag == "a":
            self._link = (found.get("href") or "", len(self.parts))

    def handle_endtag(self, tag: str) -> None:
        """Close an element."""
        if tag == "a" and self._link is not None:
            target, start = self._link
            said, real = host_written_in("".join(self.parts[start:])), host_of(target)
            if said and real and said != real:
                self.parts.append(f" [the link leads to {real}]")
                self.warnings.append(MISLEADING_LINK)
            self._link = None
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Keep the text of visible elements."""
        if not any(hidden for _, hidden in self._open):
            self.parts.append(data.replace("\n", " "))
        elif data.strip():
            self.warnings.append(HIDDEN_TEXT)
