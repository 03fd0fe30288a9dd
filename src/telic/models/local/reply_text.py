"""The text of a growing reply: decoded and searched for stop strings as it grows, each part of it once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from telic.tool_syntax import TEXT_SYNTAX, ToolSyntax

__all__ = ["Detokenizer", "ReplyText"]

HALF_CHARACTER = "\ufffd"
"""What an incomplete character is decoded to."""


class Detokenizer:
    """Decodes the tokens of replies; special tokens have no text, unless they mark the call of a tool.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
        syntax: how the model writes calls of tools.
    """

    def __init__(self, tokenizer: Any, syntax: ToolSyntax = TEXT_SYNTAX) -> None:
        self._tokenizer = tokenizer
        self.special_ids = frozenset(
            token_id
            for token_id, token in tokenizer.added_tokens_decoder.items()
            if token.special and token.content not in (syntax.opening, syntax.closing)
        )

    def decode(self, tokens: Sequence[int]) -> str:
        """Decode tokens as they are."""
        # Some tokenizers clean up spaces by default, which would change the model's output.
        return str(self._tokenizer.decode(list(tokens), clean_up_tokenization_spaces=False))


class ReplyText:
    """The text of a reply, up to the first of its stop strings.

    A token's text depends on its neighbours: a character may take several tokens, and some tokenizers drop the space
    before the first. So new tokens are decoded behind the last ones that ended with a whole character.

    Args:
        detokenizer: decodes its tokens.
        stop: strings that end it; they are not part of it.
    """

    def __init__(self, detokenizer: Detokenizer, stop: Sequence[str] = ()) -> None:
        self._detokenizer = detokenizer
        self._searches = [_Search(string) for string in stop]
        self._read = 0
        """Tokens of the reply that were passed on."""
        self._before: list[int] = []
        """The last tokens whose text is settled."""
        self._before_text = ""
        self._new: list[int] = []
        """Tokens after those, which end within a character."""
        self._settled = self._unsettled = ""
        self._searched = 0
        """Characters that were searched for stop strings."""
        self.stopped = False
        """Whether a stop string was found; the text ends before it."""

    @property
    def text(self) -> str:
        """The text so far; an incomplete character at its end may still change."""
        return self._settled + self._unsettled

    @property
    def final_length(self) -> int:
        """Characters that will not change: no incomplete character, nothing that may become a stop string."""
        if self.stopped:
            return len(self._settled)
        return max(0, self._searched - max((search.matched for search in self._searches), default=0))

    def update(self, tokens: Sequence[int]) -> None:
        """Decode and search what is new of the reply's tokens."""
        new = [token for token in tokens[self._read :] if token not in self._detokenizer.special_ids]
        self._read = len(tokens)
        if self.stopped or not new:
            return
        self._new += new
        decode = self._detokenizer.decode
        self._unsettled = decode([*self._before, *self._new])[len(self._before_text) :]
        if self._unsettled and not self._unsettled.endswith(HALF_CHARACTER):
            self._settled += self._unsettled
            self._before, self._new, self._unsettled = self._new, [], ""
            self._before_text = decode(self._before)
        self._search()

    def _search(self) -> None:
        text = self.text
        end = len(text.rstrip(HALF_CHARACTER)) if self._unsettled else len(text)
        piece, self._searched = text[self._searched : end], max(end, self._searched)
        found = [at for search in self._searches if (at := search.feed(piece)) is not None]
        if found:  # the earliest counts
            self._settled, self._unsettled = text[: end - len(piece) + min(found)], ""
            self.stopped = True


class _Search:
    """Search for a string in a text that comes piece by piece (Knuth, Morris and Pratt 1977).

    Args:
        string: the string, not empty.
    """

    def __init__(self, string: str) -> None:
        self._string = string
        self.matched = 0
        """Length of the string's longest beginning with which the text ends."""
        self._borders = [0, 0]
        """By length of a beginning: its longest proper beginning that is also its end. It grows when needed."""

    def feed(self, piece: str) -> int | None:
        """Search the next piece; returns where the first match begins, counted from the start of the piece."""
        string = self._string
        at = 0
        while at < len(piece):
            if not self.matched:
                at = piece.find(string[0], at)
                if at < 0:
                    return None
            while self.matched and string[self.matched] != piece[at]:
                self.matched = self._border(self.matched)
            self.matched += string[self.matched] == piece[at]
            at += 1
            if self.matched == len(string):
                return at - len(string)
        return None

    def _border(self, length: int) -> int:
        borders, string = self._borders, self._string
        while len(borders) <= length:
            char, border = string[len(borders) - 1], borders[-1]
            while border and string[border] != char:
                border = borders[border]
            borders.append(border + (string[border] == char))
        return borders[length]
