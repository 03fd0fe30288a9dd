"""Judges on answers and patterns made to be hard. On a judge without bounds, these tests do not end."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telic.errors import JudgeError
from telic.judges import build_judge
from telic.judges.patterns import nfkc

LONG = 100_000


@pytest.mark.parametrize("pattern", ["(a+)+$", "^(a|a)*$", "(?:.*a){30}b", r"^(([a-z])+.)+[A-Z]([a-z])+$"])
def test_a_pattern_that_takes_too_long_gives_no_score(pattern: str) -> None:
    score = build_judge({"regex": pattern, "case": True}).judge("a" * 5000 + "!")
    assert score.value is None
    assert score.reason == f"undetermined: {pattern!r} takes more than 1 s for this answer"
    settled = build_judge({"any_of": [{"regex": pattern, "case": True}, {"contains": "a!", "words": False}]})
    assert settled.judge("a" * 5000 + "!").value == 1.0


@pytest.mark.parametrize("pattern", ["((a{1000}){1000}){1000}", r"(?:[)(]{500}\){500}){300}", "(x(a{999}){0,9}){999}"])
def test_a_pattern_that_would_fill_the_memory_is_refused(pattern: str) -> None:
    with pytest.raises(JudgeError, match="expected counts whose product is at most 100,000"):
        build_judge({"regex": pattern})


def test_counts_side_by_side_do_not_multiply() -> None:
    assert build_judge({"regex": r"(\d{4}-){2}[a{9}]{1000}(?:x{1000}|y{1000}|\({1000})"}).judge("no").value == 0.0


HARD: list[tuple[dict[str, Any], str, float | None]] = [
    ({"json": True}, "```" + "\n" * LONG + "x", 0.0),
    ({"json": True}, "```json" + "\n" * LONG + "{}" + "\n" * LONG + "```", 1.0),
    ({"json": True}, "```" * LONG, 0.0),
    ({"json": True}, "[" * LONG, 0.0),
    ({"contains": "mia"}, "e" + "\u0301\u0327" * LONG + " Mia", 1.0),
    ({"regex": "mia"}, "e" + "\u0301\u0327" * LONG + " Mia", 1.0),
    ({"choice": "b"}, "not b " * (LONG // 6) + "b)", 1.0),
    ({"choice": "b"}, "the answer is " * (LONG // 14) + "b", 1.0),
    ({"choice": "b", "options": ["tea", "coffee"]}, "not the tea " * (LONG // 12) + "coffee", 1.0),
    ({"numeric": 42}, "1," * LONG + " 42", 1.0),
    ({"numeric": 42}, "one hundred and " * (LONG // 16) + "42", 1.0),
    ({"length": "sentences", "min": 3}, "A. " * LONG, 0.0),
    ({"sentiment": "positive"}, "good but bad " * (LONG // 13), None),
]


@pytest.mark.parametrize(("spec", "answer", "value"), HARD)
def test_long_answers_are_judged(spec: dict[str, Any], answer: str, value: float | None) -> None:
    assert build_judge(spec).judge(answer).value == value


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("```json\n{}\n```", 1.0), ("```{}```", 1.0), ("```\n\n[1]```", 1.0), ("``````", 0.0), ("`````", 0.0),
        ("```{}``` And so on.", 0.0), ("```json {} ``` ```", 0.0), ("```[]", 0.0),
    ],
)  # fmt: skip
def test_a_fence_around_json(answer: str, value: float) -> None:
    assert build_judge({"json": True}).judge(answer).value == value


@given(text=st.text() | st.text(alphabet="ae\u0301\u0327\u0323ﬁ世Å", max_size=40))
def test_texts_are_normalised_as_unicode_says(text: str) -> None:
    if not any(unicodedata.category(char)[0] == "M" for char in text) or len(text) <= 30:
        assert nfkc(text) == unicodedata.normalize("NFKC", text)
    assert unicodedata.is_normalized("NFKC", nfkc(text))
