"""`telic readers evaluate`: how readers do on natural messages, and on real people's dialogues."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tyro

from telic.cli.output import load_model, print_json, print_line, print_table
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import CheckedOptions, UsageError
from telic.progress import Phase, ProgressDisplay, track
from telic.readers.config import EvaluationConfig

__all__ = ["EvaluateReaders", "figure_text", "print_evaluations"]


class EvaluationSettings(CheckedOptions, EvaluationConfig):
    """Settings for an evaluation."""


@dataclass
class EvaluateReaders(ThreadOptions):
    """Evaluate readers on natural messages: are they right, and do they say unknown where nothing is said?

    Examples:
        telic readers evaluate
        telic readers evaluate readers --save
        telic readers evaluate readers --persuasion persuasion.jsonl --json
    """

    readers: tyro.conf.Positional[str] = "smollm2"
    """A folder that `telic readers train` has written, or the name of a set that comes with Telic."""
    items: Path | None = None
    """File of your own dialogues and their right answers. By default those that come with Telic."""
    persuasion: Path | None = None
    """A file of the data set PersuasionForGood: dialogues of real people with their true age, sex and education."""
    model: str | None = None
    """Model that reads the dialogues. By default the one that the readers were trained on."""
    only: tuple[str, ...] = ()
    """Readers to evaluate, such as user_age or self_gender. By default all."""
    save: bool = False
    """Write the figures into the readers' card."""
    json: bool = False
    """Print the figures as JSON."""
    quiet: bool = False
    """Show no progress on standard error."""
    settings: tyro.conf.OmitArgPrefixes[EvaluationSettings] = field(default_factory=EvaluationSettings)

    def run(self) -> None:
        """Read all dialogues, print the figures, and save them if asked."""
        from telic.readers import ReaderSet, load_natural_items, read_evaluation_items, read_persuasion

        if self.save and (self.only or self.items):
            raise UsageError(
                "--save needs all readers and the dialogues that come with Telic; remove --only and --items"
            )
        readers = ReaderSet.load(self.readers)
        sets = {"natural": load_natural_items() if self.items is None else read_evaluation_items(self.items)}
        if self.persuasion is not None:
            sets["persuasion"] = read_persuasion(self.persuasion)
        found = self._evaluate(readers.only(self.only) if self.only else readers, sets)
        if self.json:
            print_json(found)
        else:
            print_evaluations(found)
        if self.save:
            path = readers.save_card({**readers.card, **found})
            if not self.json:
                print_line(f"Written to {path}.")

    def _evaluate(self, readers: Any, sets: Mapping[str, Sequence[Any]]) -> dict[str, Any]:
        from telic.readers import evaluate_readers

        model = load_model(self.model or readers.origin.name)
        found = {}
        with ProgressDisplay(quiet=self.quiet) as display, track(display) as tracker:
            tracker.start(phases=[Phase(f"reading {name}", "dialogues", len(items)) for name, items in sets.items()])
            for name, items in sets.items():
                tracker.begin(f"reading {name}")
                found[name] = evaluate_readers(model, readers, items, self.settings, tracker.reach)
        return found


_TITLES = {
    "natural": "On natural messages and dialogues that share nothing with the training data",
    "persuasion": "On dialogues of real people, who hardly ever say who they are",
}
_TABLES: dict[str, dict[str, str]] = {
    "Where a class is said (n): how often the reading is that class, is known, and is right if it is known": {
        "right": "accuracy", "known": "known", "right if known": "accuracy_known",
    },
    "Where nothing is said (n): how often the reading is known. Where a class is said or is true: how often the "
    "reading is known and wrong; the calibration error": {
        "false certainty": "false_certainty", "known and wrong": "known_wrong", "calibration": "calibration_error",
    },
    "Where only the other side has a class (n): how often that is read. How often a class is read that only somebody "
    "mentioned has": {"takeover": "takeover", "lured": "lured"},
}  # fmt: skip
"""Figures of an evaluation by heading and column; the first figure's n is a column, too."""


def print_evaluations(card: Mapping[str, Any]) -> None:
    """Print the evaluations of a card: the user's and the model's own readers by slice, then each reader."""
    for name, title in _TITLES.items():
        if (evaluation := card.get(name)) is None:
            continue
        dialogues = evaluation["items"]["all"]
        print_line(f"\n{title} ({dialogues}; {evaluation['unread']} too long to read).", style="bold")
        rows = [
            (f"{subject}, {part}", figures)
            for subject, slices in evaluation["pooled"].items()
            for part, figures in slices.items()
        ]
        rows += [(reader, slices["all"]) for reader, slices in evaluation["readers"].items()]
        for heading, columns in _TABLES.items():
            if cells := _cells(rows, list(columns.values())):
                print_line(f"\n{heading}.")
                print_table(("", "n", *columns), cells)


def _cells(rows: Iterable[tuple[str, Mapping[str, Any]]], keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Make the cells of the rows that have one of the figures."""
    return [
        (label, str(present[0]["n"]), *(figure_text(figures.get(key)) for key in keys))
        for label, figures in rows
        if (present := [figures[key] for key in keys if key in figures])
    ]


def figure_text(value: Any) -> str:
    """Return a figure of a card as text: a number, or an estimate with its interval."""
    from telic.statistics import Interval

    if value is None:
        return ""
    return str(Interval(**value)) if isinstance(value, Mapping) else f"{value:.2f}"
