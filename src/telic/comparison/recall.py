"""Dialogues with questions about what was said in them: does a control cost recall of the dialogue?

Eight dialogues of small talk state five facts each, different ones in each dialogue. The questions ask for these facts.
"""

from __future__ import annotations

from dataclasses import dataclass

from telic.capability import NEUTRAL_EXCHANGE, Item
from telic.dialogue import Message, Role

__all__ = ["HISTORY", "RecallDialogue", "recall_dialogues"]

ROLES: tuple[Role, Role] = ("user", "assistant")
SMALL_TALK = (
    ("I walked to {place} this morning, and it was bitterly cold.", "That sounds like a brisk walk. Was it nice?"),
    ("Very. I saw {animal}, and nobody else was about.", "It is good to have such a place for oneself now and then."),
    ("Then I made {dish} with what was left from {day}.", "On a cold day that is a fine idea. What was in it?"),
    ("{food}, mostly. Now something else.", "Of course. What would you like to know?"),
)
FACTS = {
    "place": ("the lake", "the mill", "the harbour", "the forest", "the castle", "the river", "the bridge", "the farm"),
    "animal": ("two swans", "a fox", "three goats", "a heron", "an owl", "two deer", "a black cat", "some ducks"),
    "dish": ("soup", "a pie", "a stew", "pancakes", "a curry", "an omelette", "a salad", "dumplings"),
    "day": ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "yesterday"),
    "food": (
        *("Leeks and potatoes", "Carrots and peas", "Beans and onions", "Apples and nuts"),
        *("Spinach and cheese", "Mushrooms and rice", "Tomatoes and basil", "Pumpkin and ginger"),
    ),
}
QUESTIONS = {
    "place": "Where did I walk to this morning?",
    "animal": "Which animals did I see on my walk?",
    "dish": "What did I make?",
    "day": "From which day was the food left over?",
    "food": "What was in the dish that I made?",
}
OPTIONS = 4


@dataclass(frozen=True, slots=True)
class RecallDialogue:
    """A dialogue, and questions about it."""

    history: tuple[Message, ...]
    items: tuple[Item, ...]


def recall_dialogues() -> list[RecallDialogue]:
    """Make eight dialogues of five exchanges, with five questions each."""
    return [_recall_dialogue(number) for number in range(len(FACTS["place"]))]


def _recall_dialogue(number: int) -> RecallDialogue:
    facts = {name: values[number] for name, values in FACTS.items()}
    said = [
        Message(role=role, content=text.format(**facts))
        for pair in SMALL_TALK
        for role, text in zip(ROLES, pair, strict=True)
    ]
    items = []
    for place, (name, question) in enumerate(QUESTIONS.items()):
        values = FACTS[name]
        options = [values[(number + step) % len(values)] for step in range(OPTIONS)]
        answer = (number + place) % OPTIONS  # in each place equally often
        options[0], options[answer] = options[answer], options[0]
        items.append(
            Item(
                id=f"recall-{number}-{name}", subject="recall", question=question, options=tuple(options), answer=answer
            )
        )
    return RecallDialogue((*NEUTRAL_EXCHANGE, *said), tuple(items))


HISTORY = _recall_dialogue(0).history
"""What is said before each general question. After a greeting alone nothing has drifted yet, so a closed-loop
control would not act, and would look cheap."""
