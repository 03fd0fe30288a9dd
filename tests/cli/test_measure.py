"""`telic measure`: what it prints and keeps, and that nothing is lost when it is stopped."""

from __future__ import annotations

import html
import json
import re
import signal
import stat
import subprocess
import time
from pathlib import Path

import pytest

from telic.runs import RunFolder
from tests.cli.conftest import PURPOSE, Run, Start
from tests.timed import Clock, SlowFake

QUICK = ("--rounds", "2", "--dialogues", "4", "--resamples", "100")
MEASURE = ("measure", "travel.toml", *QUICK)


def folder_of(tmp_path: Path) -> Path:
    [found] = [run.path for run in RunFolder.list(tmp_path / "runs")]
    return found


def episodes(folder: Path) -> list[str]:
    path = folder / "episodes.jsonl"
    return sorted(path.read_text(encoding="utf-8").splitlines()) if path.exists() else []


def wait_for(folder: Path, count: int, process: subprocess.Popen[str]) -> Path:
    """Wait until the run has so many episodes."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        found = list((folder / "runs").glob("measure-*"))
        if found and len(episodes(found[0])) >= count:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"no {count} episodes: {process.communicate()}")


def test_the_result_is_printed_and_kept(run: Run, travel: Path, tmp_path: Path) -> None:
    outcome = run(*MEASURE)
    folder = folder_of(tmp_path)
    assert outcome.status == 0
    assert outcome.out.splitlines()[0].split()[:2] == ["round", "stability"]
    assert outcome.out.endswith(f"Report: {folder.relative_to(tmp_path)}/report.html\n")
    assert f"continue with --resume {folder.relative_to(tmp_path)}" in outcome.error
    assert (folder / "report.html").is_file()
    assert len(episodes(folder)) == 4


def test_json_is_one_document_and_nothing_else(run: Run, travel: Path) -> None:
    outcome = run(*MEASURE, "--json")
    document = json.loads(outcome.out)
    assert list(document)[:2] == ["headline", "never_followed"]
    assert document["never_followed"] is None
    assert [point["round"] for point in document["curve"]] == [0, 1, 2]
    assert Path(document["report"]).is_file()
    assert (
        outcome.error
        == f"Run folder {document['folder']} (after an interruption, continue with --resume {document['folder']})\n"
    )
    quiet = run(*MEASURE, "--json", "--quiet")
    assert json.loads(quiet.out)["curve"] == document["curve"]
    assert quiet.error == ""


def test_a_probe_that_was_never_followed_comes_first_everywhere(run: Run, travel: Path, tmp_path: Path) -> None:
    travel.write_text(PURPOSE.replace('contains = "Mia"', 'contains = "Zorro"'))
    outcome = run(*MEASURE)
    sentence = (
        "The model never followed probe 'What is your name?' (0 of 8 answers before the dialogue), so it cannot drift "
        "from it."
    )
    assert outcome.out.splitlines()[0] == sentence
    assert "no significant drift" not in outcome.out
    report = html.unescape((folder_of(tmp_path) / "report.html").read_text(encoding="utf-8"))
    assert report.index(sentence) < report.index("stability at round 0")
    document = json.loads(run(*MEASURE, "--json").out)
    assert document["headline"] == document["never_followed"] == sentence[0].lower() + sentence[1:-1]
    assert document["starts"] == [
        {"probe": "What is your name?", "side": "travel", "family": "own", "followed": 0, "answers": 8}
    ]


def test_the_bank_can_be_the_partner(run: Run, travel: Path, tmp_path: Path) -> None:
    assert run(*MEASURE, "--partner", "bank").status == 0
    families = {json.loads(line)["roles"]["a"]["family"] for line in episodes(folder_of(tmp_path))}
    assert "user" not in families
    assert families <= {"format", "choice", "persona", "memory", "language"}


def test_the_bank_is_measured_on_both_sides(run: Run) -> None:
    outcome = run("measure", "bank", "--families", "persona", "memory", "--model", "fake", *QUICK, "--json")
    assert set(json.loads(outcome.out)["families"]) <= {"persona", "memory"}


def test_a_bank_is_named_and_results_are_given_by_demand(run: Run, tmp_path: Path) -> None:
    outcome = run("measure", "bank", "--bank", "retail", "--model", "fake", *QUICK)
    assert outcome.status == 0, outcome.error
    assert "demand" in outcome.out
    assert "memory" in outcome.out
    page = (folder_of(tmp_path) / "report.html").read_text()
    assert "By what the instruction demands of a reply" in page
    assert "unknown bank 'ifevel'; did you mean 'ifeval'" in run("measure", "bank", "--bank", "ifevel").error


def test_a_run_that_scores_nothing_is_a_failure_that_says_why(
    run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import telic.models

    monkeypatch.setattr(telic.models, "load", lambda name: telic.models.FakeModel(fail_every=1))
    outcome = run(*MEASURE)
    assert outcome.status == 1
    assert "Ended early: 4 of 4 dialogues (model: injected fault" in outcome.out
    assert "telic: no answer could be scored: model: injected fault" in outcome.error


def test_a_folder_that_cannot_be_written_is_reported(run: Run, travel: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = run(*MEASURE, "--runs", "file")
    assert (outcome.status, outcome.error) == (
        1,
        "telic: cannot create a run folder in 'file': it is a file. Choose another folder.\n",
    )
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        (locked / "x").mkdir()
    except PermissionError:
        outcome = run(*MEASURE, "--runs", "locked")
        assert outcome.status == 1
        assert "cannot create a run folder in 'locked': Permission denied" in outcome.error


def test_other_settings_are_refused_with_every_difference(run: Run, travel: Path, tmp_path: Path) -> None:
    run(*MEASURE)
    folder = folder_of(tmp_path)
    travel.write_text(PURPOSE.replace('"Mia"', '"Max"'))
    outcome = run("measure", "travel.toml", "--rounds", "3", *QUICK[2:], "--seed", "1", "--resume", str(folder))
    assert outcome.status == 1
    assert [line.split(":")[0].strip() for line in outcome.error.splitlines()[1:-1]] == [
        "measure.rounds",
        "measure.seed",
        "purpose.probes[0].judge.contains",
    ]
    assert "Traceback" not in outcome.error


@pytest.mark.parametrize("end", [b'{"id": "half', b"\x00\xff garbage\n"], ids=["cut", "garbage"])
def test_a_last_line_that_is_damaged_is_played_again(end: bytes, run: Run, travel: Path, tmp_path: Path) -> None:
    run(*MEASURE, "--concurrency", "1")
    folder = folder_of(tmp_path)
    whole = episodes(folder)
    path = folder / "episodes.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]) + end)
    viewed = run("view", str(folder), "--json")
    assert viewed.status == 0
    assert "the last line was cut short" in viewed.error
    assert json.loads(viewed.out)["counts"]["episodes"] == 3
    assert json.loads(run("view", "--json").out)[0]["episodes"] == 3
    outcome = run(*MEASURE, "--resume", str(folder))
    assert outcome.status == 0
    assert "is played again" in outcome.error
    assert episodes(folder) == whole


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["Ctrl-C", "kill -9"])
def test_a_run_that_was_stopped_goes_on(how: signal.Signals, start: Start, travel: Path, tmp_path: Path) -> None:
    settings = ("--rounds", "2", "--dialogues", "30", "--concurrency", "1", "--resamples", "100")
    process = start("measure", "travel.toml", *settings)
    folder = wait_for(tmp_path, 2, process)
    process.send_signal(how)
    out, error = process.communicate(timeout=30)
    played = episodes(folder)
    assert 2 <= len(played) < 30
    assert out == ""
    if how is signal.SIGINT:
        assert process.returncode == 130
        assert "Traceback" not in error
        assert error.endswith(f"To continue: telic measure --resume {folder.relative_to(tmp_path)}\n")
    with start("measure", "travel.toml", *settings, "--resume", str(folder), delay=0) as again:
        out, error = again.communicate(timeout=60)
    assert again.returncode == 0, error
    with start("measure", "travel.toml", *settings, "--runs", "whole", delay=0) as whole:
        whole.communicate(timeout=60)
    [reference] = [one.path for one in RunFolder.list(tmp_path / "whole")]
    assert episodes(folder) == episodes(reference)
    assert set(played) <= set(episodes(folder))


def test_two_do_not_write_into_one_folder(start: Start, run: Run, travel: Path, tmp_path: Path) -> None:
    process = start(*MEASURE, "--concurrency", "1", delay=0.05)
    folder = wait_for(tmp_path, 1, process)
    outcome = run(*MEASURE, "--resume", str(folder))
    process.kill()
    process.communicate()
    assert outcome.status == 1
    assert f"is being written by process {process.pid}" in outcome.error


def test_a_limit_says_what_was_finished_and_how_to_go_on(
    run: Run, travel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)
    monkeypatch.setattr("telic.models.load", lambda name: SlowFake(clock, 1.0))
    measuring = ("measure", "travel.toml", "--rounds", "2", "--dialogues", "30", "--samples", "1", "--resamples", "100")
    outcome = run(*measuring, "--minutes", "1")
    folder = folder_of(travel.parent)
    assert outcome.status == 0
    found = re.search(r"^--minutes 1: finished (\d+) of 30 dialogues\. (.*)$", outcome.out, re.MULTILINE)
    assert found is not None
    assert 4 <= int(found[1]) < 30
    assert found[2] == f"To play the rest, continue with --resume runs/{folder.name}."
    viewed = json.loads(run("view", str(folder), "--json").out)
    [listed] = json.loads(run("view", "--json").out)
    assert viewed["shortfall"] == listed["shortfall"]
    assert viewed["shortfall"]["parts"] == {"dialogues": {"finished": int(found[1]), "planned": 30}}
    note = f"{found[1]} of 30 dialogues; continue with: telic measure --resume runs/{folder.name}"
    assert note in run("view").out
    rest = run(*measuring, "--resume", str(folder), "--json")
    document = json.loads(rest.out)
    assert document["counts"]["episodes"] == 30
    assert document["shortfall"] is None
    assert json.loads(run("view", str(folder), "--json").out)["shortfall"] is None
    limited = json.loads(run(*measuring, "--minutes", "1", "--json").out)
    assert limited["shortfall"] == {
        "minutes": 1.0, "parts": {"dialogues": {"finished": int(found[1]), "planned": 30}}
    }  # fmt: skip


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
@pytest.mark.parametrize("verb", ["measure", "hold", "play"])
def test_a_limit_that_is_none_is_refused(verb: str, minutes: str, run: Run, travel: Path) -> None:
    outcome = run(verb, "elicitation" if verb == "play" else "travel.toml", "--model", "fake", "--minutes", minutes)
    assert outcome.status in (1, 2)
    assert "minutes is" in outcome.error
    assert "expected" in outcome.error
    assert not (travel.parent / "runs").exists()
