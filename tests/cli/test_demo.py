"""`telic demo`, on the bundled model: both arms, what is printed, and how it is resumed."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console

from telic.cli.live_chart import LiveChart
from telic.runs import RunFolder

from .conftest import Run


def test_a_demo_plays_both_arms_and_resumes(run: Run, tmp_path: Path) -> None:
    shown = run("demo", "--dialogues", "2", "--runs", "runs")
    assert shown.status == 0, shown.error
    assert "baseline" in shown.error
    assert "rounds played" in shown.error
    assert shown.out.count("probe: When does the last ferry") == 2
    [folder] = [one.path for one in RunFolder.list(tmp_path / "runs")]
    assert f"Report: {Path('runs') / folder.name}" in shown.out

    episodes = RunFolder.open(folder).episodes.latest()
    arms = {arm: [e for e in episodes if e.id.startswith(f"demo/{arm}/")] for arm in ("baseline", "refresh")}
    assert [len(played) for played in arms.values()] == [2, 2]
    for one, other in zip(*arms.values(), strict=True):
        assert one.seed == other.seed
        assert one.turns[0] == other.turns[0], "both arms share the opener"
        assert [branch.question for branch in one.branches] == [branch.question for branch in other.branches]

    again = run("demo", "--dialogues", "2", "--resume", f"runs/{folder.name}", "--json")
    assert again.status == 0, again.error
    document = json.loads(again.out)
    assert document["last_gain"]["n"] == 2
    assert document["headline"][1:] in shown.out
    assert document["headline"][1:] in again.error
    assert RunFolder.open(folder).episodes.latest() == episodes, "a resumed demo plays nothing again"
    page = (folder / "report.html").read_text()
    (folder / "report.html").unlink()
    assert run("view", f"runs/{folder.name}").status == 0
    assert (folder / "report.html").read_text() == page, "the report is written again"
    assert "Probes asked after round 3" in page
    assert (folder / "curves.png").exists()


def test_a_model_that_refresh_cannot_steer_is_refused_before_anything_is_written(run: Run, tmp_path: Path) -> None:
    shown = run("demo", "--model", "fake")
    assert shown.status == 1
    assert "control 'refresh' acts on logits" in shown.error
    assert not (tmp_path / "runs").exists()


def test_the_chart_shows_where_each_curve_is() -> None:
    chart = LiveChart(("baseline", "refresh"), 4)
    chart.add("baseline", 0, [1.0, None, 0.5])
    chart.add("baseline", 4, [0.0])
    chart.add("refresh", 0, [1.0])
    assert chart.curve("baseline") == [(0, 0.75), (4, 0.0)]
    console = Console(width=80)
    with console.capture() as captured:
        console.print(chart)
    lines = captured.get().splitlines()
    top = next(line for line in lines if "100%" in line)
    bottom = next(line for line in lines if line.lstrip().startswith("0%"))
    assert top.index("●") == top.index("│") + 1, "refresh starts at the top left"
    assert bottom.rstrip().endswith("o"), "the baseline ends at the bottom right"
    assert "baseline     0% after round 4" in captured.get()
    assert "refresh      100% after round 0" in captured.get()
