"""`telic readers`: train, card, evaluate, read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from telic.readers.material import load_all_lines
from tests.cli.conftest import Run
from tests.models import tiny

QUICK = ("--attributes", "gender", "--texts", "100", "--seeds", "1", "--resamples", "100", "--no-natural")


@pytest.fixture
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("readers", "evaluate_readers"):
        monkeypatch.setattr(f"telic.cli.{module}.load_model", lambda *_: tiny.local("llama"))
    monkeypatch.setattr("telic.readers.training_texts.load_all_lines", lambda name: load_all_lines(name)[::10])


@pytest.mark.usefixtures("_tiny")
def test_readers_are_trained_carded_and_used(run: Run, tmp_path: Path) -> None:
    trained = run("readers", "train", "--out", "mine", *QUICK)
    assert trained.status == 0, trained.error
    assert "user_gender" in trained.out
    assert (tmp_path / "mine" / "pins" / "model.safetensors").is_file()

    card = json.loads(run("readers", "card", "mine", "--json").out)
    assert card["config"]["texts"] == 100
    assert set(card["readers"]) == {"user_gender", "self_gender"}
    table = run("readers", "card", "mine")
    assert "right" in table.out
    assert "self_gender" in table.out

    messages = [{"role": "user", "content": "travel"}, {"role": "assistant", "content": "Yes?"}]
    (tmp_path / "talk.jsonl").write_text(json.dumps({"messages": [*messages, messages[0]]}) + "\n")
    read = run("readers", "read", "talk.jsonl", "--readers", "mine", "--only", "user_gender", "--json")
    assert read.status == 0, read.error
    lines = [json.loads(line) for line in read.out.splitlines()]
    assert [line["message"] for line in lines] == [0, 2]
    probabilities = lines[0]["beliefs"]["user_gender"]["probabilities"]
    assert set(probabilities) == {"male", "female"}
    assert 0 < sum(probabilities.values()) < 1  # the rest is unknown
    shown = run("readers", "read", "talk.jsonl", "--readers", "mine")
    assert "self_gender" in shown.out


@pytest.mark.usefixtures("_tiny")
def test_readers_are_evaluated_and_the_card_says_how_they_do(run: Run, tmp_path: Path) -> None:
    assert run("readers", "train", "--out", "mine", *QUICK, "--quiet").status == 0
    items = [
        {"id": "a", "kind": "said", "messages": [{"role": "user", "content": "travel"}], "user": {"gender": "female"}},
        {"id": "b", "kind": "said", "messages": [{"role": "user", "content": "price"}], "user": {"gender": "male"}},
        {"id": "c", "kind": "greeting", "messages": [{"role": "user", "content": "hi"}]},
    ]
    (tmp_path / "items.jsonl").write_text("".join(json.dumps(one) + "\n" for one in items))
    people = {
        "id": "p",
        "messages": [{"role": "assistant", "content": "Hi"}, {"role": "user", "content": "Hello"}],
        "user": {"age": 30.0, "sex": "Male", "education": "Postgraduate"},
    }
    (tmp_path / "people.jsonl").write_text(json.dumps(people) + "\n")

    both = ("--items", "items.jsonl", "--persuasion", "people.jsonl", "--resamples", "100")
    found = json.loads(run("readers", "evaluate", "mine", *both, "--json", "--quiet").out)
    assert found["natural"]["items"] == {
        "all": 3, "said": 2, "greeting": 1, "turns: 1": 3, "system prompt: no": 3
    }  # fmt: skip
    assert found["natural"]["readers"]["user_gender"]["said"]["accuracy"]["n"] == 2
    assert found["persuasion"]["readers"]["self_gender"]["persuasion"]["false_certainty"]["n"] == 1
    table = run("readers", "evaluate", "mine", *both, "--only", "user_gender", "--quiet").out
    assert "user, greeting" in table
    assert "user_gender" in table
    assert "self_gender" not in table
    assert "real people" in table

    assert "natural" not in run("readers", "card", "mine", "--json").out.partition('"readers"')[2]
    saved = run("readers", "evaluate", "mine", "--save", "--resamples", "100", "--quiet")
    assert saved.status == 0, saved.error
    card = json.loads(run("readers", "card", "mine", "--json").out)
    assert card["natural"]["items"]["all"] > 500
    assert card["readers"]["user_gender"]["right"]["n"] > 0, "what training measured stays"
    assert "user, third_person" in run("readers", "card", "mine").out


@pytest.mark.usefixtures("_tiny")
def test_what_was_recorded_is_not_recorded_again(run: Run, tmp_path: Path) -> None:
    first = run("readers", "train", "--out", "mine", *QUICK, "--json")
    files = {path: path.stat().st_mtime_ns for path in (tmp_path / "mine" / "activations").iterdir()}
    again = run("readers", "train", "--out", "mine", *QUICK, "--json")
    assert json.loads(first.out) == json.loads(again.out)
    assert files == {path: path.stat().st_mtime_ns for path in (tmp_path / "mine" / "activations").iterdir()}


def test_mistakes_are_reported_plainly(run: Run, tmp_path: Path) -> None:
    (tmp_path / "talk.jsonl").write_text('{"messages": [{"role": "user", "content": "Hi"}]}\n')
    for arguments, status, part in (
        (("readers", "card", "nowhere"), 1, "there are no readers 'nowhere'"),
        (("readers", "read", "nowhere.jsonl"), 1, "nowhere.jsonl"),
        (("readers", "train", "--model", "fake"), 1, "model 'fake' gives no access to its hidden states"),
        (("readers", "train", "--per-class", "2"), 2, "--per-class"),
        (("readers", "evaluate", "nowhere"), 1, "there are no readers 'nowhere'"),
        (("readers", "evaluate", "--items", "talk.jsonl"), 1, "talk.jsonl, line 1: 'id' is missing"),
        (("readers", "evaluate", "--persuasion", "talk.jsonl"), 1, "talk.jsonl, line 1: expected an object with 'id'"),
        (("readers", "evaluate", "--save", "--only", "user_age"), 2, "--save needs all readers"),
        (("readers", "read", "talk.jsonl", "--only", "user_agee"), 1, "did you mean 'user_age'"),
    ):
        outcome = run(*arguments)
        assert (outcome.status, arguments) == (status, arguments)
        assert part in outcome.error
        assert "Traceback" not in outcome.error


@pytest.mark.usefixtures("_tiny")
def test_missing_data_is_reported_plainly(run: Run) -> None:
    for arguments, part in (
        (("readers", "train", "--data", "."), "cannot read conversations from 'age.jsonl'"),
        (("readers", "train", "--attributes", "gendre"), "did you mean 'gender'"),
    ):
        outcome = run(*arguments)
        assert outcome.status == 1
        assert part in outcome.error
