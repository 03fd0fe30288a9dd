"""Conversations with clear evidence, and a folder with a tiny model, for the tests of the learners."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path

from telic.episodes import Episode, Feedback
from telic.feedback import Labeller
from telic.feedback.given import given_feedback
from tests.feedback.dialogues import dialogue

SYSTEM = "You are Mia, a travel agent."
GOOD = "Hello! Where would you like to go?"
BAD = "Never quote a price, not even one."  # as long as the good one


def conversations(users: int = 8, each: int = 3) -> list[Episode]:
    """Users who thank for a question, and complain of a rule."""
    return [
        dialogue(
            f"I want to get away in May, {number}.",
            GOOD if number % 2 else BAD,
            "Great, thank you!" if number % 2 else "That's wrong, this is useless.",
            name=f"c{user}-{number}",
            user=f"u{user}",
        )
        for user in range(users)
        for number in range(each)
    ]


def labelled(users: int = 8, each: int = 3) -> list[Episode]:
    return list(Labeller().label_all(conversations(users, each)))


def edited(users: int = 8, each: int = 3) -> list[Episode]:
    """Users who replace the rule by a question."""

    def feedback(text: str) -> list[Feedback]:
        return [given_feedback("edit", GOOD, 1, text, None)]

    found: Iterator[Episode] = (
        one.model_copy(update={"feedback": feedback(one.turns[1].text)})
        for one in conversations(users, each)
        if one.turns[1].text == BAD
    )
    return list(Labeller().label_all(found))


def save_tiny(folder: Path, architecture: str = "llama") -> str:
    """Write a tiny random model that `telic.load` takes; returns its path."""
    from tests.models.tiny import tokenizer, weights

    copy.deepcopy(weights(architecture)).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return str(folder)
