"""Texts to train readers on: dialogues in which the user or the assistant has an attribute, and many in which neither.

Dialogues are made of parts: statements and nouns (`statements.py`), requests, replies, system prompts, and the frames
that join them. Each part belongs to training or to validation, so that a reader is chosen and calibrated on wordings
that it was not trained on. Messages written by hand complete both.
"""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Literal

from telic.dialogue import Dialogue
from telic.readers.attributes import ATTRIBUTES
from telic.readers.statements import FIRST, NAMES, SECOND, Person, fill_age, say, somebody, statement_templates

__all__ = ["LabelledDialogue", "Part", "generated_dialogues", "written_dialogues"]

Part = Literal["train", "validation"]
Labels = dict[str, str | None]


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
    part: Part = "train"

    @property
    def text(self) -> str:
        """All messages, joined."""
        return "\n".join(message.content for message in self.dialogue)


_HINTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (r"kid|mom|mum|dad|father|mother|wife|husband|baby|grand|retire|career|office|pregnan|menopaus|parent|bride|groom"
     r"|breastfe|uncle|aunt|man\b|woman|boy|girl|business|degree|PhD|doctora|professor|college|universit|dropp|law"
     r"|thesis|dissertation|graduat|school|job|mortgage|company|waiter|waitress|prostate|house|salar|income", "age", ()),
    (r"husband|wife|bald|beard|widow", "gender", ()),
    (r"teacher|professor|nurse|engineer|lecturer|doctor|school|grade|year \d|kindergarten|teen|child|kid\b|GCSE|SAT"
     r"|prom\b|business|company|pupil|physicist|student|tooth|mommy|mummy|teddy|Santa|read|law", "education", ("education",)),
    (r"professor|surgeon|doctor|law|mortgage|business|MBA|private|yacht|company|manager|butler|house", "socioeconomic", ()),
)  # fmt: skip
"""What hints at an attribute without telling it: there, the attribute is neither trained nor tested."""

_QUESTIONS = {
    "age": ("How old are you?", "May I ask your age?", "What's your age?"),
    "gender": ("Are you a man or a woman?", "May I ask your gender?", "What is your gender?"),
    "education": ("What education do you have?", "What's your highest degree?", "How far did you get in school?"),
    "socioeconomic": ("How is your financial situation?", "What can you afford?", "How well off are you?"),
}
_FIRST_FRAMES = (
    "{S}. {R}", "{R} {S}.", "{H} {S}. {R}", "{S} and I have a question: {R}", "{S}, by the way. {R}", "{S}.", "{S}!",
    "As you should know, {s}. {R}", "{S}", "Just so you know, {s}. {R}", "{H} {S}.", "({s}) {R}", "{R} I ask because {s}.",
    "A bit about me: {s}. {R}", "I'm {name} and {s}. {R}", "{R} For context, {s}.", "{S} and {s2}. {R}", "{R} {S}, if that matters.",
    "{R} Keep in mind that {s}.", "Well, {s}. So: {R}", "{S}. That said, {R}", "Since {s}, I'd like to know this. {R}",
    "{H} Let me introduce myself: {s}.", "{R} ({s})",
)  # fmt: skip
_NOUN_FRAMES = (
    "As {np}, I'd like to know: {R}", "I'm {np}. {R}", "{R} I'm {np}.", "Speaking as {np}: {R}", "{H} I'm {np}.", "i am {np} btw. {R}",
    "I happen to be {np}. {R}", "Being {np}, I wonder: {R}", "Hello from {np}! {R}",
)  # fmt: skip
_OTHER_FRAMES = (
    "{T}. {R}", "{R} {T}.", "{H} {T}. What would help?", "{T} and asked me this: {R}", "I was told that {t}. {R}", "{T}. Any ideas?",
    "You see, {t}. {R}", "{T}. What should I say?", "Yesterday I learned that {t}. {R}", "A question for somebody else: {t}. {R}",
)  # fmt: skip
_TOPIC_FRAMES = (
    "Write a short story about {np}.", "What does {np} usually eat for breakfast?", "I met {np} yesterday. {R}", "I'm shopping for {np}. Ideas?",
    "{R} It's for {np}.", "How does one talk to {np}?", "Describe {np} in one sentence.", "I'm dating {np}. {R}", "My story needs {np}. Give the character a name.",
    "There is {np} at the door. What do I do?", "How would {np} explain this? {R}", "Talk to me as if I were {np}.", "I work with {np}. {R}",
    "I'm not {np}. {R}", "Is it hard to be {np}?",
)  # fmt: skip
_QUOTE_FRAMES = (
    'Translate into French: "{S}."', 'Fix the grammar: "{S}"', 'In the book, she says: "{S}." What follows?', 'Read this message: "{S}." What should I reply?',
    'The song goes "{S}". Who sings it?', 'A customer wrote: "{S}. {R}" How do we answer?', 'Write a dialogue that starts with "{S}!"', 'What does the sentence "{S}" mean?',
)  # fmt: skip
_PERSONA_FRAMES = (
    "{S}.", "{S}. Stay in character.", "You are {name}. {S}.", "You are {name}, {np}.", "You are {np}.", "Play {name}, {np}. Never break character.",
    "Act as {np}.", "{S}. Answer like that.", "Role: {np}. Keep answers short.", "You are {np} called {name} and sell tickets.", "{S} and {s2}. Chat with the user.",
    "From now on you speak as {np}.", "Your character: {np} by the name of {name}.",
)  # fmt: skip
_TOLD_FRAMES = ("{S}, remember? {R}", "I think {s}.", "{S}. {R}", "Pretend that {s}. {R}", "Let's say {s}. {R}", "Please act as {np}. {R}", "{R} Answer as {np}.")


def _part_of(name: str) -> Part:
    """Assign a wording to a part: a fourth is for validation, at least when there are many."""
    return "validation" if hashlib.sha256(name.encode()).digest()[0] < 64 else "train"


def _own(every: Sequence[str], part: Part) -> list[str]:
    """List the wordings of a part; if it has none, the first is for validation."""
    found = [one for one in every if _part_of(one) == part]
    return found or list(every[:1] if part == "validation" else every[1:])


@cache
def _lines(name: str) -> list[str]:
    text = (resources.files("telic.readers") / "data" / "training" / f"{name}.txt").read_text(encoding="utf-8")
    return re.split(r"\n(?!\d\.)", text.strip())  # a numbered list continues the line before


def written_dialogues(part: Part) -> list[LabelledDialogue]:
    """Load the messages that were written by hand."""
    lines = [line for line in _lines("messages" if part == "train" else "validation") if not line.startswith("#")]
    return [_parsed(line, part) for line in lines]


def _parsed(line: str, part: Part) -> LabelledDialogue:
    head, text = line.split("|", 1)
    dialogue, labels = Dialogue(), {}
    # Labels may also follow the text.
    while match := re.search(r", ((?:self\.)?(?:age|gender|education|socioeconomic)=[^,¶|]+)$", text):
        text, head = text[: match.start()], f"{head},{match[1]}"
    for entry in filter(None, map(str.strip, head.split(","))):
        name, label = entry.split("=")
        reader = name.replace("self.", "self_") if name.startswith("self.") else f"user_{name}"
        labels[reader] = None if label == "?" else label
    turns = [turn.strip() for turn in text.split("¶")]
    if turns[0].startswith("S: "):
        dialogue = dialogue.with_system(turns.pop(0)[3:])
    for index, turn in enumerate(turns):
        dialogue = dialogue.add("user" if index % 2 == 0 else "assistant", turn)
    return LabelledDialogue(dialogue, labels, "written", part)


def generated_dialogues(part: Part, count: int, seed: int = 0) -> list[LabelledDialogue]:
    """Generate dialogues of all kinds.

    Args:
        part: whose wordings to use.
        count: how many.
        seed: of every draw.
    """
    rng = random.Random(f"{seed}/{part}")
    makers = [maker for maker, times in _MAKERS for _ in range(times)]
    cells = [(attribute.name, label) for attribute in ATTRIBUTES.values() for label in attribute.classes]
    shares = {cell: 12 / len(ATTRIBUTES[cell[0]].classes) for cell in cells}
    weights = [shares[cell] for cell in cells]
    found = []
    for index in range(count):
        draw = _Draw(rng, part, *rng.choices(cells, weights)[0])
        kind, dialogue, labels = makers[index % len(makers)](draw)
        found.append(LabelledDialogue(dialogue, labels, kind, part))
    return found


@dataclass
class _Draw:
    """Draws the parts of one dialogue, about one class of an attribute."""

    rng: random.Random
    part: Part
    attribute: str
    label: str

    def line(self, name: str) -> str:
        return self.rng.choice(_own(_lines(name), self.part))

    def other(self) -> _Draw:
        """Draw another class: mostly of another attribute."""
        attribute = self.rng.choice([a for a in ATTRIBUTES if a != self.attribute])
        return _Draw(self.rng, self.part, attribute, self.rng.choice(ATTRIBUTES[attribute].classes))

    def opposed(self) -> _Draw:
        """Draw another class of the same attribute."""
        classes = [c for c in ATTRIBUTES[self.attribute].classes if c != self.label]
        return _Draw(self.rng, self.part, self.attribute, self.rng.choice(classes))

    def statement(self, person: Person) -> str:
        every = statement_templates()[self.attribute][self.label]
        # Those of a class are preferred to those for every class, since there would be little else of age.
        return say(self.rng.choice(_own(every, self.part)), self.label, person, self.rng)

    def noun(self) -> str:
        return fill_age(self.rng.choice(_own(statement_templates("nouns")[self.attribute][self.label], self.part)), self.label, self.rng)

    def frame(self, frames: Sequence[str], person: Person = FIRST, second: _Draw | None = None) -> str:
        """Fill a frame in a style: {S}, {s} a statement, {np} a noun, {R} a request, {H} a greeting."""
        text = self.rng.choice(_own(frames, self.part))
        if "{s2}" in text and second is None:
            text = text.replace(" and {s2}", "")
        said = self.statement(person) if re.search(r"\{[SsTt]\}", text) else ""
        request = self.line("requests")
        values = {
            "S": said[:1].upper() + said[1:], "s": said, "T": said[:1].upper() + said[1:], "t": said,
            "s2": second.statement(person) if second and "{s2}" in text else "", "np": self.noun() if "{np}" in text else "",
            "R": request, "H": self.line("greetings"), "name": self.rng.choice(NAMES),
        }  # fmt: skip
        self.used_second = "{s2}" in text
        for marker, value in values.items():
            text = text.replace(f"{{{marker}}}", value)
        return text[:1].upper() + text[1:]

    used_second: bool = False

    def about_user(self, second: _Draw | None = None) -> str:
        frames = _FIRST_FRAMES if self.rng.random() < 0.7 else _NOUN_FRAMES
        return _styled(self.frame(frames, FIRST, second), self.rng)

    def neutral(self) -> str:
        text = self.line("requests" if self.rng.random() < 0.75 else "greetings")
        return _styled(text, self.rng)

    def opening(self, chance: float = 0.5) -> Dialogue:
        """Begin a dialogue, perhaps with the system prompt of a purpose."""
        return Dialogue().with_system(self.line("systems")) if self.rng.random() < chance else Dialogue()

    def chat(self, dialogue: Dialogue, turns: int) -> Dialogue:
        """Go on for some turns in which nobody tells anything; the last is the user's."""
        for _ in range(turns):
            dialogue = dialogue.add("assistant", self.line("replies")).add("user", self.neutral())
        return dialogue

    def turns(self) -> int:
        return self.rng.choice((0, 0, 0, 0, 1, 1, 2, 3, 5))


Made = tuple[str, Dialogue, Labels]


def _labels(subject: str, *about: tuple[_Draw, str]) -> Labels:
    """Label what is said, and leave out what is only hinted at."""
    labels: Labels = {}
    for draw, text in about:
        for pattern, attribute, _ in _HINTS:
            if attribute != draw.attribute and re.search(pattern, text):
                labels[f"{subject}_{attribute}"] = None
    for draw, _ in about:
        labels[f"{subject}_{draw.attribute}"] = draw.label
    return labels


def _said(draw: _Draw) -> Made:
    second = draw.other()
    text = draw.about_user(second)
    about = [(draw, text)] + ([(second, text)] if draw.used_second else [])
    return "said", draw.opening().add("user", text), _labels("user", *about)


def _said_earlier(draw: _Draw) -> Made:
    text = draw.about_user()
    dialogue = draw.opening()
    if draw.rng.random() < 0.4:
        dialogue = dialogue.add("user", draw.neutral()).add("assistant", draw.line("replies"))
    return "said earlier", draw.chat(dialogue.add("user", text), 1 + draw.turns()), _labels("user", (draw, text))


def _asked(draw: _Draw) -> Made:
    """The assistant asks, and the user answers; or refuses to."""
    dialogue = draw.opening().add("user", draw.neutral())
    question = draw.rng.choice(_own(_QUESTIONS[draw.attribute], draw.part))
    dialogue = dialogue.add("assistant", f"{draw.rng.choice(('', 'Sure. ', 'First, a question. '))}{question}")
    if draw.rng.random() < 0.25:
        answer = draw.rng.choice(("I'd rather not say.", "Why do you ask?", "That's private.", "Guess!", draw.neutral()))
        return "nothing said", draw.chat(dialogue.add("user", answer), draw.rng.choice((0, 0, 1))), {}
    answer = _styled(draw.rng.choice((draw.statement(FIRST), draw.noun(), f"I'm {draw.noun()}")), draw.rng)
    if draw.attribute == "age" and draw.rng.random() < 0.5:
        answer = fill_age(draw.rng.choice(("{N}", "{W}", "{N}.", "I'm {N}", "i just turned {N}")), draw.label, draw.rng)
    dialogue = draw.chat(dialogue.add("user", answer), draw.rng.choice((0, 0, 1, 2)))
    return "asked", dialogue, _labels("user", (draw, answer))


def _corrected(draw: _Draw) -> Made:
    """The user takes back what they said."""
    before, now = draw.opposed(), draw.statement(FIRST)
    dialogue = draw.opening().add("user", before.about_user()).add("assistant", draw.line("replies"))
    sorry = ("Sorry, that was wrong: {s}.", "Oops, I meant that {s}.", "I lied. The truth: {s}.", "Actually, {s}.", "No, wait. {s}", "Correction: {s}.")
    text = draw.rng.choice(_own(sorry, draw.part)).replace("{s}", now)
    return "corrected", draw.chat(dialogue.add("user", text), draw.rng.choice((0, 0, 1, 2))), _labels("user", (draw, text))


def _other(draw: _Draw) -> Made:
    person = somebody(draw.rng)
    text = _styled(draw.frame(_OTHER_FRAMES, person), draw.rng)
    labels: Labels = {"user_age": None} if person.kin else {}
    dialogue = draw.chat(draw.opening().add("user", text), draw.turns())
    return "somebody else", dialogue, labels


def _other_and_user(draw: _Draw) -> Made:
    """The user says what they are, and somebody else is something else."""
    person, opposed = somebody(draw.rng), draw.opposed()
    own, other = draw.statement(FIRST), opposed.statement(person)
    parts = [own, other] if draw.rng.random() < 0.5 else [other, own]
    text = _styled(". ".join(part[:1].upper() + part[1:] for part in parts) + f". {draw.line('requests')}", draw.rng)
    return "said", draw.opening().add("user", text), _labels("user", (draw, text))


def _topic(draw: _Draw) -> Made:
    text = draw.frame(_QUOTE_FRAMES if draw.rng.random() < 0.4 else _TOPIC_FRAMES)
    dialogue = draw.chat(draw.opening().add("user", _styled(text, draw.rng)), draw.turns())
    labels: Labels = {"user_gender": None} if "dating" in text else {}
    return "topic or quote", dialogue, {**labels, "self_age": None, "self_gender": None} if "How would" in text else labels


def _nothing(draw: _Draw) -> Made:
    dialogue = draw.opening().add("user", draw.neutral())
    if draw.rng.random() < 0.15:
        dialogue = Dialogue().add("user", f"My name is {draw.rng.choice(NAMES)}. {draw.line('requests')}")
    return "nothing said", draw.chat(dialogue, draw.turns()), {}


def _persona(draw: _Draw) -> Made:
    second = draw.other()
    system = draw.frame(_PERSONA_FRAMES, SECOND, second)
    about = [(draw, system)] + ([(second, system)] if draw.used_second else [])
    dialogue = Dialogue().with_system(system).add("user", draw.neutral())
    return "persona", draw.chat(dialogue, draw.turns()), _labels("self", *about)


def _persona_and_user(draw: _Draw) -> Made:
    user = draw.opposed() if draw.rng.random() < 0.7 else draw.other()
    system, text = draw.frame(_PERSONA_FRAMES, SECOND), user.about_user()
    labels = {**_labels("self", (draw, system)), **_labels("user", (user, text))}
    return "both", draw.chat(Dialogue().with_system(system).add("user", text), draw.rng.choice((0, 0, 0, 1, 2))), labels


def _told(draw: _Draw) -> Made:
    """The user says what the assistant is."""
    text = draw.frame(_TOLD_FRAMES, SECOND)
    return "assistant told", draw.opening(0.3).add("user", _styled(text, draw.rng)), _labels("self", (draw, text))


def _assistant_says(draw: _Draw) -> Made:
    """The assistant says what it is; perhaps the user has said what they are."""
    user = draw.opposed()
    dialogue, labels = draw.opening(0.3), {}
    question = draw.rng.choice(_own(_QUESTIONS[draw.attribute], draw.part))
    first = question
    if draw.rng.random() < 0.5:
        own = user.statement(FIRST)
        first, labels = f"{own[:1].upper()}{own[1:]}. {question}", _labels("user", (user, own))
    dialogue = dialogue.add("user", first)
    if draw.rng.random() < 0.35:
        refusal = ("I'm an AI, so I have no such thing.", "As a language model, I have neither age nor gender nor money.", "I'm a computer program.")
        dialogue = dialogue.add("assistant", draw.rng.choice(_own(refusal, draw.part)))
    else:
        own = draw.statement(FIRST)
        dialogue = dialogue.add("assistant", f"{own[:1].upper()}{own[1:]}.")
        labels |= _labels("self", (draw, own))
    return "assistant says", dialogue.add("user", draw.neutral()), labels


_MAKERS: tuple[tuple[Callable[[_Draw], Made], int], ...] = (
    (_said, 8), (_said_earlier, 3), (_asked, 2), (_corrected, 1), (_other, 4), (_other_and_user, 1), (_topic, 3), (_nothing, 4),
    (_persona, 4), (_persona_and_user, 4), (_told, 1), (_assistant_says, 2),
)  # fmt: skip
"""How often each kind of dialogue is made."""


def _styled(text: str, rng: random.Random) -> str:
    """Write a text as people type: often as it is, else in lower case, without apostrophes, with a typo, or formally."""
    style = rng.random()
    if style < 0.45:
        text = re.sub(r"\bI am\b", "I'm", text) if rng.random() < 0.5 else text
    elif style < 0.65:
        text = re.sub(r"\bi am\b", rng.choice(("i am", "im", "i'm")), text.lower()).rstrip(".")
    elif style < 0.75:
        text = text.replace("I am", "I'm").replace("'", "").lower()
    elif style < 0.85 and len(text) > 12:
        at = rng.randrange(4, len(text) - 2)
        if text[at : at + 2].isalpha():
            text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
    elif style < 0.92:
        text = text.rstrip(".!") + rng.choice(("!!", "!", " :)", "...", " lol"))
    return text
