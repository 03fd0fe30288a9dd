"""What is taken from messages in people's own words, and what is left alone."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from benchmarks.memory_facts import SLOTS, evaluate, read_messages
from telic.errors import DataError
from telic.memory import Memory, MemoryConfig, MemoryEvent
from telic.memory.extractors.base import build_extractors, extract_claims

CONFIG = MemoryConfig.of(slots=SLOTS)
DATA = Path(__file__).parents[2] / "benchmarks" / "data"


def said(text: str, number: int = 0) -> MemoryEvent:
    return MemoryEvent(f"e{number}", 1000.0 + number, "message", f"c{number}", "user", text)


def kept(text: str) -> list[tuple[str, str, int]]:
    """What would be remembered of a message for good."""
    claims, failures = extract_claims(build_extractors(CONFIG), said(text))
    assert failures == []
    return [(one.slot, one.value, one.polarity) for one in claims if one.scope.kind != "once" and one.weight > 0]


@pytest.mark.parametrize(
    ("text", "fact"),
    [
        ("I teach maths these days", ("job", "teach maths", 1)),
        ("As a night nurse I sleep at odd hours, any tips?", ("job", "night nurse", 1)),
        ("I drive the school minibus now.", ("job", "drive the school minibus", 1)),
        ("I work nights as a baker.", ("job", "baker", 1)),
        ("We moved to Leipzig last spring.", ("home", "Leipzig", 1)),
        ("We moved from Lyon to Porto in March.", ("home", "Porto", 1)),
        ("I'm moving in with my mum in Bruges next week", ("home", "Bruges", 1)),
        ("hi im sam and i live in leeds, where can i eat?", ("home", "leeds", 1)),
        ("we'd rather not spend over 900", ("budget", "900", 1)),
        ("Nuts and me don't mix.", ("allergy", "Nuts", 1)),
        ("I'm back to eating fish after years as a vegan", ("diet", "fish", 1)),
        ("I've packed in the vegan thing", ("diet", "vegan", -1)),
        ("Our budgie? Ours is called Pixel.", ("budgie name", "Pixel", 1)),
        ("It's Priya, by the way.", ("name", "Priya", 1)),
        ("my name is Ann Lee and I need help", ("name", "Ann Lee", 1)),
        ("it's they and them for me, please", ("pronouns", "they and them", 1)),
        ("I turn seventy on the 3rd of June", ("birthday", "the 3rd of June", 1)),
        ("Welsh is my first language", ("language", "Welsh", 1)),
        ("I'm not a big fan of karaoke tbh", ("taste", "karaoke", -1)),
        ("I hate karaoke with a passion.", ("taste", "karaoke", -1)),
    ],
)
def test_facts_in_peoples_own_words(text: str, fact: tuple[str, str, int]) -> None:
    assert fact in kept(text)


@pytest.mark.parametrize(
    "text",
    [
        "My dog Otto passed away in March.",
        "When we lived in Aberdeen it rained.",
        "As a boy I hated sprouts.",
        "I might turn pescatarian one of these days.",
        "If I were a vegetarian, what would I do about gravy?",
        "My sister is vegan and lives in Porto.",
        "My son is called Tom.",
        "My sister's dog is called Rex.",
        "My character in the game is a dwarf called Brenda who is allergic to gold.",
        "Translate into French: I live in Leeds and I love cats",
        "'I've a budget of a thousand crowns,' said the goblin",
        "Am I allergic to nuts?",
        "Same here.",
        "Hi, I'm in a hurry.",
        "I moved to the country.",
        "We can do 3 of those.",
        "def f(self):\n    # I love jazz\n    return self.x",
        "Enjoy the rest of the day!",
        "I don't think it is my cup of tea.",
    ],
)
def test_what_is_not_so_now_or_not_of_the_user_is_left_alone(text: str) -> None:
    assert kept(text) == []


@pytest.mark.parametrize("unit", ["\n", "! \n", "I no longer know it. ", "any ", "no longer\n"])
def test_a_long_message_takes_no_long_time(unit: str) -> None:
    begun = time.process_time()
    extract_claims(build_extractors(CONFIG), said(unit * (60_000 // len(unit))))
    assert time.process_time() - begun < 15  # minutes, if a pattern backtracks or the message is read for each sentence


def test_two_authors_messages_keep_their_figures() -> None:
    report = evaluate(read_messages(DATA), build_extractors(CONFIG))
    assert report.precision.hits >= 0.93 * report.precision.total
    assert report.recall.hits >= 0.6 * report.recall.total
    assert report.silent.hits >= 0.97 * report.silent.total


def test_a_mood_against_a_liking_is_asked_about() -> None:
    before = Memory(CONFIG, [said("I hate karaoke."), said("Karaoke has won me over.", 1)])
    after = Memory(CONFIG, [said("Karaoke has won me over, I must admit."), said("I hate karaoke.", 1)])
    for memory in (before, after):
        [question] = memory.profile.questions.values()
        assert (question.known, question.said_polarity) == ("karaoke", 0)
        assert list(memory.profile.facts()) == []


def test_a_mood_that_agrees_or_is_of_something_else_changes_nothing() -> None:
    for other in ("Karaoke is a nightmare for me.", "I am glad that the trams run again."):
        memory = Memory(CONFIG, [said("I hate karaoke."), said(other, 1)])
        assert memory.profile.questions == {}
        assert [fact.value for fact in memory.profile.facts()] == ["karaoke"]


def test_undo_takes_back_what_was_said_and_no_mood() -> None:
    memory = Memory(CONFIG, [said("I hate karaoke."), said("I am glad that the trams run again.", 1)])
    entry = memory.undo()
    assert entry is not None
    assert entry.data["events"] == ["e0"]
    assert list(memory.profile.everything()) == []


@pytest.mark.parametrize(
    "line",
    ["no json", "[]", '{"id": "x"}', json.dumps({"id": "x", "text": "t", "kind": "k", "facts": [{"slot": "home"}]})],
)
def test_messages_that_are_none_are_refused_with_their_place(tmp_path: Path, line: str) -> None:
    (tmp_path / "facts.jsonl").write_text(line + "\n", "utf-8")
    with pytest.raises(DataError, match=r"facts\.jsonl:1"):
        read_messages(tmp_path)


def test_a_folder_without_messages_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"facts\*\.jsonl"):
        read_messages(tmp_path)
