"""`telic view`: past runs, and their reports."""

from __future__ import annotations

import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from telic.cli.output import print_json, print_line, print_notice
from telic.errors import RunError

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.run_summary import RunSummary
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
    """Open the report of this run in a browser, or else the report of the latest finished run."""
    json: bool = False
    """Print the result as JSON."""
    find: str = ""
    """List only runs that contain all of these words in their purpose, model, status or finding."""

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
        from telic.reports import write_run_index
        from telic.run_summary import summarise_runs

        runs = summarise_runs(self.runs)
        found = [run for run in runs if run.matches(self.find)]
        if self.json:
            print_json([_as_row(run) for run in reversed(found)])
        elif not runs:
            print_line(f"No runs in {self.runs}. Make one with: telic measure")
        elif not found:
            print_line(f"No run in {self.runs} matches {self.find!r}.")
        else:
            for run in reversed(found):  # the latest is next to the prompt
                _print_run(run)
            if index := write_run_index(self.runs):
                print_line(f"The same list with curves and a filter: {index}")

    def _render(self, folder: Path) -> None:
        from telic.runs import RunFolder

        run = RunFolder.open(self.runs / folder if _is_name(folder) else folder)
        verb = run.document.get("verb")
        if self.inspect and verb not in ("measure", "attack"):
            raise RunError(f"--inspect: {run.path} is a run of {verb!r}; expected a run of measure or attack")
        renderers = {
            "demo": self._render_demo,
            "measure": self._render_measure,
            "hold": self._render_hold,
            "play": self._render_play,
            "train": self._render_train,
            "attack": self._render_attack,
            "learn": self._render_learn,
            "pair": self._render_pair,
        }
        if verb not in renderers:
            raise RunError(
                f"{run.path} is a run of {verb!r}; expected one of {', '.join(renderers)}; update Telic to read it"
            )
        renderers[verb](run)

    def _render_demo(self, run: RunFolder) -> None:
        from telic.comparison.demo import read_demo
        from telic.comparison.demo_report import write_demo_report

        self._show({"report": str(write_demo_report(run.path, read_demo(run)))}, {})

    def _render_measure(self, run: RunFolder) -> None:
        from telic.stability.analysis import analyse_stability
        from telic.stability.report import write_stability_report

        document, episodes = run.document, _episodes_of(run)
        if "transcripts" in run.config:
            self._render_transcripts(run)
            return
        stability = analyse_stability(episodes, resamples=document.get("settings", {}).get("resamples", 2000))
        written: dict[str, Any] = {"report": str(write_stability_report(run.path, stability, episodes, document))}
        if self.inspect:
            from telic.inspect_log import to_inspect

            written["inspect"] = str(to_inspect(episodes, document, run.path / "inspect.eval"))
        self._show(written, stability.model_dump(mode="json"))

    def _render_transcripts(self, run: RunFolder) -> None:
        from telic.comparison.transcript_report import write_transcript_report
        from telic.comparison.transcript_results import read_transcripts

        if self.inspect:
            raise RunError(f"--inspect: {run.path} was measured along recorded dialogues; expected self-chats")
        found = read_transcripts(run)
        self._show({"report": str(write_transcript_report(run.path, found))}, found.as_dict())

    def _render_hold(self, run: RunFolder) -> None:
        from telic.comparison.report import write_comparison_report
        from telic.comparison.results import read_comparison

        self._show({"report": str(write_comparison_report(run.path, read_comparison(run)))}, {})

    def _render_play(self, run: RunFolder) -> None:
        from telic.cli.play_view import print_results
        from telic.rollouts.report import references_of, write_play_report
        from telic.rollouts.results import analyse_games

        episodes = _episodes_of(run)
        results = analyse_games(episodes, references_of(run))
        report = write_play_report(run.path, results, episodes, run.document)
        if not self.json:
            print_results(results)
        self._show({"report": str(report)}, {"results": [result.model_dump(mode="json") for result in results]})

    def _render_train(self, run: RunFolder) -> None:
        from telic.planner.report import write_train_report

        self._show({"report": str(write_train_report(run))}, {})

    def _render_attack(self, run: RunFolder) -> None:
        from telic.redteam.reading import write_report_again

        written = {"report": str(write_report_again(run))}
        if self.inspect:
            from telic.inspect_log import attacks_to_inspect

            path = run.path / "inspect.eval"
            written["inspect"] = str(attacks_to_inspect(run.episodes.latest(), run.document, path))
        self._show(written, {})

    def _render_learn(self, run: RunFolder) -> None:
        from telic.feedback.report import read_analysis, write_learn_report

        learned = run.path / "planner" / "learned.json"
        if "learn" in run.config:  # a training: what was learnt is its report
            if not learned.is_file():
                raise RunError(f"{run.path} is not finished; continue it with: telic learn ... --resume {run.path}")
            self._show({"report": str(learned)}, {})
            return
        analysis = read_analysis(run)
        report = write_learn_report(run.path, analysis, run.document)
        self._show({"report": str(report)}, analysis.model_dump(mode="json"))

    def _render_pair(self, run: RunFolder) -> None:
        from telic.assistants.pairing.report import write_pair_report

        self._show({"report": str(write_pair_report(run))}, {})

    def _show(self, written: dict[str, Any], result: dict[str, Any]) -> None:
        from telic.run_summary import read_shortfall

        if self.json:
            shortfall = read_shortfall(Path(written["report"]).parent)
            print_json({**written, **result, "shortfall": shortfall.as_dict() if shortfall else None})
        else:
            for kind, path in written.items():
                print_line(f"{kind}: {path}")
        if self.open:
            webbrowser.open(Path(written["report"]).resolve().as_uri())


def _episodes_of(run: RunFolder) -> list[Episode]:
    if run.episodes.cut_short():
        print_notice(f"{run.episodes.path}: the last line was cut short and is left out; --resume plays it again")
    return run.episodes.latest()


def _as_row(run: RunSummary) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "verb": run.verb,
        "name": run.name,
        "model": run.model,
        "started": str(run.started or "?"),
        "episodes": run.episodes,
        "status": run.status,
        "headline": run.headline,
        "shortfall": run.shortfall.as_dict() if run.shortfall else None,
        "report": run.has_report,
    }


def _print_run(run: RunSummary) -> None:
    """Print a run: its folder and status, what was run, its finding."""
    facts = [
        f"{run.name} on {run.model}" if run.model else run.name,
        "" if run.episodes is None else f"{run.episodes} episodes",
        "" if run.started is None else f"{run.started:%Y-%m-%d %H:%M}",
    ]
    from telic.reports.run_index import run_status_note

    print_line(f"{run.path}  {run.status}", style="bold")
    if run.status != "damaged":
        print_line("  " + " · ".join(filter(None, facts)))
    for text in filter(None, (run.headline, run_status_note(run))):
        print_line(f"  {text}")
    print_line()


def _is_name(folder: Path) -> bool:
    """Return whether the user named a run without its folder of runs."""
    return len(folder.parts) == 1 and not folder.exists()
