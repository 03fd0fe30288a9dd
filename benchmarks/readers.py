"""Readers and pins of the bundled model: how good they are, and how a pin changes the replies.

    python -m benchmarks.readers [--data ../shared/data/talktuner] [--prompts 24] [--reply-tokens 32]

Whether a pin worked is judged from the reply's words alone: the reader itself reads the state that the pin moves. The
judge is a bag of words, trained on the assistant's turns in TalkTuner's conversations with users of each class, and
tested on conversations of other groups; its accuracy there is the upper limit for a perfect pin. Each class is pinned
in turn on neutral questions, and compared, on the same questions and random numbers, with the baseline, with a random
direction of the same norm, and with a system prompt that names the class. Pairs of attributes are pinned one at a time,
both added up, and both orthogonalised within the norm of one. The strength is chosen on other questions.

The last line is JSON.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from telic.capability.language import distinct
from telic.dialogue import Dialogue
from telic.models import Control, LocalModel, Reply, Request, Sampling, load
from telic.models.request import Continuation
from telic.readers import ATTRIBUTES, Attribute, ReaderSet
from telic.readers.conversations import group_similar, read_talktuner, split_conversations
from telic.readers.words import BagOfWords
from telic.statistics import Interval, PairedDifference, bootstrap_mean, mean, paired_difference
from telic.steering.belief import belief

DATA = Path(os.environ.get("TELIC_TEST_DATA", "../shared/data")) / "talktuner"
SYSTEM = "You are a helpful assistant."
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
PAIRS = (
    (("age", "child"), ("gender", "female")),
    (("age", "older adult"), ("gender", "male")),
    (("age", "adolescent"), ("socioeconomic", "low")),
    (("gender", "female"), ("socioeconomic", "high")),
)
TUNING = (
    "What could I do this evening?",
    "Can you recommend a game?",
    "How can I make new friends?",
    "What is a good way to learn something new?",
    "What should I cook for a party?",
    "How can I become better at sports?",
    "Where could I go on a day trip?",
    "What should I wear tomorrow?",
)
PROMPTS = (
    "What should I do this weekend?",
    "Can you recommend a book?",
    "What would be a good present for a friend?",
    "How can I save some money?",
    "Where should I go on holiday?",
    "I feel tired lately. What can I do?",
    "What film could I watch tonight?",
    "How do I learn a new language?",
    "Can you suggest a new hobby?",
    "What is a healthy breakfast?",
    "How can I sleep better?",
    "What should I do with my birthday?",
    "Which phone should I get?",
    "How does a computer work?",
    "Give me some advice for a job.",
    "How can I stay fit?",
    "What music do you recommend?",
    "Tell me something about the stars.",
    "How do I stop worrying?",
    "What could I buy with a hundred dollars?",
    "How should I decorate my room?",
    "What do you think of social media?",
    "I would like to plan a party. Where do I start?",
    "What can I do about a noisy neighbour?",
)


@dataclass
class Settings:
    """Settings of the benchmark."""

    data: Path = DATA
    """Folder with TalkTuner's conversations, for the judge."""
    readers: str = "smollm2"
    """A set of readers with pins."""
    prompts: int = 24
    """Questions asked under each pin."""
    reply_tokens: int = 32
    strengths: tuple[float, ...] = (0.5, 1.0, 2.0)
    """Tried on other questions; the one with the largest gain at which perplexity is at most doubled is used."""
    per_conversation: int = 3
    """Replies of each conversation that the judge is trained on."""
    seed: int = 0


@dataclass(frozen=True)
class Arm:
    """The replies under one way of steering the model."""

    replies: tuple[Reply, ...]
    surprise: tuple[float | None, ...]
    """Negative log-likelihood per token under the uncontrolled model, in nats."""

    @property
    def texts(self) -> list[str]:
        return [reply.text for reply in self.replies]

    @property
    def distinct2(self) -> list[float | None]:
        return [distinct(text, 2) for text in self.texts]


Judge = Callable[[Sequence[str]], Any]
"""Texts to probabilities [texts, classes]."""


def main(settings: Settings) -> None:
    """Measure and print."""
    model = load("smollm2", dtype=torch.float32)
    assert isinstance(model, LocalModel)
    card = ReaderSet.load(settings.readers).card["readers"]
    judges, accuracy = {}, {}
    for attribute in ATTRIBUTES.values():
        judges[attribute.name], accuracy[attribute.name] = make_judge(attribute, settings)
        print(f"judge of {attribute.name}: accuracy {accuracy[attribute.name]} on unseen groups", flush=True)
    bench = Bench(model, settings, judges)
    strength, tried = bench.tune()
    print(f"strength {strength} of {tried}", flush=True)
    result = {
        "readers": {name: {key: own[key] for key in CARD} for name, own in card.items()},
        "judge_accuracy": accuracy,
        "strength": strength,
        "tuning": tried,
        "one": bench.one_at_a_time(strength),
        "two": bench.two_at_once(strength),
    }
    print(json.dumps(result, default=_plain))


CARD = ("layer", "conversations", "chance", "accuracy", "shuffled", "bag_of_words", "known", "accuracy_known", "cross")


def make_judge(attribute: Attribute, settings: Settings) -> tuple[Judge, Interval]:
    """A bag of words over the assistant's replies, and its accuracy on conversations of other groups."""
    parts: dict[str, tuple[list[str], list[int]]] = {part: ([], []) for part in ("train", "validation", "test")}
    correct: list[list[float]] = []
    where: list[int] = []
    for c in split_conversations(
        group_similar(read_talktuner(settings.data / attribute.file, attribute)), settings.seed
    ):
        said = [message.content for message in c.dialogue if message.role == "assistant"]
        texts, labels = parts[c.part]
        kept = [shortened(text, settings.reply_tokens) for text in said[: settings.per_conversation]]
        texts += kept
        labels += [attribute.classes.index(c.label)] * len(kept)
        if c.part == "test":
            where += [len(correct)] * len(kept)
            correct.append([])
    labelled = {part: (texts, np.array(labels, dtype=np.intp)) for part, (texts, labels) in parts.items()}
    bag = BagOfWords(labelled["train"], labelled["validation"], len(attribute.classes))
    texts, labels_N = labelled["test"]
    for index, hit in zip(where, bag.probabilities(texts).argmax(1) == labels_N, strict=True):
        correct[index].append(float(hit))
    return bag.probabilities, bootstrap_mean([sum(hits) / len(hits) for hits in correct if hits])


def shortened(text: str, tokens: int) -> str:
    """Cut a text to about the length of a reply."""
    return " ".join(text.split()[: int(0.75 * tokens)])


class Bench:
    """Generates replies under pins, and judges them."""

    def __init__(self, model: LocalModel, settings: Settings, judges: dict[str, Judge]) -> None:
        self.model, self.settings, self.judges = model, settings, judges

    def pin(self, strength: float, combine: str = "orthogonal", **classes: str) -> Control:
        towards = {f"user_{attribute}": label for attribute, label in classes.items()}
        return belief(self.settings.readers, towards=towards, strength=strength, combine=combine)

    def replies_under(self, arms: dict[str, tuple[str, Control | None]], prompts: Sequence[str]) -> dict[str, Arm]:
        """Generate answers to the questions under each arm: a system prompt, and perhaps a control."""
        plain = [tuple(Dialogue().with_system(SYSTEM).add("user", prompt)) for prompt in prompts]
        requests = [
            Request(
                tuple(Dialogue(messages).with_system(system)),
                Sampling(self.settings.reply_tokens, 1.0, 0.9, seed=self.settings.seed + index),
                (control,) if control else (),
            )
            for system, control in arms.values()
            for index, messages in enumerate(plain)
        ]
        replies = self.model.generate(requests)
        scored = [
            (index, Continuation(plain[index % len(plain)], reply.text))
            for index, reply in enumerate(replies)
            if reply.text
        ]
        surprise: list[float | None] = [None] * len(replies)
        found = self.model.score([continuation for _, continuation in scored])
        for (index, _), score in zip(scored, found, strict=True):
            surprise[index] = -score.logprob / score.tokens
        size = len(plain)
        return {
            name: Arm(tuple(replies[i * size : (i + 1) * size]), tuple(surprise[i * size : (i + 1) * size]))
            for i, name in enumerate(arms)
        }

    def judged(self, attribute: str, label: str, arm: Arm) -> list[float | None]:
        """Return the judge's probability of a class for each reply."""
        place = ATTRIBUTES[attribute].classes.index(label)
        return [float(value) for value in self.judges[attribute](arm.texts)[:, place]]

    def hits(self, attribute: str, label: str, arm: Arm) -> list[float]:
        """Return 1 for each reply whose most likely class is this one, else 0."""
        place = ATTRIBUTES[attribute].classes.index(label)
        return [float(best == place) for best in self.judges[attribute](arm.texts).argmax(1)]

    def tune(self) -> tuple[float, dict[str, Any]]:
        """Choose the strength, on questions that are not used again."""
        every = [(a.name, label) for a in ATTRIBUTES.values() for label in a.classes]
        arms: dict[str, tuple[str, Control | None]] = {"baseline": (SYSTEM, None)}
        for strength, (attribute, label) in product(self.settings.strengths, every):
            arms[f"{strength}/{attribute}/{label}"] = (SYSTEM, self.pin(strength, **{attribute: label}))
        spoken = self.replies_under(arms, TUNING)
        tried: dict[str, Any] = {}
        for strength in self.settings.strengths:
            gains, ratios = [], []
            for attribute, label in every:
                arm = spoken[f"{strength}/{attribute}/{label}"]
                gains += difference(
                    self.judged(attribute, label, arm), self.judged(attribute, label, spoken["baseline"])
                )
                ratios += difference(arm.surprise, spoken["baseline"].surprise)
            tried[str(strength)] = {
                "gain": sum(gains) / len(gains),
                "perplexity_ratio": math.exp(sum(ratios) / len(ratios)),
            }
            print(f"strength {strength}: {tried[str(strength)]}", flush=True)
        fit = [s for s in self.settings.strengths if tried[str(s)]["perplexity_ratio"] <= 2] or [
            min(self.settings.strengths)
        ]
        return max(fit, key=lambda s: float(tried[str(s)]["gain"])), tried

    def one_at_a_time(self, strength: float) -> dict[str, Any]:
        """Pin each class, and compare with the baseline, a random direction of the same norm, and a prompt."""
        prompts, found = PROMPTS[: self.settings.prompts], {}
        baseline = self.replies_under({"baseline": (SYSTEM, None)}, prompts)["baseline"]
        for attribute in ATTRIBUTES.values():
            pooled: dict[str, list[list[float | None]]] = {}
            for label in attribute.classes:
                control = belief(self.settings.readers, towards={f"user_{attribute.name}": label}, strength=strength)
                arms: dict[str, tuple[str, Control | None]] = {
                    "pin": (SYSTEM, control),
                    "random": (SYSTEM, control.random_twin(self.settings.seed)),
                    "prompt": (f"{SYSTEM} You are talking to {PHRASES[label]}.", None),
                }
                spoken = {"baseline": baseline, **self.replies_under(arms, prompts)}
                found[f"{attribute.name}/{label}"] = self._compared(attribute.name, label, spoken, pooled)
                told = json.dumps(found[f"{attribute.name}/{label}"], default=_plain)
                print(f"{attribute.name}/{label}: {told}", flush=True)
            # Over all classes of the attribute: one value for each question.
            rows = {name: [mean(values) for values in zip(*own, strict=True)] for name, own in pooled.items()}
            found[attribute.name] = {
                f"pin_over_{name}": paired_difference(rows["pin"], rows[name])
                for name in ("baseline", "random", "prompt")
            }
        return found

    def _compared(
        self, attribute: str, label: str, spoken: dict[str, Arm], pooled: dict[str, list[list[float | None]]]
    ) -> dict[str, Any]:
        values = {name: self.judged(attribute, label, arm) for name, arm in spoken.items()}
        for name, own in values.items():
            pooled.setdefault(name, []).append(own)
        return {
            name: {
                "probability": bootstrap_mean(values[name]),
                "success": bootstrap_mean(self.hits(attribute, label, arm), bounds=(0, 1)),
                **self.health(arm, spoken["baseline"]),
            }
            for name, arm in spoken.items()
        }

    @staticmethod
    def health(arm: Arm, baseline: Arm) -> dict[str, Any]:
        ratio = bootstrap_mean(difference(arm.surprise, baseline.surprise))
        return {
            "perplexity_ratio": None if ratio.value is None else math.exp(ratio.value),
            "distinct2": bootstrap_mean(arm.distinct2).value,
        }

    def two_at_once(self, strength: float) -> dict[str, Any]:
        """Pin pairs of classes: joint success and language over all pairs, one value per question."""
        prompts = PROMPTS[: self.settings.prompts]
        rows: dict[str, dict[str, list[list[float | None]]]] = {}
        for (one, label), (other, second) in PAIRS:
            both = {one: label, other: second}
            told = f"{SYSTEM} You are talking to {PHRASES[label]}, {PHRASES[second]}."
            spoken = self.replies_under(
                {
                    "baseline": (SYSTEM, None),
                    "first only": (SYSTEM, self.pin(strength, **{one: label})),
                    "second only": (SYSTEM, self.pin(strength, **{other: second})),
                    "added up": (SYSTEM, self.pin(strength, "sum", **both)),
                    "orthogonal": (SYSTEM, self.pin(strength, **both)),
                    "prompt": (told, None),
                },
                prompts,
            )
            for name, arm in spoken.items():
                first, last = self.judged(one, label, arm), self.judged(other, second, arm)
                hit = [a * b for a, b in zip(self.hits(one, label, arm), self.hits(other, second, arm), strict=True)]
                own = rows.setdefault(name, {})
                own.setdefault("joint_success", []).append(list(hit))
                own.setdefault("first_probability", []).append(first)
                own.setdefault("second_probability", []).append(last)
                own.setdefault("surprise", []).append(list(difference(arm.surprise, spoken["baseline"].surprise)))
                own.setdefault("distinct2", []).append(arm.distinct2)
        return {name: {key: self._pooled(key, values) for key, values in own.items()} for name, own in rows.items()}

    @staticmethod
    def _pooled(key: str, values: list[list[float | None]]) -> Any:
        if key == "surprise":
            surprise = mean(value for row in values for value in row)
            return None if surprise is None else math.exp(surprise)
        means = [mean(row) for row in zip(*values, strict=True)]
        return bootstrap_mean(means, bounds=(0, 1) if key == "joint_success" else None)


def difference(a: Sequence[float | None], b: Sequence[float | None]) -> list[float]:
    """Compute the paired differences where both values are known."""
    return [x - y for x, y in zip(a, b, strict=True) if x is not None and y is not None]


def _plain(value: Any) -> Any:
    """Turn intervals and comparisons into rounded numbers."""
    if isinstance(value, Interval):
        return [None if x is None else round(x, 3) for x in (value.value, value.low, value.high)] + [value.n]
    if isinstance(value, PairedDifference):
        return {"difference": value.difference, "p": value.p}
    raise TypeError(type(value).__name__)


if __name__ == "__main__":
    main(tyro.cli(Settings))
