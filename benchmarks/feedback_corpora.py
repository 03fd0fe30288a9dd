"""Human-labelled dialogues for the detectors of feedback, as episodes with labels, split into tuning and report parts.

The folder is `TELIC_TEST_DATA`/feedback: AB-ReDial (Siro et al. 2022, satisfaction per turn), CaSiNo (Chawla et al.
2021, satisfaction per dialogue), PersuasionForGood (Wang et al. 2019, donations) and RealHumanEval (Mozannar et al.
2024, copied code). `rated/` beside this file has task dialogues that two authors wrote and rated for Telic, one for
tuning and one for the report.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, Literal

from telic.episodes import Episode, Turn

__all__ = [
    "READ_BEFORE",
    "Labelled",
    "abredial",
    "casino",
    "data_folder",
    "in_tuning_part",
    "persuasion",
    "realhumaneval",
    "task_dialogues",
]

TUNING_SHARE = 0.6
"""Share of the groups (dialogues, programmers) to tune on; the others are for the report."""
_READ = (
    "00 0X 10 1L 1O 33 3G 3Q 5O 64 7B 7C 7W 86 8P BT CO DK E4 ED EH EM ET EV G3 GL HI HX KK KM KU LD LN N3 R1 SP TJ U4 "
    "UA VB VZ W9 WN XG"
)
READ_BEFORE = frozenset(_READ.split())
"""Dialogues of AB-ReDial, of both parts, of which some turns were read before the cues were written: the figures are
also given without them."""
_SPEAKER = re.compile(r"\s*(SYSTEM|USER)\s*(.*)", re.DOTALL)
_SATISFACTION = {
    "Extremely dissatisfied": 1.0,
    "Slightly dissatisfied": 2.0,
    "Undecided": 3.0,
    "Slightly satisfied": 4.0,
    "Extremely satisfied": 5.0,
}


@dataclass(frozen=True)
class Labelled:
    """A dialogue with what people said of it."""

    episode: Episode
    group: str
    """What must not be split between tuning and report: the dialogue, or the person."""
    labels: dict[int, float]
    """By reply (index of the turn): satisfaction in [0, 1]. -1 stands for the dialogue as a whole."""
    part: Literal["tuning", "report"] | None = None
    """The part that it belongs to; by default the hash of its group decides."""

    @property
    def for_tuning(self) -> bool:
        """Whether it is in the tuning part."""
        return self.part == "tuning" if self.part else in_tuning_part(self.group)


def data_folder() -> Path | None:
    """Return the folder of the data; None where there is none."""
    root = Path(__file__).parents[1]
    folder = Path(os.environ.get("TELIC_TEST_DATA", root.parent / "shared" / "data")) / "feedback"
    return folder if folder.is_dir() else None


def in_tuning_part(group: str) -> bool:
    """Return whether a group belongs to the tuning part: by its hash, so the same one everywhere."""
    return int(hashlib.sha256(f"part of {group}".encode()).hexdigest(), 16) % 100 < 100 * TUNING_SHARE


def abredial(folder: Path) -> list[Labelled]:
    """Read AB-ReDial: of each rated reply, the mean of its annotators' `overall`, from 1 to 5."""
    turns: dict[str, list[tuple[str, str]]] = {}
    ratings: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for row in _lines(folder / "abredial_turns.jsonl"):
        said: list[tuple[str, str]] = []
        for key, value in row.items():
            if key.startswith("utterance") and (found := _SPEAKER.match(value)):
                said.append(("assistant" if found[1] == "SYSTEM" else "user", found[2]))
            elif key.startswith("overall"):
                reply = max(index for index, (role, _) in enumerate(said) if role == "assistant")
                ratings[row["ConvId"], reply].append(float(value))
        if len(said) > len(turns.get(row["ConvId"], ())):
            turns[row["ConvId"]] = said
    found_labels: defaultdict[str, dict[int, float]] = defaultdict(dict)
    for (name, reply), values in ratings.items():
        found_labels[name][reply] = _unit(sum(values) / len(values))
    return [Labelled(_episode(name, said), name, found_labels[name]) for name, said in turns.items()]


def task_dialogues(part: Literal["tuning", "report"]) -> list[Labelled]:
    """Read the task dialogues of an author: each reply has a rating from 1 to 5."""
    found = []
    for row in _lines(Path(__file__).parent / "rated" / f"{part}.jsonl"):
        messages = row["messages"]
        labels = {index: _unit(one["rating"]) for index, one in enumerate(messages) if "rating" in one}
        episode = _episode(row["id"], [(one["role"], one["content"]) for one in messages])
        found.append(Labelled(episode, row["id"], labels, part))
    return found


def casino(folder: Path) -> list[Labelled]:
    """Read CaSiNo: each negotiation from both sides, with the satisfaction of the side that counts as the user."""
    found = []
    for row in _lines(folder / "casino.jsonl"):
        for user, outcome in row["outcomes"].items():
            said = [
                ("user" if turn["speaker"] == user else "assistant", turn["text"])
                for turn in row["turns"]
                if "data" not in turn  # a button that was pressed
            ]
            name = f"casino-{row['id']}"
            label = {-1: _unit(_SATISFACTION[outcome["satisfaction"]])}
            found.append(Labelled(_episode(f"{name}-{user}", said), name, label))
    return found


def persuasion(folder: Path) -> list[Labelled]:
    """Read PersuasionForGood: whether the person donated, an event after the dialogue."""
    return [
        Labelled(
            _episode(row["id"], [(message["role"], message["content"]) for message in row["messages"]]),
            row["id"],
            {-1: float(row["event"]["usd"] > 0)},
        )
        for row in _lines(folder / "persuasion.jsonl")
    ]


def realhumaneval(folder: Path) -> list[Labelled]:
    """Read RealHumanEval: whether the programmer copied code of a reply, a dialogue for each task.

    The last reply of a task has no answer, so it is left out, and so are replies without code.
    """
    rows = list(_lines(folder / "realhumaneval.jsonl"))
    found = []
    for (who, task), group in groupby(rows, key=lambda row: (row["programmer"], row["task"])):
        said: list[tuple[str, str]] = []
        times: list[float] = []
        labels: dict[int, float] = {}
        for row in group:
            said += [("user", row["messages"][-1]["content"]), ("assistant", row["response"])]
            times += [row["time"], row["time"] + 1.0]
            if "```" in row["response"]:
                labels[len(said) - 1] = float(bool(row["copy_events"]))
        labels.pop(len(said) - 1, None)
        found.append(Labelled(_episode(f"{who}-{task}", said, times), f"programmer-{who}", labels))
    return found


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _unit(rating: float) -> float:
    return (rating - 1) / 4


def _episode(name: str, said: Sequence[tuple[str, str]], times: Sequence[float] = ()) -> Episode:
    turns, rounds = [], 0
    for index, (role, text) in enumerate(said):
        rounds += role == "user"
        origin = {"time": times[index]} if times else {}
        turns.append(Turn(role=role, round=max(1, rounds), text=text, finish="given", origin=origin))
    return Episode(id=name, kind="served", seed=0, roles={"assistant": {}, "user": {}}, turns=turns)
