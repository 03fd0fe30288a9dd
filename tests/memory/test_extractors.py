"""What extractors read off messages, edits and choices, and what they leave alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from telic.errors import ConfigError
from telic.memory import Claim, Memory, MemoryConfig, MemoryEvent
from telic.memory.extractors.base import build_extractors, extract_claims, registry
from telic.memory.extractors.explicit import forget_requests
from tests.contracts.extractor_contract import ExtractorContract, event

CONFIG = MemoryConfig.of(slots=("budget", "home airport"))


class TestStatements(ExtractorContract):
    name: ClassVar[str] = "statements"
    telling: ClassVar[MemoryEvent] = event("Hello, I live in Leeds and I'm allergic to peanuts.")


class TestExplicitRequests(ExtractorContract):
    name: ClassVar[str] = "explicit"
    telling: ClassVar[MemoryEvent] = event("Please remember that the gate is locked after ten.")


class TestDoubts(ExtractorContract):
    name: ClassVar[str] = "doubts"
    telling: ClassVar[MemoryEvent] = event("I got another dog after the old one died.")


class TestMoods(ExtractorContract):
    name: ClassVar[str] = "moods"
    telling: ClassVar[MemoryEvent] = event("Trams have grown on me.")


class TestEdits(ExtractorContract):
    name: ClassVar[str] = "edits"
    telling: ClassVar[MemoryEvent] = event(
        "See you at ten.", "edit", draft="Hello! I am so happy to say that we will see each other at ten o'clock!"
    )
    copies: ClassVar[bool] = False


class TestChoices(ExtractorContract):
    name: ClassVar[str] = "choices"
    telling: ClassVar[MemoryEvent] = event("window seat", "choice", slot="seat", taken=True)


class TestCorrections(ExtractorContract):
    name: ClassVar[str] = "corrections"
    telling: ClassVar[MemoryEvent] = event("Porto", "correction", slot="home")


class TestVerdicts(ExtractorContract):
    name: ClassVar[str] = "verdicts"
    telling: ClassVar[MemoryEvent] = event("Graz", "verdict", event="e0", start=3, end=7, slot="home airport")
    copies: ClassVar[bool] = False


def found(text: str) -> list[tuple[str, str, int, str]]:
    """What is read off a message: slot, value, polarity, kind of scope."""
    claims, failures = extract_claims(build_extractors(CONFIG), event(text))
    assert failures == []
    return [(one.slot, one.value, one.polarity, one.scope.kind) for one in claims]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("My name is Ann Lee.", ("name", "Ann Lee", 1)),
        ("I’m living in Porto these days", ("home", "Porto", 1)),
        ("I now work as a nurse.", ("job", "nurse", 1)),
        ("I am strictly vegetarian.", ("diet", "vegetarian", 1)),
        ("I'm no longer vegan.", ("diet", "vegan", -1)),
        ("I've got a peanut allergy.", ("allergy", "peanut", 1)),
        ("My budget is 1,200 euros.", ("budget", "1,200 euros", 1)),
        ("I can spend at most 800 euros.", ("budget", "800 euros", 1)),
        ("My home airport is Graz.", ("home airport", "Graz", 1)),
        ("Please answer in German from now on.", ("language", "German", 1)),
        ("I really love old trains, you know.", ("taste", "old trains", 1)),
        ("I can't stand coriander.", ("taste", "coriander", -1)),
        ("Early flights are not for me.", ("taste", "Early flights", -1)),
        ("I used to like jazz.", ("taste", "jazz", -1)),
        ("Our dog is called Figaro.", ("dog name", "Figaro", 1)),
        ("My favourite drink is oolong tea.", ("favourite drink", "oolong tea", 1)),
        ("As I said, I hate karaoke.", ("taste", "karaoke", -1)),
    ],
)
def test_statements_of_users_about_themselves(text: str, expected: tuple[str, str, int]) -> None:
    assert (*expected, "general") in found(text)


def test_a_list_is_several_values() -> None:
    assert {one[1] for one in found("I'm allergic to peanuts, kiwi and sesame.")} == {"peanuts", "kiwi", "sesame"}


@pytest.mark.parametrize(
    "text",
    [
        "My sister loves techno.",
        "She told me that she prefers techno.",
        'Tom said: "I love techno".',
        "Tom wrote that I love techno.",
        "Do I like techno?",
        "If I liked techno, where would I go?",
        "Suppose I love techno.",
        "> I love techno",
        "```\nI love techno\n```",
        "The song goes I love techno.",
        "What do you like?",
        "I don't remember.",
        "My phone is slow this week.",
        "",
    ],
)
def test_what_others_say_or_nobody_means_is_left_alone(text: str) -> None:
    assert [one for one in found(text) if one[3] != "once"] == []


@pytest.mark.parametrize(
    "text",
    ["Tonight I want techno.", "Just this once I prefer techno.", "I'd like techno.", "Give me techno for a change."],
)
def test_a_request_for_once_is_no_rule(text: str) -> None:
    assert {one[3] for one in found(text)} == {"once"}
    memory = Memory(CONFIG, [event(text)])
    assert list(memory.profile.everything()) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("When I travel for work, I prefer window seats.", "When I travel for work"),
        ("I prefer window seats on long flights.", "on long flights"),
        ("At work I like window seats.", "At work"),
    ],
)
def test_a_preference_of_a_context_is_not_global(text: str, words: str) -> None:
    claims = [one for one in extract_claims(build_extractors(CONFIG), event(text))[0] if one.slot == "taste"]
    assert [(one.value, one.scope.kind, one.scope.words) for one in claims] == [("window seats", "context", words)]


def test_edits_are_measured() -> None:
    draft = "Hello Ann! Here is the plan:\n- one\n- two\nBest regards, Mia"
    claims = extract_claims(build_extractors(CONFIG), event("The plan is one, then two.", "edit", draft=draft))[0]
    assert {(one.value, one.polarity) for one in claims} == {
        ("short replies", 1), ("bullet points", -1), ("exclamation marks", -1), ("a greeting", -1), ("a closing", -1)
    }  # fmt: skip
    assert {one.slot for one in claims} == {"reply style"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Forget that I love jazz.", ["I love jazz"]),
        ("please forget my diet", ["my diet"]),
        ("Forget everything you know about me.", [""]),
        ("Delete everything you have stored about me.", [""]),
        ("Forget it.", []),
        ("Delete the last paragraph.", []),
        ("Forget the hotel, let us go camping.", []),
        ("I always forget my keys.", []),
        ("Did you forget my diet?", []),
        ('He said "forget everything about me".', []),
    ],
)
def test_requests_to_forget(text: str, words: list[str]) -> None:
    assert [one.words for one in forget_requests(event(text))] == words


def test_only_users_can_ask_to_forget() -> None:
    assert forget_requests(event("Forget that I love jazz.", speaker="assistant")) == []


class Broken:
    """An extractor of a plug-in that fails."""

    name = "broken"

    def extract(self, _event: MemoryEvent) -> Iterator[Claim]:
        raise RuntimeError("out of words")


def test_a_failed_extraction_shows_and_the_others_count() -> None:
    memory = Memory(CONFIG, [event("I love jazz.")], [Broken(), *build_extractors(CONFIG)])
    [failure] = memory.failures
    assert (failure.event, failure.extractor, failure.reason) == ("e1", "broken", "RuntimeError: out of words")
    assert memory.describe()["failures"] == [
        {"event": "e1", "extractor": "broken", "reason": "RuntimeError: out of words"}
    ]
    assert [fact.value for fact in memory.profile.facts()] == ["jazz"]


def test_a_damaged_verdict_shows() -> None:
    for data in ({}, {"event": "e0", "start": 7, "end": 3}, {"event": 3, "start": 0, "end": 3}):
        assert len(Memory(CONFIG, [event("Graz", "verdict", **data)]).failures) == 1


def test_pasted_documents_say_nothing() -> None:
    assert found("I love jazz. " * 400) == []
    listed = " ".join(f"I like thing{number}." for number in range(60))
    assert len(Memory(CONFIG, [event(listed)]).failures) == 1


def test_every_extractor_is_tested_here() -> None:
    tested = {one.name for one in ExtractorContract.__subclasses__()}
    assert tested == set(registry.names())


@pytest.mark.parametrize(
    "settings",
    [
        {"slots": [""]},
        {"slots": ["<b>"]},
        {"slots": ["x" * 61]},
        {"half_life_days": 0},
        {"half_life_days": float("nan")},
        {"budget": -1},
        {"quotes": 51},
        {"slot": ["diet"]},
        {"ask": "perhaps"},
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        MemoryConfig.of(**settings)
