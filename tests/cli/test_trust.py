"""A purpose file that somebody sent: it runs no code, and keeps no password in a run folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import PURPOSE, Run

QUICK = ("--rounds", "1", "--dialogues", "2", "--resamples", "100")
CODE = PURPOSE.replace('contains = "Mia"', 'callable = "checks:polite"')


@pytest.fixture
def sent(travel: Path) -> Path:
    """A purpose file with a module beside it that leaves a trace when it runs."""
    travel.write_text(CODE)
    ran = travel.with_name("ran")
    travel.with_name("checks.py").write_text(f"open({str(ran)!r}, 'w').close()\ndef polite(answer): return True\n")
    return ran


@pytest.mark.parametrize(
    "command", [("measure", *QUICK), ("hold", "--dialogues", "2"), ("serve", "--port", "0"), ("chat",)]
)
def test_its_code_does_not_run(command: tuple[str, ...], run: Run, sent: Path) -> None:
    outcome = run(command[0], "travel.toml", *command[1:])
    if command[0] != "chat":  # which judges nothing
        assert outcome.status == 1
        assert "travel.toml, line 7: probes[0].judge: judge 'callable': 'checks:polite' is code" in outcome.error
        assert "add --trust" in outcome.error
    assert not sent.exists()


def test_its_code_runs_if_it_is_trusted(run: Run, sent: Path) -> None:
    outcome = run("measure", "travel.toml", *QUICK, "--trust", "--json")
    assert outcome.status == 0, outcome.error
    assert sent.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("measure", "bank", *QUICK),
        ("hold", "bank", *QUICK, "--tuning-dialogues", "1", "--controls", "reminder:every=1"),
        ("hold", "travel.toml", *QUICK, "--tuning-dialogues", "1", "--controls", "reminder:every=1", "--no-write"),
    ],
)
def test_a_banks_code_runs_only_if_it_is_trusted(command: tuple[str, ...], run: Run, sent: Path, travel: Path) -> None:
    travel.write_text(PURPOSE)
    entry = '[[triplets]]\nid = "{}"\nsystem = "You are Mia."\nask = "Who?"\njudge = {{ callable = "checks:polite" }}\n'
    travel.with_name("mine.toml").write_text("".join(entry.format(name) for name in "ab"))
    command = (*command, "--model", "fake", "--bank", "mine.toml")
    outcome = run(*command)
    assert outcome.status == 1
    assert "mine.toml, line 5: triplets[0].judge: judge 'callable': 'checks:polite' is code" in outcome.error
    assert not sent.exists()
    outcome = run(*command, "--trust", "--json")
    assert outcome.status == 0, outcome.error
    assert sent.exists()


@pytest.mark.parametrize(
    "command",
    [
        ("measure", "travel.toml", "--model", "http://me:hunter2@127.0.0.1:9/v1#m", *QUICK),
        ("play", "elicitation", "--agent", "model:http://me:hunter2@127.0.0.1:9/v1#m", "--ray", "local"),
        ("play", "elicitation", "--model", "fake", "--judge", "http://me:hunter2@127.0.0.1:9/v1#m"),
    ],
)
def test_a_password_reaches_no_message_and_no_run_folder(
    command: tuple[str, ...], run: Run, travel: Path, tmp_path: Path
) -> None:
    outcome = run(*command)
    assert outcome.status == 1
    assert "http://***@127.0.0.1:9/v1" in outcome.error
    assert "hunter2" not in outcome.error + outcome.out
    assert not any(b"hunter2" in path.read_bytes() for path in (tmp_path / "runs").rglob("*") if path.is_file())
