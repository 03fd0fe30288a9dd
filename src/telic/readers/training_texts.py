"""Texts to train readers on: dialogues in which the user or the assistant has an attribute, and many in which neither.

Generated dialogues are made of parts: statements and nouns, requests, replies, system prompts, and the frames that join
them. Each belongs to training or to validation, so that a reader is chosen and calibrated on wordings that it was not
trained on. Messages written by hand complete both.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from telic.dialogue import Dialogue
from telic.readers.attributes import ATTRIBUTES
from telic.readers.dialogue_kinds import KINDS, TextDraw, twins
from telic.readers.material import TextPart, load_all_lines
from telic.readers.other_people import quoted, said_of_another, shifted

__all__ = ["LabelledDialogue", "generated_dialogues", "texts_about_others", "written_dialogues"]

_TRAILING_LABEL = re.compile(r", ((?:self\.)?(?:age|gender|education|socioeconomic)=[^,¶|]+)$")


@dataclass(frozen=True)
class LabelledDialogue:
    """A dialogue, and whose attributes it tells."""

    dialogue: Dialogue
    """Ends with a turn of the user."""
    labels: Mapping[str, str | None] = field(default_factory=dict)
    """Class by reader, such as `user_age`. Of a reader that is missing, the dialogue says nothing; None: it cannot be
    said whether it does, so the reader is neither trained nor tested on it."""
    kind: str = "said"
    """What is difficult about it: the slice of the card."""
    part: TextPart = "train"
    lures: Mapping[str, str] = field(default_factory=dict)
    """The class of somebody else in it, by the reader that might take it for its own."""

    @property
    def text(self) -> str:
        """All messages, joined."""
        return "\n".join(message.content for message in self.dialogue)


def written_dialogues(part: TextPart) -> list[LabelledDialogue]:
    """Load the messages that were written by hand."""
    return [_parsed(line, part) for line in load_all_lines("messages" if part == "train" else "validation")]


def _parsed(line: str, part: TextPart) -> LabelledDialogue:
    head, text = line.split("|", 1)
    while match := _TRAILING_LABEL.search(text):  # labels may also follow the text
        text, head = text[: match.start()], f"{head},{match[1]}"
    labels: dict[str, str | None] = {}
    lures: dict[str, str] = {}
    for entry in filter(None, map(str.strip, head.split(","))):
        name, label = entry.split("=")
        if name.startswith("other."):
            lures[name.replace("other.", "user_")] = label
            continue
        reader = name.replace("self.", "self_") if name.startswith("self.") else f"user_{name}"
        labels[reader] = None if label == "?" else label
    turns = [turn.strip() for turn in text.split("¶")]
    dialogue = Dialogue()
    if turns[0].startswith("S: "):
        dialogue = dialogue.with_system(turns.pop(0)[3:])
    for index, turn in enumerate(turns):
        dialogue = dialogue.add("user" if index % 2 == 0 else "assistant", turn)
    return LabelledDialogue(dialogue, labels, "written", part, lures)


def generated_dialogues(part: TextPart, count: int, seed: int = 0) -> list[LabelledDialogue]:
    """Generate dialogues of all kinds, about each attribute as often, and each of its classes.

    About half come in fours that differ only in whose attribute it is, since messages written by hand teach how people
    talk, and these teach whom they talk of. Others are messages written by hand, with a system prompt and more turns.

    Args:
        part: whose wordings to use.
        count: how many.
        seed: of every draw.
    """
    rng = random.Random(f"{seed}/{part}")
    kinds = [kind for kind, times in KINDS for _ in range(times)]
    written = written_dialogues(part)
    found: list[LabelledDialogue] = []
    for index in itertools.count():
        if len(found) >= count:
            return found[:count]
        attribute = rng.choice(list(ATTRIBUTES.values()))
        draw = TextDraw(rng, part, attribute.name, rng.choice(attribute.classes))
        if index % 5 == 4:
            found.append(_extended(rng.choice(written), draw))
        else:
            made = twins(draw) if index % 4 == 0 else [kinds[index % len(kinds)](draw)]
            found += [
                LabelledDialogue(dialogue, labels, name, part, _lures_of(name, labels, draw))
                for name, dialogue, labels in made
            ]
    raise AssertionError("itertools.count has an end")


def _lures_of(kind: str, labels: Mapping[str, str | None], draw: TextDraw) -> dict[str, str]:
    """Whom a text of these kinds is about, unless somebody who is read has the class."""
    others = kind in ("somebody else", "topic or quote", "fiction", "twins") and not any(labels.values())
    return {f"user_{draw.attribute}": draw.label} if others else {}


def _extended(text: LabelledDialogue, draw: TextDraw) -> LabelledDialogue:
    """Put a text into a longer dialogue."""
    system = draw.opening() if text.dialogue.system is None else Dialogue()
    dialogue = Dialogue([*system, *text.dialogue])
    return replace(text, dialogue=draw.chat(dialogue, max(draw.turns(), 0 if len(system) else 1)), kind="extended")


def texts_about_others(part: TextPart, count: int, seed: int = 0) -> list[LabelledDialogue]:
    """Make texts that tell the class of somebody else, and of the user nothing.

    A third are statements about people; the others are messages written by hand in which the user says who they are,
    half of them said of somebody else, and half put into a quote.
    """
    rng = random.Random(f"{seed}/{part}/others")
    written = [own for own in written_dialogues(part) if len(own.dialogue) == 1 and _lures(own)]
    singular = [own for own in written if not re.search(r"\b(we|us|our)\b", own.text, re.IGNORECASE)]
    found = []
    for index in range(count):
        attribute = rng.choice(("age", "gender", "education", "education", "socioeconomic", "socioeconomic"))
        draw = TextDraw(rng, part, attribute, rng.choice(ATTRIBUTES[attribute].classes))
        own = rng.choice(written if index % 3 == 2 else singular)
        text = (said_of_another(draw), shifted(own.text, draw), quoted(own.text, draw))[index % 3]
        lures = _lures(own) if index % 3 else {f"user_{attribute}": draw.label}
        dialogue = draw.chat(draw.opening(0.3).add("user", text), rng.choice((0, 0, 0, 0, 1, 2)))
        found.append(LabelledDialogue(dialogue, {}, "others", part, lures))
    return found


def _lures(text: LabelledDialogue) -> dict[str, str]:
    return {name: label for name, label in text.labels.items() if label is not None and name.startswith("user_")}
