"""What a card says about a reader, in words; and when a reading of the model itself is off."""

from __future__ import annotations

from typing import Any

import pytest

from telic.readers.reliability import reason_unsupported, reliability_sentences


def figure(value: float | None, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None, "n": n}


def card_of(name: str, **slices: dict[str, Any]) -> dict[str, Any]:
    return {"natural": {"readers": {name: {key.replace("_", " "): own for key, own in slices.items()}}}}


ALL = {
    "accuracy": figure(0.9, 90),
    "known": figure(0.95, 90),
    "accuracy_known": figure(0.92),
    "false_certainty": figure(0.08, 120),
    "takeover": figure(0.04, 60),
    "lured": figure(0.1, 50),
}


def test_figures_of_natural_conversations_of_the_same_length_are_told_with_their_number() -> None:
    first = {"accuracy": figure(0.8, 42), "known": figure(0.9, 42), "lured": figure(0.5, 3)}
    card = card_of("user_age", all=ALL)
    card["natural"]["readers"]["user_age"]["turns: 1"] = first
    assert reliability_sentences(card, "user_age", 1) == [
        "In 42 natural first messages that said your age, it was right in 80% and unknown in 10%.",
        "In 120 natural conversations that did not say it, it claimed to know in 8%.",
        "In 60 natural conversations that said only its own, it took that for yours in 4%.",
        "In 50 natural conversations that said somebody else's, it took that for yours in 10%.",
    ], "three are too few to tell"
    assert reliability_sentences(card, "user_age", 3)[0] == (
        "In 90 natural conversations that said your age, it was right in 90% and unknown in 5%."
    )
    for messages, name, kind in ((4, "2 to 4", "of 2 to 4 messages"), (9, "5 or more", "of 5 messages or more")):
        card["natural"]["readers"]["user_age"][f"turns: {name}"] = {"accuracy": figure(0.7, 12)}
        assert f"In 12 natural conversations {kind}" in reliability_sentences(card, "user_age", messages)[0]


def test_a_card_without_natural_figures_says_so() -> None:
    card = {"readers": {"user_age": {"right": figure(0.96, 28)}}}
    [told] = reliability_sentences(card, "user_age")
    assert told == "Right in 96% of 28 dialogues like those of its training; not measured in natural ones."
    assert reliability_sentences({}, "user_age") == ["Nobody has measured how often this reading of your age is right."]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"takeover": figure(0.31, 60)}, "in 31% of 60 natural conversations it took the user's for its own"),
        (
            {"accuracy_known": figure(0.5)},
            "only 50% of what it claimed to know in 40 natural conversations was right",
        ),
        ({"takeover": {}}, "it was not measured in natural conversations"),
        ({"accuracy_known": figure(None)}, "it was not measured in natural conversations"),
    ],
)
def test_the_model_itself_is_shown_only_where_the_card_supports_it(changed: dict[str, Any], reason: str) -> None:
    assert reason_unsupported(card_of("self_age", all={**ALL, **changed}), "self_age") == reason
    assert reason_unsupported(card_of("user_age", all={**ALL, **changed}), "user_age") == "", "the user's are shown"


def test_a_card_without_natural_figures_supports_no_reading_of_the_model_itself() -> None:
    assert reason_unsupported({"readers": {"self_age": {"accuracy": figure(0.99)}}}, "self_age")
