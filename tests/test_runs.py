"""Run folders: what is recorded, who may write, and what is left after a kill."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telic.dialogue import Message
from telic.episodes import Episode
from telic.errors import ConfigError, DataError, RunError
from telic.runs import RunFolder, versions
from telic.toml_edit import dump, to_toml_types

CONFIG: dict[str, Any] = {
    "rounds": 8,
    "seed": None,
    "model": Path("models/m.gguf"),
    "roles": ("a", "b"),
    "purpose": {"name": "demo", "probes": [{"ask": "Who?", "judge": {"contains": "Mia"}}], "rules": []},
}


def episode(name: str) -> Episode:
    return Episode(id=name, kind="selfchat", seed=1, roles={})


def test_a_run_folder_records_what_was_asked_and_with_what(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "runs", "measure", "Travel Agent/é", CONFIG, {"batch": 16}) as run:
        assert run.path.parent == tmp_path / "runs"
        assert run.path.name.startswith("measure-travel-agent-é-20")
    document = RunFolder.open(run.path).document
    assert document["config"] == to_toml_types(CONFIG)
    assert "seed" not in document["config"], "TOML has no null"
    assert document["settings"] == {"batch": 16}
    assert document["versions"] == versions()
    assert document["versions"]["python"] == sys.version.split()[0]
    assert (document["verb"], document["name"]) == ("measure", "Travel Agent/é")
    assert document["started"].tzinfo is not None


def test_runs_of_the_same_second_get_their_own_folders_in_order(tmp_path: Path) -> None:
    runs = [RunFolder.create(tmp_path, "measure", "demo", {"n": number}) for number in range(12)]
    assert len({run.path for run in runs}) == 12
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert [run.config["n"] for run in RunFolder.list(tmp_path)] == list(range(12))
    assert RunFolder.list(tmp_path / "none") == []


def test_metrics_are_lines_without_invalid_numbers(tmp_path: Path) -> None:
    import numpy as np

    run = RunFolder.create(tmp_path, "measure", "demo", {})
    run.append_metrics(
        {"round": 1, "loss": float("nan"), "curve": np.array([1.5, np.inf]), "n": np.int64(3), "p": tmp_path}
    )
    run.append_metrics({"text": "ä\u2028b"})
    assert list(run.read_metrics()) == [
        {"round": 1, "loss": None, "curve": [1.5, None], "n": 3, "p": str(tmp_path)},
        {"text": "ä\u2028b"},
    ]
    assert "NaN" not in (run.path / "metrics.jsonl").read_text(encoding="utf-8")


def test_a_run_that_was_opened_is_for_reading(tmp_path: Path) -> None:
    path = RunFolder.create(tmp_path, "measure", "demo", {}).path
    with pytest.raises(RunError, match="open for reading"):
        RunFolder.open(path).append_metrics({"x": 1})


def test_resume_goes_on_where_the_run_was_killed(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "demo", CONFIG) as run:
        for name in ("a", "b", "c"):
            run.episodes.append(episode(name))
        run.append_metrics({"n": 1})
        run.append_metrics({"n": 2})
    for name in ("episodes.jsonl", "metrics.jsonl"):
        path = run.path / name
        os.truncate(path, path.stat().st_size - 3)
    with RunFolder.resume(run.path, CONFIG) as resumed:
        assert resumed.done() == {"a", "b"}
        assert len(resumed.warnings) == 1
        assert "cut short" in resumed.warnings[0]
        resumed.episodes.append(episode("c"))
        resumed.append_metrics({"n": 3})
    assert [found.id for found in RunFolder.open(run.path).episodes] == ["a", "b", "c"]
    assert [record["n"] for record in RunFolder.open(run.path).read_metrics()] == [1, 3]


def test_resume_of_a_run_without_episodes_starts_from_none(tmp_path: Path) -> None:
    RunFolder.create(tmp_path, "measure", "demo", CONFIG).close()
    with RunFolder.resume(RunFolder.list(tmp_path)[0].path, CONFIG) as run:
        assert run.done() == set()
        assert run.warnings == []


def test_resume_refuses_another_configuration_and_names_every_difference(tmp_path: Path) -> None:
    path = RunFolder.create(tmp_path, "measure", "demo", CONFIG, {"batch": 4}).path
    purpose = {"name": "demo", "probes": [{"ask": "Who?", "judge": {"contains": "Max"}}], "rules": ["Be kind."]}
    with pytest.raises(ConfigError) as caught:
        RunFolder.resume(path, {**CONFIG, "rounds": 16, "seed": 3, "purpose": purpose})
    assert str(caught.value).split("\n")[1:-1] == [
        "  purpose.probes[0].judge.contains: the run has 'Mia', this command 'Max'",
        "  purpose.rules: the run has [], this command ['Be kind.']",
        "  rounds: the run has 8, this command 16",
        "  seed: the run has not set, this command 3",
    ]
    RunFolder.resume(path, CONFIG).close()  # the refusal has let go of the lock


def test_resume_notes_other_versions(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "demo", CONFIG) as run:
        pass
    config = run.path / "config.toml"
    config.write_text(config.read_text().replace(f'python = "{versions()["python"]}"', 'python = "3.0.0"'))
    with RunFolder.resume(run.path, CONFIG) as resumed:
        assert resumed.warnings == [f"resumed with other versions: python was 3.0.0, is {versions()['python']}"]
    assert [record["resumed"]["python"] for record in resumed.read_metrics()] == [versions()["python"]]


HOLDER = """
import sys, time
from telic.runs import RunFolder
run = RunFolder.create(sys.argv[1], "measure", "demo", {"x": 1})
print(run.path, flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is fcntl's")
def test_two_processes_never_write_the_same_folder_and_a_kill_frees_it(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    with holder:
        assert holder.stdout is not None
        path = holder.stdout.readline().strip()
        try:
            with pytest.raises(RunError, match=f"is being written by process {holder.pid} on "):
                RunFolder.resume(path, {"x": 1})
            assert RunFolder.open(path).config == {"x": 1}, "reading needs no lock"
        finally:
            holder.send_signal(signal.SIGKILL)
    RunFolder.resume(path, {"x": 1}).close()


@pytest.mark.skipif(sys.platform == "win32", reason="the lock is fcntl's")
def test_one_process_cannot_open_a_run_twice_for_writing(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "measure", "demo", {})
    with pytest.raises(RunError, match="is being written by"):
        RunFolder.resume(run.path, {})
    run.close()
    RunFolder.resume(run.path, {}).close()


@pytest.mark.parametrize("below", ["file", "file/deeper"])
def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path, below: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"cannot create a run folder in '.*file.*': .*\. Choose another folder\."):
        RunFolder.create(tmp_path / below, "measure", "demo", {})


def test_what_is_not_a_run_is_refused(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "measure", "demo", {}).path
    with pytest.raises(RunError, match=f"does not exist; did you mean '{run}'"):
        RunFolder.open(f"{run}x")
    with pytest.raises(RunError, match=r"is not a run folder: it has no config\.toml"):
        RunFolder.open(tmp_path)
    with pytest.raises(RunError, match="is not a folder"):
        RunFolder.open(run / "config.toml")


def test_an_edited_folder_is_refused_not_repaired(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path, "measure", "demo", {}) as run:
        run.episodes.append(episode("a"))
        run.episodes.append(episode("b"))
    store = run.path / "episodes.jsonl"
    store.write_text("{}\n" + store.read_text())
    with pytest.raises(DataError, match="line 1"):
        RunFolder.open(run.path).done()
    (run.path / "config.toml").write_text("name = \n")
    with pytest.raises(RunError, match=r"config\.toml: .*line 1"):
        RunFolder.resume(run.path, {})


def test_a_configuration_that_toml_cannot_hold_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"config\.a: found .*object"):
        RunFolder.create(tmp_path / "runs", "measure", "demo", {"a": object()})
    assert not (tmp_path / "runs").exists()


leaves = st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(max_size=8)
configs = st.dictionaries(
    st.text(max_size=6),
    st.recursive(
        leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_size=4,
)


@settings(deadline=None)
@given(configs)
def test_every_configuration_survives_being_written(config: dict[str, Any]) -> None:
    assert tomllib.loads(dump(config, depth=3)) == config


def test_models_are_written_as_tables(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "measure", "demo", {"message": Message(role="user", content="hi")})
    assert run.config == {"message": {"role": "user", "content": "hi", "tool_calls": []}}
