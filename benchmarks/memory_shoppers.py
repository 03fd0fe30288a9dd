"""PAHF: shoppers whose preferences drift between phases 2 and 3. Which of three products, or none, would this one take?

After each task the shopper says which option was right, or that none was; all methods get the same answers. A
method may also ask first whether an option would do. Data: `pahf` (MIT) in the folder that TELIC_TEST_DATA names.
"""

from __future__ import annotations

import json
import math
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from telic.memory import Memory, MemoryConfig, MemoryEvent
from telic.memory.index import GrowingIndex
from telic.memory.words import content_stems, key_of

__all__ = ["run_shoppers"]

DATA = Path(os.environ.get("TELIC_TEST_DATA", "../shared/data")) / "pahf"
OPTIONS = ("A", "B", "C")
DAY = 86400.0
MEMORY: dict[str, Any] = {"half_life_days": 12.0, "threshold": 0.505, "refuse_others": False}
WHOLE_HISTORY: dict[str, Any] = {"half_life_days": 1e9, "threshold": 0.54, "refuse_others": True}
"""Chosen on the first six shoppers by the mean accuracy of phases 2 to 4: half-lives of 8 to 30 days for the memory,
and thresholds of 0.5 to 0.56 for both."""
Task = Mapping[str, Any]


class Shopper(Protocol):
    """A method."""

    questions: int
    """Questions that it asked."""

    def choose(self, task: Task, ask: Callable[[str], bool]) -> str | None:
        """Choose an option, or none; `ask` says whether an option would do."""
        ...

    def learn(self, task: Task, right: str | None) -> None:
        """Hear which option was right."""
        ...


class NoMemory:
    """Declines always, which is the most frequent answer."""

    questions = 0

    def choose(self, task: Task, ask: Callable[[str], bool]) -> str | None:
        return None

    def learn(self, task: Task, right: str | None) -> None:
        pass


class Bm25:
    """Weighs each option by how its likes ended in the past: BM25 over the options of past tasks."""

    questions = 0

    def __init__(self) -> None:
        self._index, self._taken = GrowingIndex(), list[bool]()

    def choose(self, task: Task, ask: Callable[[str], bool]) -> str | None:
        scores = {}
        for option in OPTIONS:
            found = self._index.search(_words(task, option), 5)
            total = sum(score for _, score in found) or 1.0
            scores[option] = sum(score for number, score in found if self._taken[number]) / total
        best = max(scores, key=lambda option: scores[option])
        return best if scores[best] > 0.5 else None

    def learn(self, task: Task, right: str | None) -> None:
        for option in OPTIONS:
            self._index.add(_words(task, option))
            self._taken.append(option == right)


@dataclass
class Remembering:
    """Telic's memory: each answer is a choice for or against features, and preferences are Beta counts that decay."""

    half_life_days: float
    """One task a day; infinite in effect: the whole history counts alike."""
    threshold: float = 0.45
    """Least probability of every feature of an option that is bought."""
    refuse_others: bool = True
    """Whether the options that were not right count against their own features, also where one was right."""
    asks: bool = False
    questions: int = 0
    number: int = 0
    wrong: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def __post_init__(self) -> None:
        self.memory = Memory(MemoryConfig.of(half_life_days=self.half_life_days))

    def choose(self, task: Task, ask: Callable[[str], bool]) -> str | None:
        odds = {option: self._odds(task, option) for option in OPTIONS}
        ranked = sorted(OPTIONS, key=lambda option: -sum(odds[option]))
        limit = math.log(self.threshold / (1 - self.threshold))
        fits = [option for option in ranked if min(odds[option]) >= limit]
        best = fits[0] if fits else None
        if self.asks and self._in_doubt(task):
            for option in ranked[:2]:
                self.questions += 1
                if ask(option):
                    return option
            return best if best not in ranked[:2] else None
        return best

    def learn(self, task: Task, right: str | None) -> None:
        guess = self._silent_choice(task)
        self.wrong[task["product"]] = self.wrong[task["product"]] + 1 if guess != right else 0
        liked = set(task[f"Option {right}"]) if right else set()
        for feature in liked:
            self._tell(task, feature, taken=True)
        shared = set.intersection(*(set(task[f"Option {option}"]) for option in OPTIONS))
        for option in OPTIONS:
            if option == right or (right is not None and not self.refuse_others):
                continue
            others = [one for one in task[f"Option {option}"] if one not in liked and one not in shared]
            odds = {one: self._feature(task, one) for one in others}
            for one in others:
                if odds[one] <= min(odds.values()) + 1e-9:  # the feature that is disliked most already explains it
                    self._tell(task, one, taken=False)
        self.number += 1

    def _silent_choice(self, task: Task) -> str | None:
        asks, self.asks = self.asks, False
        try:
            return self.choose(task, lambda _: False)
        finally:
            self.asks = asks

    def _in_doubt(self, task: Task) -> bool:
        """Whether the last answer about this product was not what was expected."""
        return self.wrong[task["product"]] >= 1 and self.number >= 10

    def _tell(self, task: Task, feature: str, *, taken: bool) -> None:
        name, now = f"x{len(self.memory)}", DAY * self.number
        data = {"slot": task["product"], "taken": taken}
        self.memory.add(MemoryEvent(name, now, "choice", f"t{self.number}", "user", feature, data))

    def _feature(self, task: Task, feature: str) -> float:
        key = key_of(feature)
        for fact in self.memory.profile.about(content_stems(feature)):
            if fact.slot == task["product"] and key_of(fact.value) == key:
                probability = fact.probability_at(DAY * self.number)
                return math.log(probability / (1 - probability))
        return 0.0

    def _odds(self, task: Task, option: str) -> list[float]:
        return [self._feature(task, one) for one in task[f"Option {option}"]]


def run_shoppers() -> dict[str, Any]:
    """Play all phases with each method; settings were chosen on the first six shoppers, the last six are reported."""
    if not DATA.is_dir():
        raise SystemExit(f"there is no {DATA}; set TELIC_TEST_DATA to the folder of data sets")
    phases = [
        [json.loads(line) for line in (DATA / f"phase{n}.jsonl").read_text("utf-8").splitlines()] for n in range(1, 5)
    ]
    users = list(dict.fromkeys(task["User"] for task in phases[0]))
    methods: dict[str, Callable[[], Shopper]] = {
        "no memory": NoMemory,
        "whole history": lambda: Remembering(**WHOLE_HISTORY),
        "BM25 alone": Bm25,
        "memory": lambda: Remembering(**MEMORY),
        "memory that asks": lambda: Remembering(**MEMORY, asks=True),
    }
    result: dict[str, Any] = {"settings": [MEMORY, WHOLE_HISTORY], "tuned_on": users[:6], "reported": users[6:]}
    for name, make in methods.items():
        played = {user: _play(make(), [[t for t in phase if t["User"] == user] for phase in phases]) for user in users}
        for label, chosen in (("tuning", users[:6]), ("report", users[6:])):
            result[f"{name}, {label}"] = _summary([played[user] for user in chosen])
    return result


def _play(shopper: Shopper, phases: Sequence[Sequence[Task]]) -> dict[str, Any]:
    """Return whether each choice was right, by phase, with the number of the task of its product within the phase."""
    hits: list[list[tuple[int, bool]]] = []
    asked = []
    for phase in phases:
        before, seen, rows = shopper.questions, defaultdict[str, int](int), []
        for task in phase:
            choice = shopper.choose(task, lambda option, task=task: option == task["gt"])  # type: ignore[misc]
            rows.append((seen[task["product"]], choice == task["gt"]))
            seen[task["product"]] += 1
            shopper.learn(task, task["gt"])
        hits.append(rows)
        asked.append(shopper.questions - before)
    return {"hits": hits, "asked": asked}


def _summary(played: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for phase in range(4):
        per_user = [np.mean([hit for _, hit in one["hits"][phase]]) for one in played]
        found[f"phase {phase + 1}"] = _with_interval(per_user)
    for name, places in (
        ("after the drift, tasks 1-3", range(3)),
        ("tasks 4-6", range(3, 6)),
        ("tasks 7-9", range(6, 9)),
    ):
        per_user = [np.mean([hit for place, hit in one["hits"][2] if place in places]) for one in played]
        found[name] = _with_interval(per_user)
    found["questions by phase"] = [int(sum(one["asked"][phase] for one in played)) for phase in range(4)]
    found["tasks in a phase"] = sum(len(one["hits"][0]) for one in played)
    return found


def _with_interval(per_user: Sequence[Any]) -> list[float]:
    """Return the mean over users with its 95 % bootstrap interval."""
    values = np.array(per_user, dtype=float)
    draws = np.random.default_rng(0).integers(len(values), size=(2000, len(values)))
    low, high = np.percentile(values[draws].mean(1), (2.5, 97.5))
    return [round(float(one), 3) for one in (values.mean(), low, high)]


def _words(task: Task, option: str) -> list[str]:
    return [f"{task['product']}/{key_of(feature)}" for feature in task[f"Option {option}"]]
