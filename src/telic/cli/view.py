"""`telic view`: past runs, and their reports."""

from __future__ import annotations

import webbrowser
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.cli.output import print_json, print_line, print_notice, print_table
from telic.errors import RunError, TelicError

if TYPE_CHECKING:
    from telic.runs import RunFolder

__all__ = ["View"]


@dataclass
class View:
    """List past runs, or write the report of one again.

    Examples:
        telic view
        telic view --open
        telic view runs/measure-travel-agent-20260101-120000 --inspect
    """

    run_folder: tyro.conf.Positional[Path | None] = None
    """The run folder, or its name in --runs. Without it, all runs are listed."""
    runs: Path = Path("runs")
    """Folder of the runs."""
    inspect: bool = False
    """Also write the run in Inspect's log format, which `inspect view` shows."""
    open: bool = False
    """Open the report in a browser: that of this run, or else that of the latest finished run."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """List the runs, or write a report."""
        if self.run_folder is not None:
            self._render(self.run_folder)
        elif self.open:
            self._render(self._latest_finished())
        else:
            self._list()

    def _latest_finished(self) -> Path:
        """Return the folder of the latest run with a report: one that was interrupted has none."""
        from telic.runs import RunFolder

        runs = RunFolder.list(self.runs)
        if not runs:
            raise RunError(f"no runs in {self.runs}. Make one with: telic measure")
        finished = [run for run in runs if (run.path / "report.html").is_file()]
        if not finished:
            raise RunError(f"no run in {self.runs} is finished. Report on an unfinished one with: telic view FOLDER")
        if finished[-1] is not runs[-1]:
            print_notice(f"{runs[-1].path} is not finished; this is the latest finished run.", style="dim")
        return finished[-1].path

    def _list(self) -> None:
        from telic.runs import RunFolder

        rows = []
        for run in RunFolder.list(self.runs):
            document: dict[str, Any] = {}
            episodes: int | None = None
            with suppress(TelicError):  # a damaged run does not hide the others
                document = run.document
                episodes = len(run.done())
            rows.append(
                {
                    "run": str(run.path),
                    "verb": document.get("verb", "?"),
                    "name": document.get("name", "?"),
                    "started": str(document.get("started", "?")),
                    "episodes": episodes,
                    "report": (run.path / "report.html").is_file(),
                }
            )
        if self.json:
            print_json(rows)
        elif not rows:
            print_line(f"No runs in {self.runs}. Make one with: telic measure")
        else:
            print_table(
                ("run", "started", "episodes", "report"),
                [
                    (str(r["run"]), str(r["started"])[:16], _count(r["episodes"]), "yes" if r["report"] else "no")
                    for r in rows
                ],
            )

    def _render(self, folder: Path) -> None:
        from telic.comparison.report import write_comparison_report
        from telic.comparison.results import read_comparison
        from telic.runs import RunFolder
        from telic.stability.analysis import analyse_stability
        from telic.stability.report import write_stability_report

        run = RunFolder.open(self.runs / folder if _is_name(folder) else folder)
        document = run.document
        if self.inspect and document.get("verb") != "measure":
            raise RunError(f"--inspect: {run.path} is a run of {document.get('verb')!r}; expected a run of measure")
        if document.get("verb") == "hold":
            report = write_comparison_report(run.path, read_comparison(run))
            self._show({"report": str(report)}, {})
            return
        if document.get("verb") == "play":
            self._render_play(run)
            return
        if document.get("verb") == "train":
            from telic.planner.report import write_train_report

            self._show({"report": str(write_train_report(run))}, {})
            return
        if document.get("verb") != "measure":
            raise RunError(
                f"{run.path} is a run of {document.get('verb')!r}; expected measure, hold, play or train; update Telic "
                "to read it"
            )
        if run.episodes.cut_short():
            print_notice(f"{run.episodes.path}: the last line was cut short and is left out; --resume plays it again")
        episodes = run.episodes.latest()
        stability = analyse_stability(episodes, resamples=document.get("settings", {}).get("resamples", 2000))
        written: dict[str, Any] = {"report": str(write_stability_report(run.path, stability, episodes, document))}
        if self.inspect:
            from telic.inspect_log import to_inspect

            written["inspect"] = str(to_inspect(episodes, document, run.path / "inspect.eval"))
        self._show(written, stability.model_dump(mode="json"))

    def _render_play(self, run: RunFolder) -> None:
        from telic.cli.play_view import print_results
        from telic.rollouts.report import references_of, write_play_report
        from telic.rollouts.results import analyse_games

        if run.episodes.cut_short():
            print_notice(f"{run.episodes.path}: the last line was cut short and is left out; --resume plays it again")
        episodes = run.episodes.latest()
        results = analyse_games(episodes, references_of(run))
        report = write_play_report(run.path, results, episodes, run.document)
        if not self.json:
            print_results(results)
        self._show({"report": str(report)}, {"results": [result.model_dump(mode="json") for result in results]})

    def _show(self, written: dict[str, Any], result: dict[str, Any]) -> None:
        if self.json:
            print_json({**written, **result})
        else:
            for kind, path in written.items():
                print_line(f"{kind}: {path}")
        if self.open:
            webbrowser.open(Path(written["report"]).resolve().as_uri())


def _count(value: object) -> str:
    return "damaged" if value is None else str(value)


def _is_name(folder: Path) -> bool:
    """Return whether the user named a run without its folder of runs."""
    return len(folder.parts) == 1 and not folder.exists()
