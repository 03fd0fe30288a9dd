"""`telic demo`: a chatbot that drifts, and the same one held."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live

from telic.cli.live_chart import LiveChart
from telic.cli.output import load_model, print_json, print_line, print_notice
from telic.cli.resuming import resume_hint
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import Interrupted
from telic.comparison.config import DEMO_CONTROL, DEMO_SEED, DemoConfig
from telic.episodes import BASELINE
from telic.progress import ProgressDisplay

if TYPE_CHECKING:
    from telic.comparison.demo import DemoRun
    from telic.episodes import Branch, Episode

__all__ = ["Demo"]

SPEAKERS = {"a": "user", "b": "chatbot"}
BATCH_BYTES, CACHE_BYTES = 150 << 20, 150 << 20
"""Memory for the keys and values of the batch, and for those that the dialogues keep."""
EXCERPT = 160
"""Most characters of an utterance that are printed."""


@dataclass
class Demo(ThreadOptions):
    """Show what Telic is for, in a few minutes: a chatbot that drifts, and the same one held by a control.

    Plays the same dialogues twice, without a control and with `refresh`, and draws both curves while it plays.

    Examples:
        telic demo
        telic demo --dialogues 20 --seed 7
    """

    model: str = "smollm2"
    """Model that plays both sides."""
    dialogues: int = DemoConfig().dialogues
    """Number of dialogues. Each is played twice."""
    seed: int = DEMO_SEED
    """Seed of the openers and all replies."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    json: bool = False
    """Print the result as JSON on standard output; everything else goes to standard error."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""

    def run(self) -> None:
        """Play, report, print."""
        from telic.comparison.demo import demo
        from telic.comparison.demo_report import write_demo_report

        config = DemoConfig.of(dialogues=self.dialogues, seed=self.seed)
        model = load_model(self.model, batch_bytes=BATCH_BYTES, cache_bytes=CACHE_BYTES)
        chart = LiveChart((BASELINE, DEMO_CONTROL["name"]), config.rounds)
        display = ProgressDisplay(quiet=self.quiet, counts=not Console(stderr=True).is_terminal)
        try:
            with display, nullcontext() if self.quiet else _curves(chart) as on_branch:
                run = demo(
                    model, folder=self.runs, resume=self.resume, progress=display, on_branch=on_branch, config=config
                )
        except KeyboardInterrupt:
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        report = write_demo_report(run.folder, run)
        if not self.json:
            _print(run, report, print_line)
            return
        if not self.quiet:
            _print(run, report, print_notice)
        print_json({"folder": str(run.folder), "report": str(report), **run.as_dict()})


@contextmanager
def _curves(chart: LiveChart) -> Iterator[Callable[[Episode, Branch], None]]:
    """Draw the curves on standard error while they grow; where that is not a terminal, once they are complete."""
    from telic.comparison.demo import arm_of

    console = Console(stderr=True, highlight=False)

    def on_branch(episode: Episode, branch: Branch) -> None:
        chart.add(arm_of(episode), branch.round, [answer.score for answer in branch.answers])

    with Live(chart, console=console, refresh_per_second=4) if console.is_terminal else nullcontext():
        yield on_branch
    if not console.is_terminal:
        console.print(chart)


def _print(run: DemoRun, report: Path, show: Callable[..., None]) -> None:
    """Show the end of the dialogue in which the arms differ most, the finding, and where the report is."""
    pair = run.excerpt()
    if pair is not None:
        for title, episode in zip(("Without a control:", f"With {run.control}:"), pair, strict=True):
            show(title, style="bold")
            for line in _last_lines(episode):
                show(f"  {line}")
            show()
    show(f"{run.headline[:1].upper()}{run.headline[1:]}.")
    show(f"Report: {report}")


def _last_lines(episode: Episode) -> list[str]:
    """The last exchange of a dialogue, and the last answers to its probes."""
    from telic.comparison.demo import last_branches

    lines = [f"{SPEAKERS[turn.role]}: {shorten(turn.text, EXCERPT)}" for turn in episode.turns[-2:]]
    for branch in last_branches(episode)[1]:
        [answer, *_] = branch.answers
        mark = "missing" if answer.score is None else "right" if answer.score == 1 else "wrong"
        lines.append(f"probe: {branch.question} - {shorten(answer.text, EXCERPT)} ({mark})")
    return lines
