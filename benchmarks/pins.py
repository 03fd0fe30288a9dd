"""Pins: does the model do what is pinned, and is nothing else changed?

    python -m benchmarks.pins [--model smollm2] [--readers smollm2] [--samples 2] [--sets single pairs triples]

After a pin on the user, four things are measured, each against the model without a pin on the same questions and random
numbers, and beside a random direction of the same norm and a system prompt that says the same:

- `words`: the share of replies that are written for the pinned class. A rule judges them from their words alone
  (`pins.toml`); the questions are such that the answer depends on who asks.
- `read`: the share of questions at which the reader finds the pinned class most likely.
- `moved`: by how much the readings of the other attributes of the user change, and those of the model itself: the
  largest change of a class's probability, mean over questions. At most 0.1 is wanted.
- `perplexity`: of the replies under the unsteered model, as a ratio. At most 1.25 is wanted.

The strength is chosen on other questions: the largest share of `words` among the strengths within that ratio. Intervals
are 95 % bootstrap intervals over questions. The last line is JSON.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import tyro

from telic.dialogue import Dialogue
from telic.models import Control, LocalModel, Request, Sampling, load
from telic.models.request import Continuation
from telic.readers import ATTRIBUTES, Beliefs, ReaderSet, Reading, read_beliefs
from telic.statistics import Interval, bootstrap_mean, mean
from telic.steering.belief import Belief, belief

SYSTEM = "You are a helpful assistant."
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
EVERY_ARM = ("baseline", "pin", "random", "prompt")


@dataclass
class Settings:
    """Settings of the benchmark."""

    model: str = "smollm2"
    readers: str = "smollm2"
    """A set of readers with pins."""
    sets: tuple[Set, ...] = ("single", "pairs", "triples")
    """How many pins at once."""
    questions: int = 12
    """Of each attribute."""
    samples: int = 2
    """Replies to each question."""
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
class Replies:
    """The replies to some questions under an arm."""

    texts: list[list[str]]
    """Per question."""
    surprise: list[float | None]
    """Per question: negative log-likelihood per token under the unsteered model, in nats."""
    beliefs: list[Beliefs]
    """Per question."""


Cell = tuple[Sequence[str], Arm]
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


class Bench:
    """Generates replies under pins, and measures them."""

    def __init__(self, model: LocalModel, readers: ReaderSet, settings: Settings, pins: Belief | None = None) -> None:
        self.model, self.readers, self.settings = model, readers, settings
        self.pins = pins or belief(settings.readers)

    def tune(self) -> tuple[float, dict[str, Any]]:
        """Choose the strength on questions that are not used again."""
        tried: dict[str, Any] = {}
        for strength in self.settings.strengths:
            tried[str(strength)] = pooled(self.measure(SINGLES, strength, "tuning", ("baseline", "pin")))["pin"]
            print(f"strength {strength}: {json.dumps(tried[str(strength)], default=plain)}", flush=True)
        fit = [s for s in self.settings.strengths if tried[str(s)]["perplexity"] <= MOST_PERPLEXITY]
        fit = fit or [min(self.settings.strengths)]
        return max(fit, key=lambda s: float(tried[str(s)]["words"].value)), tried

    def measure(
        self, every: Sequence[Pinned], strength: float, part: str, arms: Sequence[str] = EVERY_ARM
    ) -> list[dict[str, Any]]:
        """Pin sets of classes, and measure each on the questions of its attributes."""
        cells: dict[tuple[int, str], Cell] = {}
        own = [{name: material()[name][part][: self.settings.questions] for name in pinned} for pinned in every]
        for index, pinned in enumerate(every):
            questions = tuple(dict.fromkeys(chain.from_iterable(own[index].values())))
            for name, arm in self._arms(pinned, strength).items():
                if name in arms:
                    cells[index, name] = (questions, arm)
        found = dict(zip(cells, self.replies(list(cells.values())), strict=True))
        return [
            {
                name: figures(pinned, own[index], cells[index, name][0], found[index, name], found[index, "baseline"])
                for name in arms
            }
            for index, pinned in enumerate(every)
        ]

    def _arms(self, pinned: Pinned, strength: float) -> dict[str, Arm]:
        towards = {f"user_{name}": label for name, label in pinned.items()}
        control = replace(self.pins, towards=towards, strength=strength)
        told = f"{SYSTEM} You are talking to {', '.join(PHRASES[label] for label in pinned.values())}."
        return {
            "baseline": Arm(),
            "pin": Arm(controls=(control,)),
            "random": Arm(controls=(control.random_twin(self.settings.seed),)),
            "prompt": Arm(told),
        }

    def replies(self, cells: Sequence[Cell]) -> list[Replies]:
        """Ask all questions under all arms in one batch, and read the beliefs at each."""
        settings = self.settings
        asked = [
            (Dialogue().with_system(SYSTEM).add("user", question), arm, settings.seed + 1000 * sample + index)
            for questions, arm in cells
            for index, question in enumerate(questions)
            for sample in range(settings.samples)
        ]
        requests = [
            Request(
                tuple(dialogue.with_system(arm.system)),
                Sampling(settings.reply_tokens, 0.8, 0.95, seed=seed),
                arm.controls,
            )
            for dialogue, arm, seed in asked
        ]
        texts = [reply.text for reply in self.model.generate(requests)]
        surprise = self._surprise([dialogue for dialogue, _, _ in asked], texts)
        found, at, samples = [], 0, settings.samples
        for questions, arm in cells:
            starts = range(at, at + len(questions) * samples, samples)
            at = starts.stop
            dialogues = [Dialogue().with_system(arm.system).add("user", question) for question in questions]
            found.append(
                Replies(
                    [texts[start : start + samples] for start in starts],
                    [mean(surprise[start : start + samples]) for start in starts],
                    read_beliefs(self.model, dialogues, self.readers, arm.controls),
                )
            )
        return found

    def _surprise(self, dialogues: Sequence[Dialogue], texts: Sequence[str]) -> list[float | None]:
        """Compute the negative log-likelihood per token of each reply; None for an empty one."""
        pairs = [(dialogue, text) for dialogue, text in zip(dialogues, texts, strict=True) if text]
        scores = iter(self.model.score([Continuation(tuple(dialogue), text) for dialogue, text in pairs]))
        values = (-score.logprob / score.tokens for score in scores)
        return [next(values) if text else None for text in texts]


def figures(
    pinned: Pinned, own: Mapping[str, Sequence[str]], questions: Sequence[str], replies: Replies, baseline: Replies
) -> dict[str, Any]:
    """Compute the figures of one arm; see the module's docstring."""
    words, read = [], []
    for attribute, label in pinned.items():
        for question in own[attribute]:
            at = questions.index(question)
            words.append(mean(float(class_by_words(text, attribute) == label) for text in replies.texts[at]))
            read.append(float(replies.beliefs[at][f"user_{attribute}"].likeliest == label))
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
