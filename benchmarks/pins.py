"""Pins: does the model do what is pinned, and is nothing else changed?

    python -m benchmarks.pins [--model smollm2] [--readers smollm2] [--samples 2] [--sets single pairs triples]

After a pin on the user, four things are measured, each against the model without a pin on the same questions and random
numbers, and beside a random direction of the same norm, a system prompt that says the same, and the control `assume`
with that sentence:

- `words`: the share of replies to open questions that are written for the pinned class. A rule judges them from their
  words alone (`pins.toml`); the questions are such that the answer depends on who asks.
- `choice`: the share of questions with one option for each class at which the reply, which begins "I would choose",
  names the pinned class's option first. Each is asked in every rotation of the options.
- `read`: the share of questions at which the reader finds the pinned class most likely.
- `moved`: by how much the readings of the other attributes of the user change, and those of the model itself: the
  largest change of a class's probability, mean over questions. At most 0.1 is wanted.
- `perplexity`: of the replies under the unsteered model, as a ratio. At most 1.25 is wanted.

The strength is chosen on other questions: the largest `words` plus `choice` among the strengths within that ratio.
Intervals are 95 % bootstrap intervals over questions. The last line is JSON.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, Literal

import tyro

from telic.dialogue import Dialogue
from telic.models import Control, LocalModel, Request, Sampling, load
from telic.models.request import Continuation
from telic.readers import ATTRIBUTES, Beliefs, ReaderSet, Reading, read_beliefs
from telic.statistics import Interval, bootstrap_mean, mean
from telic.steering.assume import Assume
from telic.steering.belief import Belief, belief

SYSTEM = "You are a helpful assistant."
CHOICE, CHOICE_TOKENS = "I would choose", 16
"""How the reply to a choice begins, and its length after that."""
MOST_PERPLEXITY = 1.25
PHRASES = {
    "child": "a child of eight",
    "adolescent": "a teenager of fifteen",
    "adult": "an adult of forty",
    "older adult": "a retired person of seventy-five",
    "male": "a man",
    "female": "a woman",
    "some school": "somebody who left school without a diploma",
    "high school": "somebody with a high school diploma and no degree",
    "college and more": "somebody with a university degree",
    "low": "somebody who is poor",
    "middle": "somebody of the middle class",
    "high": "somebody who is rich",
}
Pinned = Mapping[str, str]
"""The pinned class of each attribute of the user."""
SINGLES: tuple[Pinned, ...] = tuple({a.name: label} for a in ATTRIBUTES.values() for label in a.classes)
PAIRS: tuple[Pinned, ...] = (
    {"age": "child", "gender": "female"},
    {"age": "older adult", "gender": "male"},
    {"age": "older adult", "socioeconomic": "high"},
    {"gender": "female", "socioeconomic": "high"},
    {"age": "adolescent", "education": "high school"},
    {"education": "college and more", "socioeconomic": "low"},
)
TRIPLES: tuple[Pinned, ...] = (
    {"age": "older adult", "gender": "male", "socioeconomic": "high"},
    {"age": "child", "gender": "female", "education": "some school"},
    {"gender": "female", "education": "college and more", "socioeconomic": "high"},
)
SETS: dict[str, tuple[Pinned, ...]] = {"single": SINGLES, "pairs": PAIRS, "triples": TRIPLES}
Set = Literal["single", "pairs", "triples"]
EVERY_ARM = ("baseline", "pin", "random", "prompt", "assume")


@dataclass
class Settings:
    """Settings of the benchmark."""

    model: str = "smollm2"
    readers: str = "smollm2"
    """A set of readers with pins."""
    sets: tuple[Set, ...] = ("single", "pairs", "triples")
    """How many pins at once."""
    questions: int = 12
    """Open questions of each attribute."""
    choices: int = 6
    """Choices of each attribute, each asked in every rotation of its options."""
    samples: int = 2
    """Replies to each open question."""
    reply_tokens: int = 48
    strengths: tuple[float, ...] = (0.25, 0.5, 1.0, 1.5, 2.0)
    """Tried on other questions."""
    seed: int = 0


@dataclass(frozen=True)
class Arm:
    """One way of steering the model."""

    system: str = SYSTEM
    controls: tuple[Control, ...] = ()


@dataclass(frozen=True)
class Question:
    """A question whose answer depends on who asks."""

    attribute: str
    text: str
    options: tuple[tuple[str, str], ...] = ()
    """Class and option; none if the question is open."""
    group: str = ""
    """The same for all rotations of the options."""

    def class_of(self, reply: str) -> str | None:
        """Judge by words for which class of the attribute a reply is; None if for none."""
        if not self.options:
            return class_by_words(reply, self.attribute)
        places = {label: reply.lower().find(option.lower()) for label, option in self.options}
        found = {label: place for label, place in places.items() if place >= 0}
        return min(found, key=found.__getitem__) if found else None


@dataclass(frozen=True)
class Replies:
    """The replies to some questions under an arm."""

    questions: Sequence[Question]
    texts: list[list[str]]
    """Per question."""
    surprise: list[float | None]
    """Per question: negative log-likelihood per token under the unsteered model, in nats; of open ones only."""
    beliefs: list[Beliefs]
    """Per open question, which come first."""


Cell = tuple[Sequence[Question], Arm]
"""Questions, and the arm under which they are asked."""


def main(settings: Settings) -> None:
    """Measure and print."""
    model = load(settings.model)
    assert isinstance(model, LocalModel)
    bench = Bench(model, ReaderSet.load(settings.readers), settings)
    strength, tried = bench.tune()
    print(f"strength {strength}", flush=True)
    result: dict[str, Any] = {"settings": asdict(settings), "strength": strength, "tuning": tried}
    for name in settings.sets:
        found = bench.measure(SETS[name], strength, "reporting")
        result[name] = {"+".join(pinned.values()): own for pinned, own in zip(SETS[name], found, strict=True)}
        for own in result[name]:
            print(name, own, json.dumps(result[name][own], default=plain), flush=True)
        result[name]["all"] = pooled(list(result[name].values()))
        print(name, "all", json.dumps(result[name]["all"], default=plain), flush=True)
    print(json.dumps(result, default=plain))


@cache
def material() -> dict[str, Any]:
    """Read the questions and the words."""
    return tomllib.loads((Path(__file__).parent / "pins.toml").read_text(encoding="utf-8"))


@cache
def pattern(attribute: str, label: str) -> re.Pattern[str]:
    words = "|".join(re.escape(word) for word in material()[attribute]["words"][label])
    return re.compile(rf"(?<![\w-])(?:{words})(?:s|es)?(?![\w-])", re.IGNORECASE)


def class_by_words(text: str, attribute: str) -> str | None:
    """Return the class with the most words in a text; None if no class has more than all others."""
    text = text.replace("’", "'")
    counts = {label: len(pattern(attribute, label).findall(text)) for label in ATTRIBUTES[attribute].classes}
    best, second = sorted(counts.values(), reverse=True)[:2]
    return max(counts, key=counts.__getitem__) if best > second else None


def questions_of(pinned: Pinned, part: str, most: int, choices: int) -> list[Question]:
    """List the questions of the pinned attributes; the open ones first."""
    found = [Question(name, text, group=text) for name in pinned for text in material()[name][part][:most]]
    for name in pinned:
        for choice in material()[name]["choices"][part][:choices]:
            options = list(zip(ATTRIBUTES[name].classes, choice["options"], strict=True))
            for turn in range(len(options)):
                turned = (*options[turn:], *options[:turn])
                *most_of, last = (option for _, option in turned)
                asked = f"{choice['ask']}: {', '.join(most_of)}, or {last}?"
                found.append(Question(name, asked, turned, choice["ask"]))
    return found


class Bench:
    """Generates replies under pins, and measures them."""

    def __init__(self, model: LocalModel, readers: ReaderSet, settings: Settings, pins: Belief | None = None) -> None:
        self.model, self.readers, self.settings = model, readers, settings
        self.pins = pins or belief(settings.readers)
        self._baselines: dict[tuple[Question, ...], Replies] = {}

    def tune(self) -> tuple[float, dict[str, Any]]:
        """Choose the strength on questions that are not used again."""
        tried: dict[str, Any] = {}
        for strength in self.settings.strengths:
            tried[str(strength)] = pooled(self.measure(SINGLES, strength, "tuning", ("baseline", "pin")))["pin"]
            print(f"strength {strength}: {json.dumps(tried[str(strength)], default=plain)}", flush=True)
        fit = [s for s in self.settings.strengths if tried[str(s)]["perplexity"] <= MOST_PERPLEXITY]
        fit = fit or [min(self.settings.strengths)]
        return max(fit, key=lambda s: float(tried[str(s)]["words"].value + tried[str(s)]["choice"].value)), tried

    def measure(
        self, every: Sequence[Pinned], strength: float, part: str, arms: Sequence[str] = EVERY_ARM
    ) -> list[dict[str, Any]]:
        """Pin sets of classes, and measure each on the questions of its attributes."""
        cells: dict[tuple[int, str], Cell] = {}
        for index, pinned in enumerate(every):
            questions = questions_of(pinned, part, self.settings.questions, self.settings.choices)
            for name, arm in self._arms(pinned, strength).items():
                if name in arms:
                    cells[index, name] = (questions, arm)
        # Sets of pins on the same attributes share their baseline.
        known = {
            key: self._baselines.get(tuple(questions)) for key, (questions, _) in cells.items() if key[1] == "baseline"
        }
        first = {tuple(cells[key][0]): key for key, own in known.items() if own is None}
        wanted = [key for key in cells if key[1] != "baseline"] + list(first.values())
        found = dict(zip(wanted, self.replies([cells[key] for key in wanted]), strict=True))
        self._baselines |= {questions: found[key] for questions, key in first.items()}
        found |= {key: self._baselines[tuple(cells[key][0])] for key in known}
        return [
            {name: figures(pinned, found[index, name], found[index, "baseline"]) for name in arms}
            for index, pinned in enumerate(every)
        ]

    def _arms(self, pinned: Pinned, strength: float) -> dict[str, Arm]:
        towards = {f"user_{name}": label for name, label in pinned.items()}
        control = replace(self.pins, towards=towards, strength=strength)
        said = f"You are talking to {', '.join(PHRASES[label] for label in pinned.values())}."
        return {
            "baseline": Arm(),
            "pin": Arm(controls=(control,)),
            "random": Arm(controls=(control.random_twin(self.settings.seed),)),
            "prompt": Arm(f"{SYSTEM} {said}"),
            "assume": Arm(controls=(Assume(said),)),
        }

    def replies(self, cells: Sequence[Cell]) -> list[Replies]:
        """Ask all questions under all arms in one batch, and read the beliefs at each."""
        settings = self.settings
        asked = [
            (question, arm, settings.seed + 1000 * sample + index)
            for questions, arm in cells
            for index, question in enumerate(questions)
            for sample in range(1 if question.options else settings.samples)
        ]
        texts = [reply.text for reply in self.model.generate([self._request(*one) for one in asked])]
        is_open = [not question.options for question, _, _ in asked]
        dialogues = [dialogue_of(question, SYSTEM) for (question, _, _), own in zip(asked, is_open, strict=True) if own]
        scored = iter(self._surprise(dialogues, [text for text, own in zip(texts, is_open, strict=True) if own]))
        surprises = [next(scored) if own else None for own in is_open]
        rows = iter(list(zip(texts, surprises, strict=True)))
        found = []
        for questions, arm in cells:
            own = [[next(rows) for _ in range(1 if one.options else settings.samples)] for one in questions]
            read = [dialogue_of(question, arm.system) for question in questions if not question.options]
            found.append(
                Replies(
                    questions,
                    [[text for text, _ in row] for row in own],
                    [mean(surprise for _, surprise in row) for row in own],
                    read_beliefs(self.model, read, self.readers, arm.controls),
                )
            )
        return found

    def _request(self, question: Question, arm: Arm, seed: int) -> Request:
        if question.options:
            drawn, prefix = Sampling(CHOICE_TOKENS, 0.0, seed=seed), CHOICE
        else:
            drawn, prefix = Sampling(self.settings.reply_tokens, 0.8, 0.95, seed=seed), ""
        return Request(tuple(dialogue_of(question, arm.system)), drawn, arm.controls, reply_prefix=prefix)

    def _surprise(self, dialogues: Sequence[Dialogue], texts: Sequence[str]) -> list[float | None]:
        """Compute the negative log-likelihood per token of each reply; None for an empty one."""
        pairs = [(dialogue, text) for dialogue, text in zip(dialogues, texts, strict=True) if text]
        scores = iter(self.model.score([Continuation(tuple(dialogue), text) for dialogue, text in pairs]))
        values = (-score.logprob / score.tokens for score in scores)
        return [next(values) if text else None for text in texts]


def dialogue_of(question: Question, system: str) -> Dialogue:
    """Make the dialogue that asks a question."""
    return Dialogue().with_system(system).add("user", question.text)


def figures(pinned: Pinned, replies: Replies, baseline: Replies) -> dict[str, Any]:
    """Compute the figures of one arm; see the module's docstring."""
    hits: dict[str, dict[str, list[float]]] = {"words": {}, "choice": {}}
    for question, texts in zip(replies.questions, replies.texts, strict=True):
        own = hits["choice" if question.options else "words"].setdefault(question.group, [])
        own += [float(question.class_of(text) == pinned[question.attribute]) for text in texts]
    words, choice = ([sum(own) / len(own) for own in hits[kind].values()] for kind in ("words", "choice"))
    asked = [question.attribute for question in replies.questions if not question.options]
    read = [
        float(beliefs[f"user_{name}"].likeliest == pinned[name])
        for name, beliefs in zip(asked, replies.beliefs, strict=True)
    ]
    both = list(zip(replies.beliefs, baseline.beliefs, strict=True))
    others = [name for name in baseline.beliefs[0] if name.removeprefix("user_") not in pinned]
    sides = {
        side: [mean(largest_change(a[name], b[name]) for name in others if name.startswith(side)) for a, b in both]
        for side in ("user", "self")
    }
    joint = [
        float(all(beliefs[f"user_{name}"].likeliest == label for name, label in pinned.items()))
        for beliefs in replies.beliefs
    ]
    pairs = zip(replies.surprise, baseline.surprise, strict=True)
    gained = mean(a - b for a, b in pairs if a is not None and b is not None)
    return {
        "words": bootstrap_mean(words, bounds=(0, 1)),
        "choice": bootstrap_mean(choice, bounds=(0, 1)),
        "read": bootstrap_mean(read, bounds=(0, 1)),
        "read_all": bootstrap_mean(joint, bounds=(0, 1)),
        "moved_user": bootstrap_mean(sides["user"], bounds=(0, 1)),
        "moved_self": bootstrap_mean(sides["self"], bounds=(0, 1)),
        "perplexity": None if gained is None else math.exp(gained),
    }


def largest_change(after: Reading, before: Reading) -> float:
    """Return the largest change of a class's probability."""
    return max(abs(float(after.probabilities[label] - value)) for label, value in before.probabilities.items())


def pooled(every: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Average over sets of pins; the interval is over them."""
    found: dict[str, Any] = {}
    for arm in every[0]:
        values = {key: [one[arm][key] for one in every] for key in every[0][arm]}
        found[arm] = {
            key: bootstrap_mean([one.value for one in own]) for key, own in values.items() if key != "perplexity"
        }
        logs = [math.log(value) for value in values["perplexity"] if value is not None]
        found[arm]["perplexity"] = math.exp(sum(logs) / len(logs))
    return found


def plain(value: Any) -> Any:
    """Turn intervals into rounded numbers."""
    if isinstance(value, Interval):
        return [None if x is None else round(x, 3) for x in (value.value, value.low, value.high)] + [value.n]
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    main(tyro.cli(Settings))
