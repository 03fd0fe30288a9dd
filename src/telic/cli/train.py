"""`telic train`: train a planner for the game of a purpose."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.output import load_model, print_json, print_line, print_shortfall, print_table
from telic.cli.resuming import resume_hint
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import CheckedOptions, Interrupted, UsageError
from telic.errors import ConfigError
from telic.models.catalog import locate
from telic.planner.config import PlannerTrainingConfig, game_of
from telic.progress import ProgressDisplay

if TYPE_CHECKING:
    from telic.models import Model
    from telic.planner.context import TrainingPlayers
    from telic.planner.training import TrainRun
    from telic.statistics import Interval

__all__ = ["Train"]


class PlannerTrainingSettings(CheckedOptions, PlannerTrainingConfig):
    """Settings of the training and the evaluation."""


@dataclass
class Train(ThreadOptions):
    """Train a planner for the game of a purpose, and evaluate it on held-out scenarios.

    A planner is a small network that steers the frozen model: before each reply it chooses a few prefix tokens
    (dialogue action tokens). If the model plays significantly better with it than without it, the planner is saved
    beside the purpose file and named in the file. Then `chat`, `play`, `measure` and `serve` use it.

    Examples:
        telic train travel.toml
        telic train travel.toml --episodes 64 --held-out 100
        telic train --resume runs/train-travel-agent-20260101-120000
    """

    purpose: tyro.conf.Positional[str]
    """A purpose file with a [game]."""
    model: str | None = None
    """Local model to train for, instead of the one that the purpose names."""
    writer: str | None = None
    """In the game `issue`: model that writes the patches. By default the model that the planner is trained for."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    write: bool = True
    """Save a significantly better planner to planners/ beside the purpose file, and name it in the file."""
    trust: bool = False
    """Trust the purpose file: its judges may call functions in the Python files beside it."""
    json: bool = False
    """Print the result as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""
    settings: tyro.conf.OmitArgPrefixes[PlannerTrainingSettings] = field(default_factory=PlannerTrainingSettings)

    def run(self) -> None:
        """Train and evaluate the planner, save it, and print the result."""
        from telic.games.base import build_game
        from telic.purpose import Purpose
        from telic.runs import RunFolder

        purpose = Purpose.load(self.purpose, trust=self.trust)
        game = build_game(game_of(purpose))  # a mistake is reported before anything is loaded
        if self.writer is not None and game.name != "issue":
            raise UsageError(f"--writer is for the game 'issue'; the game of {purpose.name!r} is {game.name!r}")
        name = self.model or purpose.model
        if locate(name)[0] in ("built-in", "endpoint"):
            raise ConfigError(
                f"model {name!r} does not run in this process, and training needs its gradient; expected a local model"
            )
        from telic.planner.report import write_train_report
        from telic.planner.training import train

        model = load_model(self.model or purpose)
        players = self._players(model, game_of(purpose)["name"])
        display = ProgressDisplay(quiet=self.quiet)
        try:
            with display:
                run = train(
                    model, purpose, folder=self.runs, resume=self.resume, progress=display, config=self.settings,
                    players=players,
                )  # fmt: skip
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        report = write_train_report(RunFolder.open(run.folder))
        written = self._write(run, purpose.name)
        if self.json:
            judged = [arm.model_dump(mode="json") for arm in run.arms]
            document = {
                "folder": str(run.folder),
                "report": str(report),
                "planner": str(run.path),
                "stage": run.stage,
                "headline": run.headline,
            }
            limit = run.shortfall.as_dict() if run.shortfall else None
            print_json(
                {**document, "shortfall": limit, "written": written, "validation": run.validation, "judged": judged}
            )
            return
        _print(run)
        print_shortfall(run.shortfall, run.folder)
        print_line(f"Report: {report}")
        if written:
            print_line(f"Written to {self.purpose}: [planner] path = {written!r}")

    def _players(self, model: Model, game: str) -> TrainingPlayers | None:
        """Return the players of a game that needs its own."""
        if game != "issue":
            return None
        from telic.assistants.pairing import AskingPlayers, PairConfig, PairProgrammer

        writer = load_model(self.writer) if self.writer else model
        return AskingPlayers(PairProgrammer(writer, PairConfig(ask="never")))

    def _write(self, run: TrainRun, name: str) -> str | None:
        """Save a significantly better planner beside the purpose file, and name it there; returns its path."""
        from telic.purpose import update_file

        file = Path(self.purpose)
        if not (self.write and run.better and file.is_file()):
            return None
        shutil.copytree(run.path, file.parent / "planners" / name, dirs_exist_ok=True)
        update_file(self.purpose, {"planner": {"path": f"planners/{name}"}})
        return f"planners/{name}"


def _print(run: TrainRun) -> None:
    rows = []
    for arm in run.arms:
        behaviour = arm.behaviour
        shown = (arm.returns, arm.gain, behaviour.perplexity, behaviour.distinct2, behaviour.turning)
        rows.append((arm.name, *map(_shown, shown)))
    print_table(("", "return", "gain over the baseline", "perplexity", "distinct pairs", "cosine of actions"), rows)
    print_line()
    print_line(run.headline)
    print_line(f"Planner: {run.path}")


def _shown(found: Interval | None) -> str:
    return "" if found is None else str(found)
