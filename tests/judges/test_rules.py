"""Rules on text and on what can be parsed from it: true, false and awkward answers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.judges import build_judge
from telic.judges.parsed import numbers

PASS = [
    ({"contains": "Mia"}, "I am MIA."),
    ({"contains": "Mia"}, "Mia's my name"),
    ({"contains": ["Mia", "Maria"]}, "Call me Maria"),
    ({"contains": "mia"}, "Ｍｉａ here"),
    ({"contains": "don't know"}, "I don’t\n know"),
    ({"contains": "café"}, "a cafe\u0301 in town"),
    ({"contains": "strasse"}, "In der Straße"),
    ({"contains": "$5"}, "It costs $5."),
    ({"contains": "C++"}, "I write c++ code"),
    ({"contains": "米娅"}, "我是米娅。"),
    ({"contains": "미아"}, "저는 미아입니다"),
    ({"contains": "cat", "words": False}, "concatenate"),
    ({"excludes": ["price", "$"]}, "I cannot say."),
    ({"starts_with": "Ahoy"}, '  "**ahoy**, sailor'),
    ({"starts_with": "->"}, "-> yes"),
    ({"starts_with": "> a"}, "> a quotation"),
    ({"ends_with": "over and out"}, 'Blue. Over and out!"'),
    ({"ends_with": "Q.E.D."}, "So it is. q.e.d."),
    ({"equals": "yes"}, ' "Yes." '),
    ({"equals": ["yes", "yep"]}, "Yep!"),
    ({"equals": "..."}, "…"),
    ({"equals": "Yes.", "exact": True}, "Yes."),
    ({"regex": r"\b\d{4}\b"}, "The code is １２３４."),
    ({"regex": "[a-z]+", "full": True}, " Word\n"),
    ({"regex": "^second$"}, "first\nsecond"),
    ({"count": r"\bstory\b", "min": 2}, "A Story about a story."),
    ({"count": "[A-Z]{2,}", "case": True, "min": 1, "max": 1}, "So BIG a word"),
    ({"count": "^- ", "min": 2, "max": 2}, "- one\n- two"),
    ({"count": "aa", "max": 1}, "aaa"),
    ({"count": "z", "max": 0}, "none"),
    ({"length": "words", "max": 4}, "It's a well-known fact."),
    ({"length": "words", "min": 2, "max": 2}, "two words"),
    ({"length": "characters", "max": 3}, " abc "),
    ({"length": "sentences", "max": 2, "min": 2}, 'Dr. Smith met J. Doe. "Really?"'),
    ({"length": "sentences", "max": 1}, "Wait..."),
    ({"length": "sentences", "min": 2}, "こんにちは。元気です。"),
    ({"length": "lines", "max": 2}, "one\n\n two \n"),
    ({"casing": "upper"}, "HELLO, 42 TIMES!"),
    ({"casing": "lower"}, "all small, even paris."),
    ({"casing": "title"}, "The Lord of the Rings"),
    ({"json": True}, '```json\n[1, 2]\n```'),
    ({"json": True, "keys": ["name"]}, '{"name": "Mia", "age": 3}'),
    ({"numeric": 42}, "It is 42."),
    ({"numeric": -3}, "About −3 degrees"),
    ({"numeric": 1200}, "1,200 people"),
    ({"numeric": 2.5}, "2,5 litres"),
    ({"numeric": 23}, "Twenty-three."),
    ({"numeric": 201}, "two hundred and one"),
    ({"numeric": 0.3}, "0.30000000000000004"),
    ({"numeric": [1, 5]}, "either 5 or 17"),
    ({"numeric": 3.1, "tolerance": 0.1}, "pi is 3.14"),
    ({"numeric": 7, "which": "last"}, "not 5 but 7"),
    ({"numeric": 7, "which": "only"}, "7, I said seven"),
    ({"all_of": [{"contains": "a"}, {"contains": "b"}]}, "a b"),
    ({"any_of": [{"contains": "a"}, {"contains": "b"}]}, "b"),
    ({"not": {"contains": "a"}}, "b"),
]  # fmt: skip

FAIL = [
    ({"contains": "Mia"}, "Miami is hot."),
    ({"contains": "Mia"}, ""),
    ({"contains": "Mia", "case": True}, "mia"),
    ({"excludes": "price"}, "The Price is high."),
    ({"starts_with": "Ahoy"}, "Ahoyyy"),
    ({"starts_with": "Ahoy"}, "Well, ahoy"),
    ({"ends_with": "out"}, "without"),
    ({"ends_with": "out"}, "out of it"),
    ({"equals": "yes"}, "yes, but"),
    ({"equals": "yes", "exact": True}, "Yes"),
    ({"regex": "A", "case": True}, "a"),
    ({"regex": "[a-z]+", "full": True}, "two words"),
    ({"count": r"\bstory\b", "min": 2}, "A story and a history."),
    ({"count": "[A-Z]{2,}", "case": True, "max": 0}, "So BIG a word"),
    ({"count": "^- ", "min": 2, "max": 2}, "- one\n- two\n- three"),
    ({"length": "words", "max": 1}, "two words"),
    ({"length": "characters", "min": 4}, "abc"),
    ({"casing": "upper"}, "HELLo"),
    ({"casing": "lower"}, "hEllo"),
    ({"casing": "title"}, "The lord of the Rings"),
    ({"json": True}, 'Here you are: {"a": 1}'),
    ({"json": True}, "42"),
    ({"json": True}, "[NaN]"),
    ({"json": True}, "[" * 100_000),
    ({"json": True, "keys": ["name"]}, '{"age": 3}'),
    ({"json": True, "keys": ["name"]}, '["name"]'),
    ({"numeric": 42}, "142"),
    ({"numeric": 42}, "I do not know."),
    ({"numeric": 3}, "10-30"),
    ({"numeric": 7, "which": "first"}, "5, not 7"),
    ({"numeric": 7, "which": "only"}, "5 or 7"),
    ({"all_of": [{"contains": "a"}, {"contains": "b"}]}, "a"),
    ({"any_of": [{"contains": "a"}, {"contains": "b"}]}, "c"),
    ({"not": {"contains": "a"}}, "a"),
    # The short answer's language is missing, yet the rule alone decides.
    ({"all_of": [{"language": "fr"}, {"contains": "x"}]}, "Oui"),
]

MISSING = [
    ({"excludes": "price"}, " "),
    ({"length": "words", "max": 3}, ""),
    ({"count": "x", "max": 3}, " "),
    ({"repeats_question": True}, "No question was asked."),
    ({"casing": "upper"}, "42!"),
    ({"sentiment": "neutral"}, "\n"),
    ({"all_of": [{"language": "fr"}, {"contains": "oui"}]}, "Oui"),
    ({"any_of": [{"language": "fr"}, {"contains": "x"}]}, "Oui"),
    ({"not": {"language": "fr"}}, "Oui"),
]

CHOICE = {"choice": "b", "options": ["tea", "coffee", "green tea"]}
PICKED = [
    *("b", "(b)", "B.", "b)", "**B**", "B) coffee", "Coffee.", "A cup of coffee", "The answer is B", "Answer: b"),
    *("The answer is (b).", "I'd go with B.", "It's b", "Option B: coffee", "I would go with coffee, not tea"),
    *("(a) tea (b) coffee (c) green tea: I pick (b)", "Not c. The answer is b.", "I prefer coffee over green tea"),
    *(
        "B because it is the strongest",
        "b is a good one",
        "B. Because of its vitamin C.",
        "b, please",
        "I choose the coffee, (b).",
    ),
]
NOT_PICKED = [
    *("", "Hmm.", "a", "(a)", "C", "tea", "Green tea!", "The answer is a", "the beach", "I like both", "not b"),
    "As an AI, I cannot choose.",
]
AMBIGUOUS = ["a or b", "(a) or (b)", "tea or coffee?", "I choose b, the tea", "(a) coffee", "b and c", "a, b"]


@pytest.mark.parametrize(("spec", "answer"), PASS)
def test_passes(spec: dict[str, Any], answer: str) -> None:
    assert build_judge(spec).judge(answer).value == 1.0


@pytest.mark.parametrize(("spec", "answer"), FAIL)
def test_fails(spec: dict[str, Any], answer: str) -> None:
    assert build_judge(spec).judge(answer).value == 0.0


@pytest.mark.parametrize(("spec", "answer"), MISSING)
def test_what_cannot_be_decided_is_missing_with_a_reason(spec: dict[str, Any], answer: str) -> None:
    score = build_judge(spec).judge(answer)
    assert score.value is None
    assert score.reason


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("Who are you? I am Mia.", 1.0),
        ('"Who are you?"\n\nI am Mia.', 1.0),
        ("WHO ARE YOU - Mia", 1.0),
        ("Who are you?", 0.0),
        ("I am Mia. Who are you?", 0.0),
        ("Who are they? I am Mia.", 0.0),
        ("", 0.0),
    ],
)
def test_a_question_is_repeated_before_the_answer(answer: str, value: float) -> None:
    assert build_judge({"repeats_question": True}).judge(answer, "Who are you?").value == value


@pytest.mark.parametrize("answer", PICKED)
def test_choice_finds_the_pick(answer: str) -> None:
    assert build_judge(CHOICE).judge(answer).value == 1.0


@pytest.mark.parametrize("answer", NOT_PICKED)
def test_choice_fails_another_pick_or_none(answer: str) -> None:
    score = build_judge(CHOICE).judge(answer)
    assert score.value == 0.0
    assert score.reason.startswith("picks")


@pytest.mark.parametrize("answer", AMBIGUOUS)
def test_choice_does_not_guess_between_picks(answer: str) -> None:
    score = build_judge(CHOICE).judge(answer)
    assert score.value == 0.0
    assert score.reason.startswith("ambiguous")


def test_choice_by_text_by_table_and_by_letter_alone() -> None:
    assert build_judge({"choice": "Coffee", "options": ["tea", "coffee"]}).judge("(b)").value == 1.0
    assert build_judge({"choice": "2", "options": {"1": "tea", "2": "coffee"}}).judge("The answer is 2.").value == 1.0
    assert build_judge({"choice": "c"}).judge("Answer: (C)").value == 1.0


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("1,2,3", [1, 2, 3]),
        ("-5 to 10", [-5, 10]),
        ("10-3", [10, 3]),
        ("1e3 and .5", [1000, 0.5]),
        ("two three", [2, 3]),
        ("twenty or thirty-one", [20, 31]),
        ("a hundred cats, a dog", [100]),
        ("someone weighs often", []),
        ("9" * 5000, []),
    ],
)
def test_numbers(text: str, found: list[float]) -> None:
    assert numbers(text) == found


SPECS = [spec for spec, _ in [*PASS, *MISSING]] + [
    CHOICE,
    {"choice": "c"},
    {"sentiment": "positive"},
    {"language": "de"},
]
AWKWARD = (
    st.text()
    | st.text(st.sampled_from("aAbB()[]{}\"'*_.,:;!?-–…0123456789e \n\t⭐½한米\ud800\u0301"))
    | st.from_regex(r"(the answer is |not |option )?\(?[a-dA-D][).: ]?(tea|coffee)?")
)


@settings(max_examples=25, deadline=None)
@pytest.mark.parametrize("spec", SPECS, ids=str)
@given(answer=AWKWARD)
def test_no_answer_makes_a_judge_raise(spec: dict[str, Any], answer: str) -> None:
    score = build_judge(spec).judge(answer, "Why?")
    assert score.reason if score.value is None else 0.0 <= score.value <= 1.0


@settings(max_examples=50, deadline=None)
@given(word=st.from_regex(r"[A-Za-z]{1,8}", fullmatch=True), before=st.text(), after=st.text())
def test_a_word_between_spaces_is_always_found(word: str, before: str, after: str) -> None:
    answer = f"{before} {word} {after}"
    assert build_judge({"contains": word}).judge(answer).value == 1.0
    assert build_judge({"excludes": word}).judge(answer).value == 0.0


@settings(max_examples=50, deadline=None)
@given(number=st.integers(-(10**6), 10**6))
def test_a_number_is_found_however_it_is_written(number: int) -> None:
    for text in (f"It is {number}.", f"{number:,} of them", f"({number})"):
        assert build_judge({"numeric": number}).judge(text).value == 1.0, text
