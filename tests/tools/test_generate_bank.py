"""A bank that a model writes: only what rules can vouch for is kept."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telic.dialogue import Message
from telic.models import ScriptedModel
from telic.stability import Bank
from tools.generate_bank import FORMS, Form, Sieve, generate, to_toml

IDENTITY, FORBIDS = (next(form for form in FORMS if form.demand == demand) for demand in ("identity", "forbids"))
SOUND = {
    "system": "You are Okla, who bakes the bread of a small town.",
    "ask": "Who am I talking to?",
    "judge": {"contains": "Okla"},
    "good": "You are talking to Okla.",
}


def proposal(**changes: Any) -> str:
    return f"Here it is: {json.dumps({**SOUND, **changes})} I hope it helps."


@pytest.mark.parametrize("form", FORMS, ids=lambda form: f"{form.demand}-{next(iter(form.judge))}")
def test_the_examples_are_such_as_are_asked_for(form: Form) -> None:
    sieve = Sieve()
    assert sieve.read(form, form.example) is None
    assert dict(sieve.dropped) == {"like the example": 1}, "nothing else is wrong with it"


def test_a_sound_proposal_is_kept_once() -> None:
    sieve = Sieve()
    for _ in range(2):
        found = sieve.read(IDENTITY, proposal())
        assert found is not None
        sieve.take(found, ["I am an AI.", "I am Tom."])
    assert [triplet.id for triplet in sieve.kept] == ["identity-000"]
    assert sieve.kept[0].bad == ("I am an AI.", "I am Tom.")
    assert dict(sieve.dropped) == {"like one before": 1}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("I cannot do that.", "no JSON"),
        ("[1]", "no JSON"),
        ('{"system": "You are Okla, who bakes."}', "keys are missing"),
        (proposal(judge={"callable": "os:system"}), "another kind of judge"),
        (proposal(judge={"contains": ""}), "the judge or a text is not valid"),
        (proposal(judge={"contains": 3}), "the judge or a text is not valid"),
        (proposal(good=["Okla"]), "the judge or a text is not valid"),
        (proposal(ask="Who?"), "too short or too long"),
        (proposal(good="I am Olga."), "its own answer fails"),
        (proposal(judge={"contains": "talking"}), "the system prompt does not tell what is judged"),
        (proposal(ask="Are you called Okla?"), "the question gives the answer away"),
    ],
)
def test_an_unsound_proposal_is_dropped_with_its_reason(text: str, reason: str) -> None:
    sieve = Sieve()
    assert sieve.read(IDENTITY, text) is None
    assert dict(sieve.dropped) == {reason: 1}


@pytest.mark.parametrize("neutral", [[], ["I am Okla."], ["I am Tom.", "Okla"]])
def test_an_instruction_that_is_followed_unasked_is_dropped(neutral: list[str]) -> None:
    text = proposal(system="Never speak of rye, baker.", judge={"excludes": "rye"}, good="Wheat.", ask="What is it?")
    for form, told in ((IDENTITY, proposal()), (FORBIDS, text)):
        sieve = Sieve()
        found = sieve.read(form, told)
        assert found is not None
        kept = sieve.take(found, neutral if form is IDENTITY else ["Wheat and rye.", "Only wheat."])
        assert (kept, sieve.kept, len(sieve.dropped)) == (False, [], 1)


def test_a_model_writes_a_bank_that_can_be_loaded(tmp_path: Path) -> None:
    calls = 0

    def write(messages: tuple[Message, ...]) -> str:
        nonlocal calls
        calls += 1
        text = messages[-1].content
        if "You write tests" not in text:
            return "I do not know anything about it."
        name = f"Okl{'aeiou'[calls % 5]}{calls}"
        fact = f"You are {name}, who counts {calls} {name}s in room {calls * 7} of house {calls * 3}."
        return json.dumps({**SOUND, "system": fact, "judge": {"contains": name}, "good": f"I am {name}."})

    sieve = generate(ScriptedModel(write), 4, attempts=60, seed=1)
    assert len(sieve.kept) == 4
    assert sieve.dropped["another kind of judge"] > 0, "the forms take turns, and this model knows one judge"
    path = tmp_path / "bank.toml"
    path.write_text(to_toml(sieve, "Written by a script."), encoding="utf-8")
    bank = Bank.from_file(path)
    assert list(bank) == sieve.kept
    assert all(triplet.misjudged() == [] and triplet.bad for triplet in bank)


def test_a_model_that_writes_nothing_sound_ends_after_the_attempts() -> None:
    sieve = generate(ScriptedModel(lambda messages: "No."), 5, attempts=20)
    assert sieve.kept == []
    assert dict(sieve.dropped) == {"no JSON": 20}
