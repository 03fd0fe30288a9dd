"""What readers are trained on: wordings of validation are not in training, and labels say what is said."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from telic.readers import ATTRIBUTES
from telic.readers.attributes import SUBJECTS
from telic.readers.material import TextPart, load_lines, load_templates, of_part
from telic.readers.training_texts import generated_dialogues, written_dialogues

READERS = {f"{subject}_{name}": attribute.classes for subject in SUBJECTS for name, attribute in ATTRIBUTES.items()}


def test_a_wording_is_either_for_training_or_for_validation() -> None:
    for wordings in (load_lines("requests"), load_templates("statements")["age"]["child"], ["one", "two"]):
        train, validation = (of_part(wordings, part) for part in ("train", "validation"))
        assert train
        assert validation
        assert not set(train) & set(validation)
        assert sorted([*train, *validation]) == sorted(wordings)


def test_every_class_is_told_and_every_label_is_one() -> None:
    counts: dict[TextPart, int] = {"train": 1000, "validation": 500}
    for part, count in counts.items():
        texts = [*written_dialogues(part), *generated_dialogues(part, count)]
        told = Counter((reader, label) for text in texts for reader, label in text.labels.items() if label is not None)
        for reader, classes in READERS.items():
            assert min(told[reader, label] for label in classes) >= 5, (part, reader)
            nothing = sum(reader not in text.labels for text in texts)
            assert nothing > sum(told[reader, label] for label in classes), "most say nothing of an attribute"
        assert {label for _, label in told} == {label for classes in READERS.values() for label in classes}
        assert {text.part for text in texts} == {part}
        assert all(text.dialogue[-1].role == "user" for text in texts)
        assert not [text.text for text in texts if re.search(r"\{\w+\}", text.text)], "a marker was not filled in"


def test_written_dialogues_are_read_as_they_were_meant() -> None:
    by_text = {text.dialogue[-1].content: text for text in written_dialogues("train")}
    both = by_text["I'm 77 and I can't reach the tap."]
    assert both.labels == {"self_age": "adult", "user_age": "older adult"}
    assert both.dialogue.system == "You are Jonas, 38, a plumber."
    assert by_text["I'm Alex from Toronto."].labels == {}
    assert by_text["My name is Yuki. Pleased to meet you."].labels == {"user_gender": None}


def test_the_same_seed_gives_the_same_texts() -> None:
    one, again, other = (generated_dialogues("train", 50, seed) for seed in (0, 0, 1))
    assert one == again
    assert one != other


@pytest.mark.parametrize("kind", ["somebody else", "topic or quote", "nothing said"])
def test_what_is_of_somebody_else_is_not_the_users(kind: str) -> None:
    texts = [text for text in generated_dialogues("train", 1000) if text.kind == kind]
    assert texts
    assert all(label is None for text in texts for label in text.labels.values())
