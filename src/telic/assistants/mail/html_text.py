"""HTML to plain text, without what a reader of the message does not see."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import nh3

__all__ = ["html_to_text"]

_HIDING = re.compile(
    r"display:none|visibility:(?:hidden|collapse)|opacity:0*(?:\.0\d*|\.)?(?:;|!|$)|font-size:0*(?:\.\d+|[01])?(?:px|pt|em|rem|%)?(?:;|!|$)"
    r"|(?:max-)?(?:height|width):0(?:px|pt|em|%)?(?:;|!|$)|mso-hide:all|text-indent:-\d{3,}|(?:left|top|right|margin-left):-\d{3,}"
    r"|clip:rect\(0|clip-path:inset\((?:50|100)%|(?:^|;)color:transparent|scale\(0\)|line-height:0(?:;|!|$)"
)
_RULE = re.compile(r"([^{}]{1,500})\{([^{}]{0,2000})\}")
_SELECTOR = re.compile(r"(?:[a-z0-9]+)?[.#][\w-]+|[a-z0-9]+", re.IGNORECASE)
_STYLE = re.compile(r"<style[^>]{0,500}>(.{0,100000}?)</style", re.IGNORECASE | re.DOTALL)
_COLOURS = re.compile(r"(?:^|;)(color|background|background-color):([^;!]{1,60})")
_WHITE = frozenset({"white", "#fff", "#ffffff", "rgb(255,255,255)", "#fefefe", "#fdfdfd"})

_BLOCK_NAMES = (
    "address article blockquote dd div dl dt footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre section table tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
_KEPT_INLINE = "a b br center code em font i s small span strong td th u"
_KEPT = _BLOCKS | frozenset(_KEPT_INLINE.split())
_VOID = frozenset({"br", "hr"})
_ATTRIBUTES = {"class", "id", "style", "hidden", "color", "bgcolor", "size", "href"}


def html_to_text(html: str) -> tuple[str, int]:
    """Convert HTML to text. Links keep their text only; blocks become lines, and items of lists begin with `- `.

    Args:
        html: a document or a part of one, however broken.

    Returns:
        The text, and the number of characters that were hidden from its reader and are left out.
    """
    rules = _hiding_selectors(html)
    clean = nh3.clean(  # parses as a browser does, so that the tags of what is left match
        html, tags=set(_KEPT), attributes={"*": set(_ATTRIBUTES)}, strip_comments=True, link_rel=None,
        clean_content_tags={"script", "style", "title", "template", "noscript", "textarea", "select", "option"},
    )  # fmt: skip
    reader = _Reader(rules)
    reader.feed(clean)
    reader.close()
    lines = [" ".join(line.split()) for line in "".join(reader.pieces).split("\n")]
    text = re.sub(r"\n{2,}- ", "\n- ", "\n".join(lines))
    return re.sub(r"\n{3,}", "\n\n", text).strip(), reader.hidden


class _Reader(HTMLParser):
    """Collects the text of balanced HTML."""

    def __init__(self, rules: frozenset[str]) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self.hidden = 0
        self._rules = rules
        self._depth = 0
        self._hidden_from: int | None = None
        """Depth of the outermost element that is hidden."""
        self._background: list[tuple[int, str]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS or tag == "br":
            self._break("\n- " if tag == "li" else "\n\n" if tag == "p" else "\n")
        if tag in ("td", "th"):
            self._break(" ")
        if tag in _VOID:
            return
        self._depth += 1
        if self._hidden_from is None and self._hides(tag, {name: value or "" for name, value in attrs}):
            self._hidden_from = self._depth

    def handle_endtag(self, tag: str) -> None:
        if tag in _VOID:
            return
        if self._hidden_from == self._depth:
            self._hidden_from = None
        while self._background and self._background[-1][0] >= self._depth:
            self._background.pop()
        self._depth -= 1
        if tag in _BLOCKS:
            self._break("\n\n" if tag == "p" else "\n")

    def handle_data(self, data: str) -> None:
        if self._hidden_from is not None:
            self.hidden += len("".join(data.split()))
        else:
            self.pieces.append(" ".join(data.split("\n")))

    def _break(self, text: str) -> None:
        if self._hidden_from is None:
            self.pieces.append(text)

    def _hides(self, tag: str, attributes: dict[str, str]) -> bool:
        names = {f".{name}" for name in attributes.get("class", "").split()} | {f"#{attributes.get('id', '')}", tag}
        if "hidden" in attributes or (names | {f"{tag}{name}" for name in names}) & self._rules:
            return True
        style = "".join(attributes.get("style", "").lower().split())
        colours = dict(_COLOURS.findall(style))
        background = colours.get("background-color") or colours.get("background") or attributes.get("bgcolor", "")
        if background:
            self._background.append((self._depth, background.lower()))
        colour = (colours.get("color") or attributes.get("color", "")).lower()
        shown_on = self._background[-1][1] if self._background else "white"
        same = bool(colour) and (colour == shown_on or {colour, shown_on} <= _WHITE)
        return same or attributes.get("size") == "0" or _HIDING.search(style) is not None


def _hiding_selectors(html: str) -> frozenset[str]:
    """Return the simple selectors that the style sheets of a document hide."""
    found: set[str] = set()
    for sheet in _STYLE.findall(html):
        for selectors, rule in _RULE.findall(sheet):
            if _HIDING.search("".join(rule.lower().split())):
                found |= {name for one in selectors.split(",") if _SELECTOR.fullmatch(name := one.strip())}
    return frozenset(found)
