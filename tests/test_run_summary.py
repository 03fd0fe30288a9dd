"""What a list of runs says of each."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from telic.episodes import Episode
from telic.errors import Failure
from telic.run_summary import RunSummary, summarise_run, summarise_runs
from telic.runs import RunFolder

CURVE = [
    {"round": 0, "stability": 0.9, "low": 0.8, "high": 1.0, "n": 4},
    {"round": 1, "stability": None, "low": None, "high": None, "n": 0},
    {"round": 2, "stability": 0.5, "low": None, "high": None, "n": 4},
]


def episode(name: str, failure: Failure | None = None) -> Episode:
    return Episode(id=name, kind="selfchat", seed=1, roles={}, failure=failure)


def test_a_finished_run_has_its_model_its_episodes_its_finding_and_its_curve(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "travel", {"model": "smollm2"}) as run:
        run.episodes.append(episode('a "quoted" one', Failure("model", "timeout", "")))
        run.episodes.append(episode('a "quoted" one'))  # played again
        run.episodes.append(episode("b"))
        run.append_metrics({"headline": "drifts from round 2", "stability": {"curve": CURVE}})
    (run.path / "report.html").touch()
    found = summarise_run(run)
    assert (found.verb, found.name, found.model, found.episodes) == ("measure", "travel", "smollm2", 2)
    assert (found.status, found.headline, found.has_report) == ("finished", "Drifts from round 2.", True)
    first, last = found.curves["stability"]
    assert first == {"round": 0, "stability": 0.9, "low": 0.8, "high": 1.0, "n": 4}
    assert last == {"round": 2, "stability": 0.5, "n": 4}


def test_a_comparison_shows_the_curves_of_the_baseline_and_the_best_control(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "hold", "travel", {"model": "smollm2"}) as run:
        arms = [{"name": name, "stability": {"curve": CURVE}} for name in ("baseline", "refresh", "reminder")]
        run.append_metrics({"headline": "refresh holds", "compared": arms})
    assert list(summarise_run(run).curves) == ["baseline", "refresh"]
    with RunFolder.create(tmp_path, "demo", "travel", {"model": "smollm2"}) as demo:
        demo.append_metrics({"headline": "refresh holds", "baseline": {"curve": CURVE}, "held": {"curve": CURVE}})
    assert list(summarise_run(demo).curves) == ["baseline", "held"]


def test_the_models_of_a_game_are_those_of_its_players(tmp_path: Path) -> None:
    players = {"agent": {"model": "smollm2"}, "partner": {"scripted": "eliza"}, "third": {"model": "gpt"}}
    with RunFolder.create(tmp_path, "play", "chess", {"players": players}) as run:
        pass
    assert summarise_run(run).model == "smollm2, gpt"


@pytest.mark.parametrize("edited", ["2 minutes", {}, {"minutes": 2, "parts": {"dialogues": 14}}])
def test_a_shortfall_that_cannot_be_read_leaves_the_finding(edited: object, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "travel", {}) as run:
        run.append_metrics({"headline": "it holds", "shortfall": edited})
    found = summarise_run(run)
    assert (found.status, found.headline, found.shortfall) == ("finished", "It holds.", None)


def test_a_training_counts_the_episodes_of_its_stages(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "train", "travel", {"model": "smollm2"}) as run:
        for stage in ("collect", "held-out"):
            with RunFolder.create(run.path / "episodes" / stage, "play", "travel", {}) as inner:
                inner.episodes.append(episode("a"))
    assert summarise_run(run).episodes == 2
    assert [one.verb for one in summarise_runs(tmp_path)] == ["train"]


def test_the_status_says_whether_a_run_goes_on_was_interrupted_or_failed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no answer"), RunFolder.create(tmp_path, "measure", "a", {}):
        raise ValueError("no answer from the endpoint")
    with pytest.raises(KeyboardInterrupt), RunFolder.create(tmp_path, "measure", "b", {}):
        raise KeyboardInterrupt
    with RunFolder.create(tmp_path, "measure", "c", {}) as running:
        assert summarise_run(RunFolder.open(running.path)).status == "running"
        latest, interrupted, failed = summarise_runs(tmp_path)
        assert latest.path == running.path
    assert (failed.status, failed.headline) == ("failed", "No answer from the endpoint.")
    assert (interrupted.status, interrupted.headline) == ("interrupted", "")
    with RunFolder.resume(failed.path, {}) as again:
        again.append_metrics({"headline": "it holds"})
    assert summarise_run(again).status == "finished", "what came of it in the end"


def test_a_run_of_another_process_is_running_until_that_process_ends(tmp_path: Path) -> None:
    code = (
        "import sys; from telic.runs import RunFolder; run = RunFolder.create(sys.argv[1], 'measure', 'a', {});"
        "print(run.path, flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        run = RunFolder.open(process.stdout.readline().strip())
        assert summarise_run(run).status == "running"
        process.kill()
    assert summarise_run(run).status == "interrupted"


@pytest.mark.parametrize("curve", [[{"round": 1}], ["no point"], [{"round": 1, "stability": "high"}], 3, None])
def test_a_curve_that_was_edited_hides_nothing_else(curve: object, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "travel", {}) as run:
        run.append_metrics({"headline": "it holds", "stability": {"curve": curve}})
    found = summarise_run(run)
    assert (found.headline, found.status, dict(found.curves)) == ("It holds.", "finished", {})


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.toml", b"name = ["),
        ("config.toml", b"\xff"),
        ("episodes.jsonl", b'{"id": 3}\n{"id": "a"}\n'),
        ("metrics.jsonl", b'{"headline": \n'),
    ],
)
def test_a_damaged_run_is_listed_as_damaged(file: str, content: bytes, tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "travel", {}) as run:
        pass
    (run.path / file).write_bytes(content)
    assert [(one.path, one.status, one.episodes) for one in summarise_runs(tmp_path)] == [(run.path, "damaged", None)]


def test_words_are_found_in_what_is_shown() -> None:
    run = RunSummary(
        Path("runs/measure-travel-1"), name="travel", model="smollm2", status="failed", headline="It fell."
    )
    assert run.matches("TRAVEL fell")
    assert run.matches("")
    assert run.matches("failed measure")
    assert not run.matches("travel hold")
