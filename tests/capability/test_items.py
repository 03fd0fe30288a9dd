"""The items that ship with Telic, and files of the user's own."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from telic.capability import Item, load_items, neutral_prompts, read_items, sample_items
from telic.errors import ConfigError, DataError

ITEMS = load_items()


def test_the_shipped_items_are_many_and_sound() -> None:
    assert len(ITEMS) >= 160
    assert len({item.id for item in ITEMS}) == len({item.question for item in ITEMS}) == len(ITEMS)
    for item in ITEMS:
        assert len({option.casefold() for option in item.options}) == len(item.options) == 4
    assert min(Counter(item.subject for item in ITEMS).values()) >= 15


def test_the_right_answer_is_in_every_place_equally_often() -> None:
    counts = Counter(item.answer for item in ITEMS)
    assert max(counts.values()) - min(counts.values()) <= 1
    again, other = load_items(), load_items(seed=1)
    assert again == ITEMS
    assert [item.answer for item in other] != [item.answer for item in ITEMS]
    # Whatever the places, the same text is right.
    right = [item.options[item.answer] for item in ITEMS]
    assert right == [item.options[item.answer] for item in other]
    assert right[0] == "A key"


def test_some_subjects_only() -> None:
    assert {item.subject for item in load_items(["science", "words"])} == {"science", "words"}
    with pytest.raises(ConfigError, match="did you mean 'science'"):
        load_items(["sciense"])


def test_a_sample_is_seeded_even_and_without_repeats() -> None:
    sample = sample_items(ITEMS, 18, seed=3)
    assert sample == sample_items(ITEMS, 18, seed=3) != sample_items(ITEMS, 18, seed=4)
    assert set(Counter(item.subject for item in sample).values()) == {2}
    assert len({item.id for item in sample}) == 18
    with pytest.raises(ConfigError, match="n is 0; expected 1 to"):
        sample_items(ITEMS, 0)


def test_the_prompts_are_many_and_different() -> None:
    assert len(set(neutral_prompts())) == len(neutral_prompts()) >= 24


def write(path: Path, *lines: Any) -> Path:
    path.write_text("".join((x if isinstance(x, str) else json.dumps(x)) + "\n" for x in lines), encoding="utf-8")
    return path


def test_mmlu_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path / "abstract_algebra_test.csv",
        'What is 1 + 1?,1,2,3,4,B\n"Which, if any,\nis a prime?","4","7","9",8,B',
        "Who?,I,you,he,she,D",
    )
    first, second, third = read_items(path)
    assert (first.question, first.options, first.answer) == ("What is 1 + 1?", ("1", "2", "3", "4"), 1)
    assert first.subject == "abstract_algebra"
    assert second.question == "Which, if any,\nis a prime?"
    assert (third.id, third.answer) == ("abstract_algebra_test-4", 3)


def test_a_header_is_left_out(tmp_path: Path) -> None:
    assert len(read_items(write(tmp_path / "x.csv", "question,A,B,C,D,answer", "Who?,I,you,he,she,D"))) == 1


@pytest.mark.parametrize(
    "record",
    [
        {"question": "Q?", "choices": ["x", "y", "z"], "answer": 1},
        {"question": "Q?", "choices": ["x", "y", "z"], "answer": "B"},
        {"question": "Q?", "options": ["x", "y", "z"], "answer": "b"},
        {"question": "Q?", "choices": {"text": ["x", "y", "z"], "label": ["A", "B", "C"]}, "answerKey": "B"},
        {"question": "Q?", "choices": {"text": ["x", "y", "z"], "label": ["1", "2", "3"]}, "answerKey": "2"},
        {
            "question": {
                "stem": "Q?",
                "choices": [{"text": t, "label": x} for t, x in zip("xyz", "ABC", strict=True)],
            },
            "answerKey": "B",
        },
    ],
)
def test_jsonl_forms(tmp_path: Path, record: dict[str, Any]) -> None:
    (item,) = read_items(write(tmp_path / "mine.jsonl", record))
    assert item == Item(id="mine-1", subject="general", question="Q?", options=("x", "y", "z"), answer=1)


def test_ids_and_subjects_are_kept_and_a_folder_is_read_whole(tmp_path: Path) -> None:
    write(tmp_path / "a.jsonl", {"id": 7, "subject": "s", "question": "Q?", "choices": ["x", "y"], "answer": 0}, "")
    write(tmp_path / "b.csv", "Q?,x,y,z,w,A")
    assert [(item.id, item.subject) for item in read_items(tmp_path)] == [("7", "s"), ("b-1", "b")]


GOOD = {"question": "Q?", "choices": ["x", "y"], "answer": 0}


@pytest.mark.parametrize(
    ("name", "lines", "message"),
    [
        ("a.csv", ["Who?,I,you,he,she,D", "Who?,I,you,he,she,E"], r"a\.csv, line 2: answer is 'E'; expected one of A"),
        ("a.csv", ["Who?,I,D"], r"line 1: found 3 cells"),
        ("a.csv", ["Who?,I,I,he,she,D"], r"line 1: two options are the same"),
        ("a.csv", ["Who?,I,,he,she,D"], r"line 1: an option is empty"),
        ("a.csv", ['Who?,"I,you,he,she,D'], r"line 1: not CSV"),
        ("a.csv", [], "holds no items"),
        ("a.jsonl", [GOOD, "{"], r"a\.jsonl, line 2: not JSON"),
        ("a.jsonl", [GOOD, "[1]"], r"line 2: expected an object"),
        ("a.jsonl", [GOOD, "", {**GOOD, "answer": 2}], r"line 3: answer is 2; expected .* index from 0 to 1"),
        ("a.jsonl", [{**GOOD, "answer": True}], r"answer is True"),
        ("a.jsonl", [{**GOOD, "answer": "C"}], r"answer is 'C'"),
        ("a.jsonl", [{"question": "Q?", "choices": ["x", "y"]}], r"answer is None"),
        ("a.jsonl", [{**GOOD, "question": 3}], r"question is 3; expected a text"),
        ("a.jsonl", [{**GOOD, "question": ""}], r"line 1: question: "),
        ("a.jsonl", [{**GOOD, "choices": "xy"}], r"choices is 'xy'"),
        ("a.jsonl", [{**GOOD, "choices": {"text": ["x", "y"], "label": ["A"]}}], r"choices is "),
        ("a.jsonl", [{**GOOD, "choices": ["x"]}], r"line 1: options: "),
        ("a.jsonl", [{**GOOD, "id": "q"}, {**GOOD, "id": "q"}], r"two items have the id 'q'"),
        ("a.txt", [GOOD], r"a\.txt: expected a \.csv"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(tmp_path: Path, name: str, lines: list[Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_items(write(tmp_path / name, *lines))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: cannot be read"):
        read_items(tmp_path / "none.csv")
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(DataError, match=r"b\.csv: not a text in UTF-8"):
        read_items(tmp_path / "b.csv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no \.csv and no \.jsonl"):
        read_items(tmp_path / "empty")


def test_the_package_loads_no_torch() -> None:
    code = "import sys, telic.capability as c; c.load_items(); c.capability_cost; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
