"""From text to tokens, so that only a chat template's own control tokens count.

A tokenizer recognises its control tokens, such as `<|im_start|>`, anywhere in a text. In what somebody wrote they are
plain text: otherwise a user could open a turn of the system. A text is encoded as a whole first, and that is the result
if no control token lies in a content. If one does, a copy of the tokenizer encodes the text again. The copy recognises
no control token by its own name, only by a secret one, which stands where the template wrote a control token.
"""

from __future__ import annotations

import re
import secrets
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import accumulate
from typing import Any, NamedTuple

from telic.errors import ModelError

__all__ = ["EncodedText", "Range", "TextEncoder"]

Range = tuple[int, int]
"""Characters [start, end)."""


class EncodedText(NamedTuple):
    """Token ids of a text, and the characters that each token covers."""

    ids: list[int]
    offsets: list[Range]


class TextEncoder:
    """A tokenizer that keeps control tokens out of contents.

    Control tokens are the special tokens of the tokenizer, and the other added tokens that the template writes around
    contents: some tokenizers do not declare those special.

    Args:
        tokenizer: a fast tokenizer of `transformers`.
        template_text: dialogues as the template renders them, with contents that hold no control token.
    """

    def __init__(self, tokenizer: Any, template_text: str = "") -> None:
        self._tokenizer = tokenizer
        self._controls: dict[int, Any] = {
            number: token
            for number, token in tokenizer.added_tokens_decoder.items()
            if _is_mark(token.content, token.special, template_text)
        }
        names = sorted((token.content for token in self._controls.values()), key=len, reverse=True)
        self._named = re.compile("|".join(map(re.escape, names)) or r"(?!)")
        self._id_of = {token.content: number for number, token in self._controls.items()}

    def encode(self, content: str) -> list[int]:
        """Encode a content by itself: a choice, a continuation, the start of a reply.

        Raises:
            ModelError: the tokenizer cannot encode a control token in it as text.
        """
        return self.encode_around(content, [(0, len(content))]).ids

    def encode_around(self, text: str, contents: Iterable[Range]) -> EncodedText:
        """Encode a text whose control tokens count outside its contents only.

        Without control tokens in the contents, the result is the tokenizer's own.

        Args:
            text: a rendered dialogue.
            contents: the characters of each content, without overlap; empty ranges count for nothing.

        Raises:
            ModelError: the tokenizer cannot encode a control token in a content as text.
        """
        ranges = sorted((start, end) for start, end in contents if start < end)
        encoding = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
        encoded = EncodedText(encoding["input_ids"], encoding["offset_mapping"])
        if self._live(text, encoded, ranges) is None:
            return encoded
        encoded = self._encode_split(text, ranges)
        live = self._live(text, encoded, ranges)
        if live is not None:
            raise ModelError(
                f"a message holds the control token {live!r}, which this tokenizer cannot encode as text; remove it",
                "template_refusal",
            )
        return encoded

    def find_control(self, content: str) -> str | None:
        """Return the first control token that the tokenizer recognises in a content, or None."""
        found = self._tokenizer(content, add_special_tokens=False)["input_ids"]
        return next((self._controls[number].content for number in found if number in self._controls), None)

    def control_names(self, content: str) -> list[str]:
        """Return the control tokens whose names stand in a content."""
        return self._named.findall(content)

    def _live(self, text: str, encoded: EncodedText, ranges: Sequence[Range]) -> str | None:
        """Return the first control token that overlaps a content, or None."""
        ends = [end for _, end in ranges]
        for number, (start, end) in zip(encoded.ids, encoded.offsets, strict=True):
            if number in self._controls:
                # A control token may take the space around it, which is the content's.
                covered = text[start:end]
                start, end = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
                nearest = bisect_right(ends, start)
                if nearest < len(ranges) and ranges[nearest][0] < end:
                    return str(self._controls[number].content)
        return None

    def _encode_split(self, text: str, ranges: Sequence[Range]) -> EncodedText:
        """Encode with the copy, and put its tokens and offsets back into the terms of the tokenizer and the text."""
        copy, aliases = self._copy
        pieces: list[str] = []
        ends, removed, read = [], [0], 0  # where each alias ends, and the characters that it adds to the text
        length = 0
        for begin, end in _gaps(ranges, len(text)):
            for control in self._named.finditer(text, begin, end):
                alias = aliases[control[0]]
                pieces += [text[read : control.start()], alias]
                length += control.start() - read + len(alias)
                ends.append(length)
                removed.append(len(alias) - len(control[0]))
                read = control.end()
        pieces.append(text[read:])
        removed = list(accumulate(removed))
        encoding = copy.encode("".join(pieces), add_special_tokens=False)
        own = {copy.token_to_id(alias): self._id_of[name] for name, alias in aliases.items()}

        def place(at: int) -> int:
            return at - removed[bisect_right(ends, at)]

        return EncodedText(
            [own.get(number, number) for number in encoding.ids],
            [(place(start), place(end)) for start, end in encoding.offsets],
        )

    @cached_property
    def _copy(self) -> tuple[Any, dict[str, str]]:
        """The copy of the tokenizer, and the secret name of each control token."""
        from tokenizers import AddedToken, Tokenizer

        copy = Tokenizer.from_str(self._tokenizer.backend_tokenizer.to_str())
        copy.no_padding()
        copy.no_truncation()
        # Nobody can write these names, because nobody can guess them.
        secret = secrets.token_hex(16)
        aliases = {token.content: f"\ue000{secret}{number:x}\ue001" for number, token in self._controls.items()}
        copy.add_special_tokens([token for token in self._controls.values() if not token.special])
        copy.add_tokens(
            [
                AddedToken(aliases[token.content], lstrip=token.lstrip, rstrip=token.rstrip, normalized=False)
                for token in self._controls.values()
            ]
        )
        copy.encode_special_tokens = True
        return copy, aliases


def _is_mark(name: str, special: bool, template_text: str) -> bool:
    """Whether an added token is a control token, and no word or space that was only added to the vocabulary."""
    return bool(name.strip()) and (special or (not name.strip().isalnum() and name in template_text))


def _gaps(ranges: Sequence[Range], length: int) -> list[Range]:
    """Return the ranges outside the given ones, which are sorted."""
    edges = [0, *(edge for pair in ranges for edge in pair), length]
    return list(zip(edges[::2], edges[1::2], strict=True))
