"""What readers are trained on: wordings of validation are not in training, and labels say what is said."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable

import pytest

from telic.dialogue import Message
from telic.readers import ATTRIBUTES, load_natural_items
from telic.readers.attributes import SUBJECTS
from telic.readers.dialogue_kinds import TextDraw
from telic.readers.material import TextPart, load_lines, load_templates, of_part
from telic.readers.other_people import shifted
from telic.readers.training_texts import generated_dialogues, texts_about_others, written_dialogues

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
        assert not [text.text for text in texts if re.search(r"\{[A-Za-z]\w*\}", text.text)], (
            "a marker was not filled in"
        )


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


@pytest.mark.parametrize("kind", ["somebody else", "topic or quote", "fiction", "nothing said"])
def test_what_is_of_somebody_else_is_not_the_users(kind: str) -> None:
    texts = [text for text in generated_dialogues("train", 1000) if text.kind == kind]
    assert texts
    assert all(label is None for text in texts for label in text.labels.values())


def test_what_is_said_of_the_user_is_also_said_of_somebody_else() -> None:
    texts = texts_about_others("train", 300)
    assert texts == texts_about_others("train", 300)
    assert all(text.lures and not text.labels and text.dialogue[-1].role == "user" for text in texts)
    told = Counter(entry for text in texts for entry in text.lures.items())
    assert all(told[f"user_{name}", label] for name, attribute in ATTRIBUTES.items() for label in attribute.classes)
    assert not [text.text for text in texts if re.search(r"\{[A-Za-z]\w*\}", text.text)], "a marker was not filled in"


@pytest.mark.parametrize(
    ("own", "other"),
    [
        (
            "I'm 71 and my knees hurt. Do I need a stick?",
            " is 71 and (her|his) knees hurt. Does (she|he) need a stick?",
        ),
        ("My pension is small, and I work nights.", "'s pension is small, and (she|he) works nights."),
        ("44, electrician. Knee clicks.", ": 44, electrician. Knee clicks."),
    ],
)
def test_a_message_moves_to_the_third_person(own: str, other: str) -> None:
    found = shifted(own, TextDraw(random.Random(0), "train", "age", "adult"))
    assert re.search(other.replace("?", r"\?"), found), found
    assert not re.search(r"I'm|I (need|work)|[Mm]y (knees|pension)", found), found


def test_lures_are_marked_where_the_user_is_not_who_has_the_class() -> None:
    by_text = {text.dialogue[-1].content: text for text in written_dialogues("validation")}
    aunt = by_text["My aunt is 71 and she wants to learn to swim."]
    assert (aunt.labels, aunt.lures) == ({}, {"user_age": "older adult", "user_gender": "female"})
    twins = [text for text in generated_dialogues("train", 600) if text.kind == "twins"]
    assert any(text.lures for text in twins)
    assert not [text for text in twins if text.lures and any(text.labels.values())]


def test_the_evaluation_shares_no_phrase_with_what_readers_learn_from() -> None:
    """Neither the texts of training nor those of validation, where all that is chosen is chosen."""

    def phrases(messages: Iterable[Message]) -> set[tuple[str, ...]]:
        said = [re.findall(r"[\w']+", message.content.lower()) for message in messages]
        return {tuple(words[i : i + 8]) for words in said for i in range(len(words) - 7)}

    def learnt(part: TextPart) -> set[tuple[str, ...]]:
        texts = [*written_dialogues(part), *generated_dialogues(part, 1000), *texts_about_others(part, 600)]
        return set().union(*(phrases(text.dialogue) for text in texts))

    natural = set().union(*(phrases(item.messages) for item in load_natural_items()))
    assert not natural & learnt("train")
    assert not natural & learnt("validation")


def test_twins_differ_in_whose_attribute_it_is() -> None:
    texts = [text for text in generated_dialogues("train", 1000) if text.kind == "twins"]
    groups = [texts[i : i + 4] for i in range(0, len(texts) - 3, 4)]
    assert len(groups) > 10
    for user, itself, other, quoted in groups:
        told = {name.removeprefix("user_"): label for name, label in user.labels.items()}
        assert {name.removeprefix("self_"): label for name, label in itself.labels.items()} == told
        assert any(told.values())
        assert not any([*other.labels.values(), *quoted.labels.values()])
        assert len({text.text.lower() for text in (user, itself, other, quoted)}) == 4
