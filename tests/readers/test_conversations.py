"""TalkTuner's format, groups of what is alike, and a split that keeps them whole."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, DataError
from telic.readers.attributes import ATTRIBUTES, find_attribute
from telic.readers.conversations import (
    SHARES,
    LabelledConversation,
    group_similar,
    read_talktuner,
    sample_conversations,
    split_conversations,
    truncate_conversation,
)
from tests.readers.talk import line, write_gender

GENDER = ATTRIBUTES["gender"]


def conversation(name: str, *said: str, label: str = "male") -> LabelledConversation:
    """The user and the assistant by turns."""
    dialogue = Dialogue()
    for number, text in enumerate(said):
        dialogue = dialogue.add("assistant" if number % 2 else "user", text)
    return LabelledConversation(name, label, dialogue)


def test_turns_are_read_with_their_speakers(tmp_path: Path) -> None:
    path = tmp_path / "education.jsonl"
    text = '"### Assistant: Welcome!\\n\\n### Human: Hi\\n\\n### User: again\\n\\n### Assistant: Yes?\\n\\n### Human: "'
    path.write_text(f'{{"id": 7, "label": "someschool", "text": {text}}}\n')
    [found] = read_talktuner(path, ATTRIBUTES["education"])
    assert found.label == "some school"
    assert list(found.dialogue) == [
        Message(role="user", content="Hi\n\nagain"),
        Message(role="assistant", content="Yes?"),
    ]


@pytest.mark.parametrize("separator", ["\u2028", "\x85", "\x1c"])
def test_a_line_ends_where_json_lines_end(separator: str, tmp_path: Path) -> None:
    path = tmp_path / "gender.jsonl"
    lines = [line(number, "male", f"One{separator}two") for number in range(2)]
    path.write_text("\r\n".join(one.replace(ascii(separator)[1:-1], separator) for one in lines), encoding="utf-8")
    assert [found.dialogue[0].content for found in read_talktuner(path, GENDER)] == [f"One{separator}two"] * 2


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("not json", "line 1: expected an object with id, label and text"),
        ('{"id": 1, "label": "male"}', "line 1: expected an object"),
        (line(1, "robot", "Hi"), "label 'robot' is not a class of gender; expected one of male, female"),
        ('{"id": 1, "label": "male", "text": "Hi"}', "begins with '### Human:'"),
        ("\n\n", "holds no conversations"),
    ],
)
def test_what_is_no_conversation_is_told_by_its_line(tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / "gender.jsonl"
    path.write_text(content)
    with pytest.raises(DataError) as error:
        read_talktuner(path, GENDER)
    assert part in str(error.value)


def test_a_file_that_is_not_there_and_an_attribute_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot read conversations"):
        read_talktuner(tmp_path / "nowhere.jsonl", GENDER)
    with pytest.raises(ConfigError, match="did you mean 'gender'"):
        find_attribute("gendre")


def test_what_begins_alike_or_says_the_same_is_one_group() -> None:
    long = "a recipe for a chocolate cake with cherries and cream for twelve hungry guests"
    found = group_similar(
        [
            conversation("a", "Hi there, are you a robot? Tell me about cars."),
            conversation("b", "Hi there! Are you a robot? I like the sea."),
            conversation("c", f"Please give me {long}"),
            conversation("d", f"My sister would like {long}, today"),
            conversation("e", "Something else that nobody says"),
            conversation("f", "Other words", f"The assistant repeats {long}", "and thanks for that, bye"),
        ]
    )
    groups = {one.id: one.group for one in found}
    assert groups["a"] == groups["b"]
    assert groups["c"] == groups["d"]
    assert len(set(groups.values())) == 4


def test_a_group_stays_whole_and_classes_are_balanced(tmp_path: Path) -> None:
    every = split_conversations(group_similar(read_talktuner(write_gender(tmp_path, 50), GENDER)))
    parts: dict[str, set[str]] = {}
    for one in every:
        parts.setdefault(one.group, set()).add(one.part)
    assert all(len(found) == 1 for found in parts.values())
    counts = Counter((one.part, one.label) for one in every)
    for part, share in SHARES.items():
        for label in GENDER.classes:
            assert counts[part, label] == pytest.approx(share * 50, abs=2)


def test_a_large_group_does_not_tear_the_split() -> None:
    every = [conversation(str(i), "Hi there, are you a robot?", label="male") for i in range(30)]
    every += [conversation(f"x{i}", f"word{i} other{i} thing{i} place{i} time{i} end", label="male") for i in range(70)]
    counts = Counter(one.part for one in split_conversations(group_similar(every)))
    assert counts == {"train": 60, "validation": 20, "test": 20}


def test_a_larger_sample_holds_the_smaller_one(tmp_path: Path) -> None:
    every = split_conversations(group_similar(read_talktuner(write_gender(tmp_path, 50), GENDER)))
    few, more = sample_conversations(every, 10), sample_conversations(every, 20)
    assert {one.id for one in few} < {one.id for one in more}
    assert Counter((one.part, one.label) for one in few) == {
        (part, label): round(10 * share) for part, share in SHARES.items() for label in GENDER.classes
    }


def test_cuts_end_with_the_user_and_fit() -> None:
    talk = conversation("a", "one", "two", "three", "four", "five", "six")

    def count(dialogue: Dialogue) -> int:
        return 10 * len(dialogue)

    for seed in range(5):
        early, last = truncate_conversation(talk, 35, count, seed)
        assert (len(early), len(last)) == (1, 3)
    assert {len(truncate_conversation(talk, 99, count, seed)[0]) for seed in range(20)} == {1, 3}
    assert [len(cut) for cut in truncate_conversation(talk, 5, count)] == [1]
