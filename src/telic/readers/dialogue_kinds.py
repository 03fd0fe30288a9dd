"""The kinds of generated dialogues: who says what of whom, and what that tells."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from dataclasses import dataclass

from telic.dialogue import Dialogue
from telic.readers.attributes import ATTRIBUTES
from telic.readers.material import TextPart, load_lines, load_table, load_templates, of_part
from telic.readers.statements import FIRST, NAMES, SECOND, Person, fill_age, say, somebody

__all__ = ["KINDS", "TextDraw", "twins"]

Labels = dict[str, str | None]
Made = tuple[str, Dialogue, Labels]
"""Its name, the dialogue, and what it tells: see `LabelledDialogue`."""

_HINTS = {
    "age": r"kid|mom|mum|dad|father|mother|wife|husband|baby|grand|retire|career|office|pregnan|menopaus|parent|bride"
    r"|groom|breastfe|uncle|aunt|man\b|woman|boy|girl|business|degree|PhD|doctora|professor|college|universit|dropp"
    r"|law|thesis|dissertation|graduat|school|job|mortgage|company|wait(er|ress)|prostate|house|salar|income|widow"
    r"|period|menstr|shave|stubble|police|marri",
    "gender": r"husband|wife|bald|beard|widow",
    "education": r"teacher|professor|nurse|engineer|lecturer|doctor|school|grade|year \d|kindergarten|teen|child"
    r"|kid\b|GCSE|SAT|prom\b|business|company|pupil|physicist|student|tooth|mommy|mummy|teddy|Santa|read|law",
    "socioeconomic": r"professor|surgeon|doctor|law|mortgage|business|MBA|private|yacht|company|manager|butler|house",
}
"""Words that hint at an attribute without telling it: there, the attribute is neither trained nor tested."""


@dataclass
class TextDraw:
    """Draws the parts of one dialogue, about one class of an attribute."""

    rng: random.Random
    part: TextPart
    attribute: str
    label: str
    joined: bool = False
    """Whether the last frame has joined a second statement."""

    def of(self, wordings: list[str]) -> str:
        """Draw one of those of the part."""
        return self.rng.choice(of_part(wordings, self.part))

    def line(self, name: str) -> str:
        """Draw a request, a reply, a greeting or a system prompt."""
        return self.of(load_lines(name))

    def other(self) -> TextDraw:
        """Draw a class of another attribute."""
        attribute = self.rng.choice([name for name in ATTRIBUTES if name != self.attribute])
        return TextDraw(self.rng, self.part, attribute, self.rng.choice(ATTRIBUTES[attribute].classes))

    def opposed(self) -> TextDraw:
        """Draw another class of the same attribute."""
        classes = [label for label in ATTRIBUTES[self.attribute].classes if label != self.label]
        return TextDraw(self.rng, self.part, self.attribute, self.rng.choice(classes))

    def statement(self, person: Person) -> str:
        """Say of a person that they are of the class."""
        return say(self.of(load_templates("statements")[self.attribute][self.label]), self.label, person, self.rng)

    def noun(self) -> str:
        """Name somebody of the class."""
        return fill_age(self.of(load_templates("nouns")[self.attribute][self.label]), self.label, self.rng)

    def frame(self, frames: str, person: Person = FIRST, second: TextDraw | None = None) -> str:
        """Fill one of the frames of this name."""
        text = self.of(load_table("frames")[frames])
        if second is None:
            text = text.replace(" and {s2}", "")
        self.joined = "{s2}" in text
        said = self.statement(person) if re.search(r"\{[SsTt]\}", text) else ""
        values = {"R": self.line("requests"), "H": self.line("greetings"), "name": self.rng.choice(NAMES)}
        values |= {"np": self.noun(), "s2": second.statement(person) if second else ""}
        return _capital(_filled(text, _cases(said) | values))

    def about_user(self, second: TextDraw | None = None) -> str:
        """Write a message in which the user tells the class."""
        return self.styled(self.frame("said" if self.rng.random() < 0.7 else "noun", FIRST, second))

    def neutral(self) -> str:
        """Write a message that tells nothing."""
        return self.styled(self.line("requests" if self.rng.random() < 0.75 else "greetings"))

    def opening(self, chance: float = 0.5) -> Dialogue:
        """Begin a dialogue, perhaps with the system prompt of a purpose."""
        return Dialogue().with_system(self.line("systems")) if self.rng.random() < chance else Dialogue()

    def chat(self, dialogue: Dialogue, turns: int) -> Dialogue:
        """Add turns that tell nothing about either side. The user has the last one."""
        for _ in range(turns):
            dialogue = dialogue.add("assistant", self.line("replies")).add("user", self.neutral())
        return dialogue

    def turns(self) -> int:
        """Draw for how many turns a dialogue goes on; often for none."""
        return self.rng.choice((0, 0, 0, 0, 1, 1, 2, 3, 5))

    def styled(self, text: str) -> str:
        """Write as people type: often as it is, else in lower case, without apostrophes, with a typo, or cheerfully."""
        style = self.rng.random()
        if style < 0.45:
            text = re.sub(r"\bI am\b", "I'm", text) if self.rng.random() < 0.5 else text
        elif style < 0.65:
            text = re.sub(r"\bi am\b", self.rng.choice(("i am", "im", "i'm")), text.lower()).rstrip(".")
        elif style < 0.75:
            text = text.replace("I am", "I'm").replace("'", "").lower()
        elif style < 0.85 and len(text) > 12:
            at = self.rng.randrange(4, len(text) - 2)
            if text[at : at + 2].isalpha():
                text = text[:at] + text[at + 1] + text[at] + text[at + 2 :]
        elif style < 0.92:
            text = text.rstrip(".!") + self.rng.choice(("!!", "!", " :)", "...", " lol"))
        return text


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _cases(said: str) -> dict[str, str]:
    """Fill the markers of a statement, at the beginning and within a sentence."""
    return {"s": said, "t": said, "S": _capital(said), "T": _capital(said)}


def _filled(text: str, values: dict[str, str]) -> str:
    for marker, value in values.items():
        text = text.replace(f"{{{marker}}}", value)
    return text


def _labels(subject: str, *about: tuple[TextDraw, str]) -> Labels:
    """Label what is said, and leave out what is only hinted at."""
    labels: Labels = {}
    for draw, text in about:
        for attribute, pattern in _HINTS.items():
            if attribute != draw.attribute and re.search(pattern, text):
                labels[f"{subject}_{attribute}"] = None
    return labels | {f"{subject}_{draw.attribute}": draw.label for draw, _ in about}


def _said(draw: TextDraw) -> Made:
    second = draw.other()
    text = draw.about_user(second)
    about = [(draw, text), *([(second, text)] if draw.joined else [])]
    return "said", draw.opening().add("user", text), _labels("user", *about)


def _said_earlier(draw: TextDraw) -> Made:
    text, dialogue = draw.about_user(), draw.opening()
    if draw.rng.random() < 0.4:
        dialogue = dialogue.add("user", draw.neutral()).add("assistant", draw.line("replies"))
    return "said earlier", draw.chat(dialogue.add("user", text), 1 + draw.turns()), _labels("user", (draw, text))


def _asked(draw: TextDraw) -> Made:
    """The assistant asks, and the user answers; or refuses to."""
    question = draw.of(load_table("frames")["questions"][draw.attribute])
    dialogue = draw.opening().add("user", draw.neutral())
    dialogue = dialogue.add("assistant", draw.rng.choice(("", "Sure. ", "First, a question. ")) + question)
    if draw.rng.random() < 0.25:
        answer = draw.frame("refusal") if draw.rng.random() < 0.7 else draw.neutral()
        return "nothing said", draw.chat(dialogue.add("user", answer), draw.rng.choice((0, 0, 1))), {}
    answer = draw.styled(draw.frame("answer"))
    if draw.attribute == "age" and draw.rng.random() < 0.5:
        answer = fill_age(draw.rng.choice(("{N}", "{W}", "{N}.", "I'm {N}", "i just turned {N}")), draw.label, draw.rng)
    dialogue = draw.chat(dialogue.add("user", answer), draw.rng.choice((0, 0, 1, 2)))
    return "asked", dialogue, _labels("user", (draw, answer))


def _corrected(draw: TextDraw) -> Made:
    """The user takes back what they said."""
    dialogue = draw.opening().add("user", draw.opposed().about_user()).add("assistant", draw.line("replies"))
    text = draw.frame("correction")
    dialogue = draw.chat(dialogue.add("user", text), draw.rng.choice((0, 0, 1, 2)))
    return "corrected", dialogue, _labels("user", (draw, text))


def _somebody(draw: TextDraw) -> Made:
    person = somebody(draw.rng)
    text = draw.styled(draw.frame("somebody", person))
    dialogue = draw.chat(draw.opening().add("user", text), draw.turns())
    return "somebody else", dialogue, {"user_age": None} if person.kin else {}


def _somebody_and_user(draw: TextDraw) -> Made:
    """The user says what they are, and that somebody else is something else."""
    sentences = [_capital(draw.statement(FIRST)), _capital(draw.opposed().statement(somebody(draw.rng)))]
    draw.rng.shuffle(sentences)
    text = draw.styled(f"{'. '.join(sentences)}. {draw.line('requests')}")
    return "somebody and user", draw.opening().add("user", text), _labels("user", (draw, text))


def _topic(draw: TextDraw) -> Made:
    text = draw.frame("quote" if draw.rng.random() < 0.4 else "topic")
    labels: Labels = {"user_gender": None} if "dating" in text else {}
    if "How would" in text:  # is it to answer as one?
        labels |= {f"self_{name}": None for name in ATTRIBUTES}
    dialogue = draw.chat(draw.opening().add("user", draw.styled(text)), draw.turns())
    return "topic or quote", dialogue, labels


def _fiction(draw: TextDraw) -> Made:
    """A figure of a story, a play or a game has the attribute."""
    text = draw.styled(draw.frame("fiction"))
    # It is open whether the model is to speak as somebody.
    return "fiction", draw.chat(draw.opening().add("user", text), draw.turns()), {}


def _nothing(draw: TextDraw) -> Made:
    dialogue = draw.opening().add("user", draw.neutral())
    if draw.rng.random() < 0.15:
        dialogue = Dialogue().add("user", f"My name is {draw.rng.choice(NAMES)}. {draw.line('requests')}")
    return "nothing said", draw.chat(dialogue, draw.turns()), {}


def _small_talk(draw: TextDraw) -> Made:
    """The assistant begins, and the user gives short answers that tell nothing; perhaps they say what they are, too."""
    dialogue = (
        draw.opening(0.2).add("assistant", draw.line("openers")).add("user", draw.styled(draw.line("small_talk")))
    )
    labels = Labels()
    for _ in range(draw.rng.choice((0, 0, 1, 1, 2, 4))):
        said = draw.styled(draw.line("small_talk"))
        dialogue = dialogue.add("assistant", draw.line(draw.rng.choice(("replies", "openers")))).add("user", said)
    if draw.rng.random() < 0.3:
        text = draw.about_user()
        dialogue = dialogue.add("assistant", draw.line("replies")).add("user", text)
        labels = _labels("user", (draw, text))
    return "small talk", dialogue, labels


def _persona(draw: TextDraw) -> Made:
    second = draw.other()
    system = draw.frame("persona", SECOND, second)
    about = [(draw, system), *([(second, system)] if draw.joined else [])]
    dialogue = Dialogue().with_system(system).add("user", draw.neutral())
    return "persona", draw.chat(dialogue, draw.turns()), _labels("self", *about)


def _persona_and_user(draw: TextDraw) -> Made:
    user = draw.opposed() if draw.rng.random() < 0.7 else draw.other()
    system, text = draw.frame("persona", SECOND), user.about_user()
    dialogue = draw.chat(Dialogue().with_system(system).add("user", text), draw.rng.choice((0, 0, 0, 1, 2)))
    return "persona and user", dialogue, _labels("self", (draw, system)) | _labels("user", (user, text))


def _told(draw: TextDraw) -> Made:
    """The user says what the assistant is."""
    text = draw.frame("told", SECOND)
    return "assistant told", draw.opening(0.3).add("user", draw.styled(text)), _labels("self", (draw, text))


def _assistant_says(draw: TextDraw) -> Made:
    """The assistant says what it is, or that it is nothing; perhaps the user has said what they are."""
    user, labels = draw.opposed(), Labels()
    first = draw.of(load_table("frames")["questions"][draw.attribute])
    if draw.rng.random() < 0.5:
        own = user.statement(FIRST)
        first, labels = f"{_capital(own)}. {first}", _labels("user", (user, own))
    dialogue = draw.opening(0.3).add("user", first)
    if draw.rng.random() < 0.35:
        dialogue = dialogue.add("assistant", draw.frame("no_person"))
    else:
        own = draw.statement(FIRST)
        dialogue, labels = dialogue.add("assistant", f"{_capital(own)}."), labels | _labels("self", (draw, own))
    return "assistant says", dialogue.add("user", draw.neutral()), labels


def twins(draw: TextDraw) -> list[Made]:
    """Say the same in the same words of the user, of the assistant, of somebody else, and in a quote."""
    wordings = load_templates("statements")[draw.attribute][draw.label]
    template = fill_age(draw.of(wordings), draw.label, draw.rng)
    frames = [frame for frame in load_table("frames")["said"] if "{s2}" not in frame and "{name}" not in frame]
    frame = _filled(draw.of(frames), {"R": draw.line("requests"), "H": draw.line("greetings")})
    opening, other = draw.opening(0.3), somebody(draw.rng)

    def made(person: Person, form: str = "{}") -> Made:
        said = form.format(say(template, draw.label, person, draw.rng))
        subject = "user" if person is FIRST else "self"
        of_other: Labels = {"user_age": None} if person.kin else {}
        labels = of_other if person.third or form != "{}" else _labels(subject, (draw, said))
        return "twins", opening.add("user", draw.styled(_capital(_filled(frame, _cases(said))))), labels

    quote = draw.rng.choice(('a colleague said, "{}"', 'in the film he whispers: "{}"', 'I read this line: "{}"'))
    return [made(FIRST), made(SECOND), made(other), made(FIRST, quote)]


KINDS: tuple[tuple[Callable[[TextDraw], Made], int], ...] = (
    (_said, 8),
    (_said_earlier, 3),
    (_asked, 2),
    (_corrected, 1),
    (_somebody, 4),
    (_somebody_and_user, 1),
    (_topic, 3),
    (_fiction, 3),
    (_nothing, 4),
    (_small_talk, 4),
    (_persona, 4),
    (_persona_and_user, 4),
    (_told, 2),
    (_assistant_says, 2),
)
"""Makes dialogues of a kind, and how often it does."""
