"""`telic hold`, and controls on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telic.cli.controls import parse_controls
from telic.cli.usage import UsageError
from telic.models import ScriptedModel
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.steering import AttentionHold, Reminder, SplitSoftmax
from tests.cli.conftest import Run
from tests.comparison.test_holding import forgetful

QUICK = ("--rounds", "2", "--dialogues", "10", "--tuning-dialogues", "3", "--resamples", "100")


@pytest.fixture
def _forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("telic.cli.hold.load_model", lambda *_: ScriptedModel(forgetful))


@pytest.mark.usefixtures("_forgetful")
def test_the_winner_is_written_into_the_file_and_comments_stay(run: Run, travel: Path) -> None:
    travel.write_text("# mine\n" + travel.read_text() + '\n[[controls]] # old\nname = "prompt"\n')
    outcome = run("hold", "travel.toml", *QUICK)
    assert outcome.status == 0, outcome.error
    assert "reminder-every=1 holds the purpose best" in outcome.out.lower()
    assert "Written to travel.toml: reminder-every=1" in outcome.out
    assert Purpose.from_file(travel).controls == [{"name": "reminder"}]
    assert travel.read_text().startswith("# mine\n")


@pytest.mark.usefixtures("_forgetful")
def test_json_is_one_document_and_the_file_may_be_left_alone(run: Run, travel: Path) -> None:
    before = travel.read_text()
    outcome = run("hold", "travel.toml", *QUICK, "--json", "--no-write")
    document = json.loads(outcome.out)
    assert document["winner"] == {"name": "reminder"}
    assert not document["written"]
    assert Path(document["report"]).is_file()
    assert travel.read_text() == before


@pytest.mark.usefixtures("_forgetful")
def test_banks_of_other_origin(run: Run, travel: Path) -> None:
    reminder = ("--controls", "reminder:every=1", "--json", "--no-write")
    entry = '[[triplets]]\nid = "{}"\ndemand = "{}"\nsystem = "You are {}. {}"\nask = "Who?"\njudge = {{ {} }}\n'
    rule = 'contains = "Mia"'
    entries = [entry.format(f"name-{n}", "identity", "Mia", n, rule) for n in range(6)]
    travel.with_name("mine.toml").write_text("".join(entries))
    found = json.loads(run("hold", "bank", "--bank", "mine.toml", *QUICK, *reminder).out)
    assert found["compared"][1]["demand_gains"]["identity"]["low"] > 0
    found = json.loads(run("hold", "travel.toml", "--bank", "retail", "--bank-dialogues", "3", *QUICK, *reminder).out)
    assert "memory" in found["compared"][1]["demand_gains"]
    assert "other instructions" in found["transfer"]
    outcome = run("hold", "travel.toml", "--bank", "retail", "--bank-dialogues", "0", *QUICK)
    assert (outcome.status, "--bank-dialogues" in outcome.error) == (1, True)


@pytest.mark.usefixtures("_forgetful")
def test_the_report_can_be_rendered_again(run: Run, travel: Path) -> None:
    folder = json.loads(run("hold", "travel.toml", *QUICK, "--json").out)["folder"]
    report = Path(folder) / "report.html"
    before = report.read_text()
    report.unlink()
    outcome = run("view", folder)
    assert outcome.status == 0, outcome.error
    assert report.read_text() == before


def test_mistakes_are_reported_plainly(run: Run, travel: Path) -> None:
    for arguments, status, part in (
        (("hold", "travel.toml", "--controls", "remainder"), 1, "did you mean 'reminder'"),
        (("hold", "travel.toml", "--budget", "3"), 2, "--budget is 3.0"),
        (("hold", "nowhere.toml"), 1, "does not exist"),
        (("measure", "travel.toml", "--controls", "split_softmax:k"), 2, "expected KEY=VALUE, got 'k'"),
        (("measure", "travel.toml", "--controls", "split_softmax:k=0.8"), 1, "acts on attention"),
        (("chat", "travel.toml", "--controls", "attention_hold:gain=-1"), 2, "gain"),
    ):
        outcome = run(*arguments)
        assert (outcome.status, arguments) == (status, arguments)
        assert part in outcome.error
        assert "Traceback" not in outcome.error


def test_controls_are_read_from_words() -> None:
    assert parse_controls(()) is None
    assert parse_controls(("none",)) == ()
    found = parse_controls(("attention_hold", "split_softmax:k=0.8,span=turn", "reminder:every=2,probability=0.5"))
    assert found == (AttentionHold(), SplitSoftmax(0.8, "turn"), Reminder(2, 0.5))
    with pytest.raises(UsageError, match="unknown control"):
        parse_controls(("attention_hold", "none"))


def test_a_measurement_takes_controls(run: Run, travel: Path) -> None:
    quick = ("--rounds", "1", "--dialogues", "3", "--resamples", "100", "--json")
    outcome = run("measure", "travel.toml", "--controls", "reminder:every=2", *quick)
    folder = Path(json.loads(outcome.out)["folder"])
    assert RunFolder.open(folder).config["controls"] == [{"name": "reminder", "every": 2}]
