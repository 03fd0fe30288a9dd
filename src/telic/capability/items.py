"""Multiple-choice items: those that ship with Telic, and how they are drawn and ordered."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, model_validator

from telic.capability.item_files import read_entries
from telic.errors import ConfigError
from telic.registry import suggest

__all__ = ["Item", "load_items", "place_answers", "read_items", "sample_items"]


class Item(BaseModel):
    """A question, the options to answer it, and which of them is right."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(min_length=1)
    """Unique within its set."""
    subject: str = Field(default="general", min_length=1)
    """What it is about; results are reported by subject too."""
    question: str = Field(min_length=1)
    options: tuple[str, ...] = Field(min_length=2, max_length=26)
    """Different texts, each of which could be the reply."""
    answer: int = Field(ge=0)
    """Index of the right option."""

    @model_validator(mode="after")
    def _is_answerable(self) -> Item:
        if not all(option.strip() for option in self.options):
            raise ValueError("an option is empty")
        if len(set(self.options)) < len(self.options):
            raise ValueError(f"two options are the same: {list(self.options)!r}")
        if self.answer >= len(self.options):
            raise ValueError(f"answer is {self.answer!r}, but there are {len(self.options)} options, counted from 0")
        return self


def load_items(subjects: Sequence[str] | None = None, *, seed: int = 0) -> list[Item]:
    """Load the 225 items that ship with Telic and were written for it: nine subjects, four options.

    They are easy for a person. A model of 135M parameters answers a little over half of them, so both losses and
    gains are visible.

    Args:
        subjects: only these.
        seed: of the places of the right options, which are equally frequent.

    Raises:
        ConfigError: there is no such subject.
    """
    with resources.as_file(resources.files("telic.capability") / "data" / "items.jsonl") as path:
        items = read_items(path)
    known = list(dict.fromkeys(item.subject for item in items))
    for subject in subjects or ():
        if subject not in known:
            raise ConfigError(f"unknown subject {subject!r}{suggest(subject, known)}")
    return place_answers([item for item in items if subjects is None or item.subject in subjects], seed)


def read_items(path: str | Path) -> list[Item]:
    """Read the user's own items: a file, or a folder of such files.

    `.csv` is MMLU's form: question, the options, the letter of the right one; no header; the subject is the file's
    name without `_test`, `_dev`, `_val`. `.jsonl` has an object per line with `question`; `choices` or `options`, a
    list of texts, or ARC's `{"text": [...], "label": [...]}`; `answer` (index from 0, letter or label) or `answerKey`;
    and perhaps `id` and `subject`.

    Raises:
        DataError: the file cannot be read or an entry is wrong; the message names the file and the line.
    """
    return [Item.model_validate(entry) for entry in read_entries(Path(path), Item)]


def sample_items(items: Sequence[Item], n: int, seed: int = 0) -> list[Item]:
    """Draw `n` different items, as evenly from the subjects as their sizes allow, and keep their order.

    Raises:
        ConfigError: `n` is less than 1 or more than there are.
    """
    if not 1 <= n <= len(items):
        raise ConfigError(f"n is {n!r}; expected 1 to {len(items)} items")
    rng = random.Random(seed)
    by_subject: defaultdict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_subject[item.subject].append(index)
    # The subjects are shuffled too, so that a small sample does not always favour the first.
    decks = [rng.sample(deck, len(deck)) for deck in rng.sample(list(by_subject.values()), len(by_subject))]
    dealt: list[int] = []
    while len(dealt) < n:
        dealt += [deck.pop() for deck in decks if deck]
    return [items[index] for index in sorted(dealt[:n])]


def place_answers(items: Sequence[Item], seed: int) -> list[Item]:
    """Shuffle the options of each item so that the right one is in every place equally often (within one)."""
    rng = random.Random(seed)
    places: defaultdict[int, list[int]] = defaultdict(list)
    laid_out = []
    for item in items:
        count = len(item.options)
        if not places[count]:
            places[count] = rng.sample(range(count), count)
        answer = places[count].pop()
        wrong = [option for index, option in enumerate(item.options) if index != item.answer]
        options = rng.sample(wrong, len(wrong))
        options.insert(answer, item.options[item.answer])
        laid_out.append(item.model_copy(update={"options": tuple(options), "answer": answer}))
    return laid_out
