"""Names in a text, as the decision-oriented games find them."""

from __future__ import annotations

import string

from hypothesis import given
from hypothesis import strategies as st

from telic.games.decisions import mentions


def test_mentions() -> None:
    known = ("Mill", "Old Mill", "Fig")
    text = "old_mill, then FIG and Mill; not Mills"
    assert [index for index, _, _ in mentions(text, known)] == [1, 2, 0]
    assert [text[start:end] for _, start, end in mentions(text, known)] == ["old_mill", "FIG", "Mill"]


@given(st.text(alphabet=string.printable, max_size=80))
def test_mentions_of_any_text(text: str) -> None:
    assert all(text[start:end] for _, start, end in mentions(text, ("a", "b c")))
