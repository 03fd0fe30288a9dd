"""`telic readers`: read, and train readers of, what the model believes about the user and about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro

from telic.cli.evaluate_readers import EvaluateReaders, figure_text, print_evaluations
from telic.cli.output import load_model, print_json, print_line, print_notice, print_table
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import CheckedOptions, Interrupted
from telic.progress import ProgressDisplay
from telic.readers.config import ReaderTrainingConfig

__all__ = ["Readers"]


class ReaderTrainingSettings(CheckedOptions, ReaderTrainingConfig):
    """Settings for training readers."""


@dataclass
class TrainReaders(ThreadOptions):
    """Train readers on the texts that come with Telic, and measure how good they are.

    Examples:
        telic readers train --model qwen2.5-1.5b
        telic readers train --model qwen2.5-1.5b --data conversations/ --attributes age gender
    """

    out: Path = Path("readers")
    """Folder for the readers, their card, and the pins."""
    model: str = "smollm2"
    """Model whose beliefs the readers read."""
    data: Path | None = None
    """Folder of conversations in TalkTuner's format to train on as well: age.jsonl, gender.jsonl, education.jsonl and
    socioeco.jsonl."""
    cache: Path | None = None
    """Folder of recorded activations; an interrupted training continues from them. By default OUT/activations."""
    json: bool = False
    """Print the card as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""
    settings: tyro.conf.OmitArgPrefixes[ReaderTrainingSettings] = field(default_factory=ReaderTrainingSettings)

    def run(self) -> None:
        """Record, train, save, print the card."""
        from telic.readers import train_readers

        cache = self.cache or self.out / "activations"
        model = load_model(self.model)
        try:
            with ProgressDisplay(quiet=self.quiet) as display:
                trained = train_readers(model, self.data, config=self.settings, cache=cache, progress=display)
        except KeyboardInterrupt:
            raise Interrupted(
                f"the recorded activations are kept in {cache}; run the same command to continue"
            ) from None
        trained.save(self.out)
        if self.json:
            print_json({"folder": str(self.out), **trained.readers.card})
            return
        _print_card(trained.readers.card)
        print_line(f"Written to {self.out}. Use them with: telic readers read FILE --readers {self.out}")


@dataclass
class ShowCard:
    """Show how good a set of readers is, as measured in training.

    Examples:
        telic readers card
        telic readers card readers
    """

    readers: tyro.conf.Positional[str] = "smollm2"
    """A folder that `telic readers train` has written, or the name of a set that comes with Telic."""
    json: bool = False
    """Print the card as JSON."""

    def run(self) -> None:
        """Print the card."""
        from telic.readers import ReaderSet

        card = ReaderSet.load(self.readers).card
        if self.json:
            print_json(card)
        else:
            _print_card(card)


@dataclass
class ReadDialogues(ThreadOptions):
    """Read what the model believes at each turn of the user.

    Examples:
        telic readers read dialogues.jsonl
        telic readers read dialogues.jsonl --readers readers --only user_age self_gender
    """

    dialogues: tyro.conf.Positional[Path]
    """A file of dialogues: lines of OpenAI's messages, ShareGPT, or Telic's episodes."""
    readers: str = "smollm2"
    """A folder that `telic readers train` has written, or the name of a set that comes with Telic."""
    model: str | None = None
    """Model that reads the dialogues. By default the one that the readers were trained on."""
    only: tuple[str, ...] = ()
    """Readers to use, such as user_age or self_gender. By default all."""
    json: bool = False
    """Print the readings as JSON, one line for each turn."""

    def run(self) -> None:
        """Read and print."""
        from telic.formats import read_dialogues
        from telic.readers import ReaderSet, read_turns

        readers = ReaderSet.load(self.readers)
        readers = readers.only(self.only) if self.only else readers
        dialogues = read_dialogues(self.dialogues)
        model = load_model(self.model or readers.origin.name)
        for number, dialogue in enumerate(dialogues):
            turns = read_turns(model, dialogue, readers)
            if not self.json:
                print_line(f"Dialogue {number}", style="bold")
            if not turns:
                print_notice(f"{self.dialogues}: dialogue {number} has no user turn, so there is nothing to read")
            for index, beliefs in turns:
                if self.json:
                    read = {
                        name: {"answer": one.answer, "probabilities": dict(one.probabilities)}
                        for name, one in beliefs.items()
                    }
                    print_json({"dialogue": number, "message": index, "beliefs": read})
                else:
                    print_line(f"  {dialogue[index].content[:100]!r}")
                    print_table(("", "", ""), [("", name, str(one)) for name, one in beliefs.items()])


@tyro.conf.configure(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes)
@dataclass
class Readers:
    """Read what the model believes about the user and about itself; train and evaluate readers."""

    action: (
        Annotated[TrainReaders, tyro.conf.subcommand("train")]
        | Annotated[ShowCard, tyro.conf.subcommand("card")]
        | Annotated[EvaluateReaders, tyro.conf.subcommand("evaluate")]
        | Annotated[ReadDialogues, tyro.conf.subcommand("read")]
    )
    """What to do."""

    def run(self) -> None:
        """Run the action."""
        self.action.run()


_COLUMNS = {"right": "right", "wrong": "wrong", "unknown": "unknown"}
"""The figures of a card by heading."""


def _print_card(card: Mapping[str, Any]) -> None:
    print_line(
        "On the validation texts (95 % intervals): where the class is said, the share of right and of wrong answers; "
        "where it is not, the share of unknown."
    )
    rows = [
        (name, *(figure_text(own.get(key)) for key in _COLUMNS.values()))
        for name, own in card.get("readers", {}).items()
    ]
    print_table(("reader", *_COLUMNS), rows)
    print_evaluations(card)
