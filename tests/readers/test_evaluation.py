"""Evaluation: items and their files, the figures, and what readers that are simple to predict get."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from telic.errors import ConfigError, DataError
from telic.models import LocalModel
from telic.readers import (
    ATTRIBUTES,
    EvaluationConfig,
    EvaluationItem,
    Reader,
    ReaderSet,
    Reading,
    evaluate_readers,
    load_natural_items,
    read_evaluation_items,
    read_persuasion,
)
from telic.readers.evaluation_figures import JudgedReading, judged_figures
from telic.readers.reader import shipped_readers
from telic.steering.saving import Origin
from tests.models import tiny
from tests.readers.probes import constant_probe

CONFIG = EvaluationConfig(resamples=200)


def item(number: int = 0, text: str = "hi", **fields: Any) -> EvaluationItem:
    messages = [{"role": "user", "content": text}]
    return EvaluationItem.model_validate({"id": f"item {number}", "messages": messages, **fields})


def judged(probability: float, *, threshold: float = 0.6, **fields: Any) -> JudgedReading:
    """A reading of `young` with this probability, else of `old`."""
    reading = Reading("user_age", {"young": probability, "old": 1 - probability}, threshold)
    answers = {"item": item(), "said": None, "said_of_other": None, "true": None, "lure": None}
    return JudgedReading(reading=reading, **{**answers, **fields})


def values(*readings: JudgedReading) -> dict[str, Any]:
    return {name: (one.value or 0.0, one.n) for name, one in judged_figures(readings, CONFIG).items()}


def test_figures_where_a_class_is_said() -> None:
    found = values(
        judged(0.9, said="young"), judged(0.9, said="old"), judged(0.55, said="young"), judged(0.1, said="old")
    )
    assert found["accuracy"] == (0.5, 4), "an unknown reading is not right"
    assert found["likeliest_right"] == (0.75, 4)
    assert found["known"] == (0.75, 4)
    assert found["known_wrong"] == (0.25, 4)
    assert found["accuracy_known"] == (pytest.approx(2 / 3), 3)
    # Confidence .9 three times, two of them right; .55 once, right.
    assert found["calibration_error"] == (pytest.approx(((2.7 - 2) + (1 - 0.55)) / 4), 4)
    assert "false_certainty" not in found


def test_figures_where_nothing_is_said() -> None:
    found = values(judged(0.9, said="unknown"), judged(0.5, said="unknown"), judged(0.9))
    assert found == {"false_certainty": (0.5, 2)}, "what is not judged counts nowhere"
    real = values(judged(0.9, said="unknown", true="old"), judged(0.1, true="old"))
    assert real["false_certainty"] == (1.0, 1)
    assert real["accuracy_known"] == (0.5, 2)
    assert "accuracy" not in real


def test_figures_of_confusion() -> None:
    found = values(
        judged(0.9, said="unknown", said_of_other="young"),
        judged(0.9, said="unknown", said_of_other="old"),
        judged(0.5, said="unknown", said_of_other="young"),
        judged(0.9, said="young", said_of_other="young"),
        judged(0.9, said="unknown", said_of_other=None),
    )
    assert found["takeover"] == (pytest.approx(1 / 3), 3), "only where one side has a class"
    found = values(
        judged(0.9, said="unknown", lure="young"),
        judged(0.1, said="old", lure="young"),
        judged(0.9, said="young", lure="young"),
        judged(0.9, said=None, lure="young"),
    )
    assert found["lured"] == (0.5, 2)


def test_intervals_resample_items_that_share_a_system_prompt() -> None:
    def own(number: int, system: str) -> EvaluationItem:
        return EvaluationItem.model_validate(
            {
                "id": str(number),
                "messages": [{"role": "system", "content": system}, {"role": "user", "content": str(number)}],
            }
        )

    def width(systems: list[str]) -> float:
        readings = [
            judged(0.9 if i < 10 else 0.5, said="young", item=own(i, system)) for i, system in enumerate(systems)
        ]
        found = judged_figures(readings, CONFIG)["accuracy"]
        assert found.low is not None
        assert found.high is not None
        return found.high - found.low

    alone = width([str(i) for i in range(20)])
    shared = width([str(i // 5) for i in range(20)])
    assert shared > 1.5 * alone


def reader(subject: Any, name: str, sure_of: int | None, threshold: float = 0.5) -> Reader:
    """A reader that says the same whatever is said: a class, or unknown."""
    classes = ATTRIBUTES[name].classes
    bias = np.zeros(len(classes) + 1)
    bias[-1 if sure_of is None else sure_of] = 5.0  # the last is for unknown
    probe = constant_probe(tiny.local("llama"), 1, bias)
    return Reader(name, subject, classes, (1,), probe, 1.0, threshold)


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


@pytest.fixture(scope="module")
def readers(model: LocalModel) -> ReaderSet:
    own = (reader("user", "age", 0), reader("self", "age", 0), reader("user", "gender", None, 0.9))
    return ReaderSet(own, Origin.of(model))


ITEMS = [
    item(0, "I am 8", kind="said", user={"age": "child", "education": None}),
    item(1, "I am 40", kind="said", user={"age": "adult"}, style="terse"),
    item(2, "hello", kind="absent"),
    item(3, "my son is 8", kind="third", user={"age": None}, lure={"age": "child"}),
    item(4, "our neighbour's boy is 8", kind="third", lure={"age": "child"}),
]


def test_readers_are_compared_with_the_right_answers(model: LocalModel, readers: ReaderSet) -> None:
    told: list[tuple[int, int]] = []
    found = evaluate_readers(model, readers, ITEMS, CONFIG, lambda *done: told.append(done))
    assert json.loads(json.dumps(found)) == found
    assert told[-1] == (5, 5)
    assert found["items"]["said"] == 2
    assert found["items"]["system prompt: no"] == 5
    always_child = found["readers"]["user_age"]
    assert always_child["all"]["accuracy"]["value"] == 0.5
    assert always_child["all"]["false_certainty"] == {"value": 1.0, "low": pytest.approx(0.158, abs=0.01), "high": 1.0,
                                                      "n": 2}  # fmt: skip
    assert always_child["third"]["lured"]["value"] == 1.0
    assert always_child["third"]["lured"]["n"] == 1
    own = found["readers"]["self_age"]["all"]
    assert own["takeover"]["value"] == 0.5, "it takes the child's age, and not the adult's"
    never_known = found["readers"]["user_gender"]["all"]
    assert never_known["false_certainty"]["value"] == 0.0
    assert "accuracy" not in never_known
    assert found["pooled"]["user"]["all"]["false_certainty"]["n"] == 2 + 5
    assert "style: terse" in found["pooled"]["user"]
    with pytest.raises(ConfigError, match="items is empty"):
        evaluate_readers(model, readers, [])


def test_what_does_not_fit_is_left_out_and_counted(readers: ReaderSet) -> None:
    small = tiny.local("llama", context=64)
    own = ReaderSet(readers.readers, Origin.of(small))
    found = evaluate_readers(small, own, [*ITEMS, item(5, "word " * 80, kind="long")], CONFIG)
    assert found["unread"] == 1
    assert found["items"]["all"] == 6
    assert found["readers"]["user_gender"]["all"]["false_certainty"]["n"] == 5


def test_the_items_that_ship_are_many_and_balanced() -> None:
    items = load_natural_items()
    assert len(items) >= 500
    assert len({one.id for one in items}) == len(items)
    kinds = Counter(one.kind for one in items)
    assert set(kinds) == {
        "said", "implied", "absent", "third_person", "fiction", "correction", "names", "about_assistant", "persona"
    }  # fmt: skip
    assert min(kinds.values()) >= 25
    for name, attribute in ATTRIBUTES.items():
        for kind, subject, least in (("said", "user", 9), ("implied", "user", 5), ("persona", "self", 6)):
            answers = Counter(one.answer(subject, name) for one in items if one.kind == kind)  # type: ignore[arg-type]
            assert min(answers[label] for label in attribute.classes) >= least, (name, kind)
        lures = Counter(one.lure.get(name) for one in items if one.kind == "third_person")
        assert min(lures[label] for label in attribute.classes) >= 4, name


def test_no_item_resembles_another_or_the_training() -> None:
    def phrases(text: str, length: int) -> set[tuple[str, ...]]:
        words = re.findall(r"[\w']+", text.lower())
        return {tuple(words[i : i + length]) for i in range(len(words) - length + 1)}

    files = [path for path in shipped_readers().rglob("*") if path.suffix in {".toml", ".jsonl", ".txt"}]
    others = [path for path in files if path.parent.name != "natural"]
    training = {p for path in others for p in phrases(path.read_text(encoding="utf-8"), 8)}
    assert training
    seen: dict[tuple[str, ...], str] = {}
    for one in load_natural_items():
        texts = [m.content for m in one.messages if m.role == "user" or (m.role == "system" and one.kind == "persona")]
        assert not {p for text in texts for p in phrases(text, 8)} & training, one.id
        own = {p for text in texts for p in phrases(text, 6)}
        assert not {seen[p] for p in own if p in seen}, one.id
        seen |= dict.fromkeys(own, one.id)


def test_mistakes_in_a_file_of_items_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    good = {"id": "a", "messages": [{"role": "user", "content": "Hi"}], "user": {"age": "adult", "gender": None}}
    path.write_text(json.dumps(good) + "\n\n" + json.dumps({**good, "id": "b"}) + "\n")
    first, second = read_evaluation_items(path)
    assert (first.answer("user", "age"), first.answer("user", "gender")) == ("adult", None)
    assert (second.answer("self", "age"), second.kind) == ("unknown", "own")
    for changed, part in (
        ({"user": {"agee": "adult"}}, "line 3: unknown attribute 'agee'; did you mean 'age'"),
        ({"self": {"age": "old"}}, "line 3: age is 'old'; expected one of child, adolescent, adult, older adult, unkn"),
        ({"lure": {"age": "unknown"}}, "line 3: age is 'unknown'; expected one of child"),
        ({"messages": [{"role": "assistant", "content": "Hi"}]}, "no message of the user"),
        ({"messages": [{"role": "usr", "content": "Hi"}]}, "messages.0.role is 'usr'; expected 'system', 'user'"),
        ({"usr": {}}, "unknown key 'usr'; did you mean 'user'"),
        ({"id": "a"}, "line 3: id 'a' is also used in line 1; give each item its own id"),
    ):
        path.write_text(json.dumps(good) + "\n\n" + json.dumps({**good, "id": "b", **changed}) + "\n")
        with pytest.raises(DataError, match=re.escape(part)):
            read_evaluation_items(path)
    for text, part in (("", "is empty"), ("{", "line 1: expected a JSON object, got '{'"), ("3", "the line is 3")):
        path.write_text(text)
        with pytest.raises(DataError, match=re.escape(part)):
            read_evaluation_items(path)
    with pytest.raises(DataError, match="cannot read dialogues from"):
        read_evaluation_items(tmp_path / "nothing.jsonl")


def test_real_people_are_the_ones_who_filled_in_the_survey(tmp_path: Path) -> None:
    def row(name: str, user: dict[str, Any], *texts: str) -> str:
        roles = ("assistant", "user")
        messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
        return json.dumps({"id": name, "messages": messages, "user": user})

    path = tmp_path / "persuasion.jsonl"
    woman = {"age": 67.0, "sex": "Female", "education": "Postgraduate", "income": "3.0"}
    nobody = {"age": None, "sex": "Other", "education": ""}
    path.write_text(
        row("a", woman, "Hi, I am a mother.", "Hello!", "Donate?", "My husband lost his job.", "Sorry.")
        + "\n"
        + row("b", nobody, "Hello.", "Hi.")
    )
    early, late, other, _ = read_persuasion(path)
    assert early.person == late.person == {"age": "older adult", "gender": "female", "education": "college and more"}
    assert other.person == {}
    assert [m.content for m in early.dialogue] == ["Hi, I am a mother.", "Hello!"]
    assert late.dialogue[-1].content == "My husband lost his job.", "a reply after the last turn is ignored"
    assert early.answer("user", "gender") == "unknown"
    assert late.answer("user", "gender") is None, "what may be said is not judged as unknown"
    assert late.answer("user", "socioeconomic") is None
    assert late.answer("user", "education") == "unknown"
    assert early.answer("self", "gender") is None
    assert early.cluster == late.cluster != other.cluster
    path.write_text('{"id": "a", "messages": [{"role": "assistant", "content": "Hi"}], "user": {}}')
    with pytest.raises(DataError, match=r"line 1: expected an object with 'id', 'messages' with a message of the user"):
        read_persuasion(path)
