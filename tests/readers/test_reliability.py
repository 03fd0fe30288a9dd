"""What a card says about a reader, in words; and when a reading of the model itself is off."""

from __future__ import annotations

from typing import Any

import pytest

from telic.readers.reliability import reader_reliability


def figure(value: float | None, n: int = 40) -> dict[str, Any]:
    return {"value": value, "low": None, "high": None, "n": n}


GOOD = {
    "said": {"accuracy": figure(0.9), "known": figure(0.95), "accuracy_known": figure(0.92)},
    "absent": {"known": figure(0.08, 120)},
    "takeover": {"known": figure(0.04, 60)},
}


def test_figures_of_natural_messages_are_told_with_their_number() -> None:
    told = " ".join(reader_reliability({"natural": {"user_age": GOOD}}, "user_age").sentences)
    assert "In 40 natural messages that said the age, it was right in 90% and unknown in 5%." in told
    assert "In 120 that did not say it, it claimed to know in 8%." in told


def test_a_card_without_natural_figures_says_so() -> None:
    card = {"readers": {"user_age": {"accuracy": figure(0.96, 28)}}}
    [told] = reader_reliability(card, "user_age").sentences
    assert "Right in 96% of 28 groups of conversations that resemble those of its training" in told
    assert "not measured in natural ones" in told
    [told] = reader_reliability({}, "user_age").sentences
    assert told == "Nobody has measured how often its user's age is right."


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, ""),
        ({"takeover": {"known": figure(0.31, 60)}}, "in 31% of 60 messages it took the user's for its own"),
        (
            {"said": {**GOOD["said"], "accuracy_known": figure(0.5)}},
            "only 50% of what it claimed to know in 40 conversations was right",
        ),
        ({"takeover": {}}, "it was not measured in natural conversations"),
        ({"said": {"accuracy_known": figure(None)}}, "it was not measured in natural conversations"),
    ],
)
def test_the_model_itself_is_shown_only_where_the_card_supports_it(changed: dict[str, Any], reason: str) -> None:
    card = {"natural": {"self_age": {**GOOD, **changed}, "user_age": {**GOOD, **changed}}}
    assert reader_reliability(card, "self_age").reason_off == reason
    assert reader_reliability(card, "self_age").supported == (not reason)
    assert reader_reliability(card, "user_age").supported, "those of the user are always shown"
