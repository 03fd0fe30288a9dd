"""Measuring along recorded dialogues: known stability is found, arms are paired, runs are resumed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from telic.comparison.transcript_report import write_transcript_report
from telic.comparison.transcript_results import TranscriptRun, read_transcripts
from telic.comparison.transcripts import measure_transcripts
from telic.dialogue import Dialogue
from telic.episodes import BASELINE
from telic.errors import ConfigError, DataError, UnsupportedControlError
from telic.models import FakeModel, ScriptedModel
from telic.runs import RunFolder
from telic.stability import Bank
from telic.steering import Prompt, Reminder, SplitSoftmax
from tests.comparison.test_holding import forgetful, purpose
from tests.timed import Clock, SlowFake

QUICK: dict[str, Any] = {"samples": 1, "resamples": 200, "probe_tokens": 40}


def talk(rounds: int, opening: str = "") -> list[dict[str, str]]:
    """A recorded dialogue with about 20 tokens a round."""
    said = [{"role": "assistant", "content": opening}] if opening else []
    for number in range(rounds):
        said += [{"role": "user", "content": f"{number} {30 * 'u'}"}, {"role": "assistant", "content": 40 * "a"}]
    return said


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    path = tmp_path / "logs.jsonl"
    lines = [json.dumps({"id": f"c{n}", "messages": talk(8, f"Hello {n}!")}) for n in range(30)]
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_known_drift_is_found_by_round_and_by_tokens(logs: Path) -> None:
    run = measure_transcripts(FakeModel(drift=0.2), purpose(), logs, **QUICK | {"samples": 8}, dialogues=30)
    [arm] = run.arms
    assert [point.round for point in arm.by_tokens.curve] == [0, 40, 80, 120, 160]
    assert {point.n for point in arm.by_tokens.curve} == {30}
    for point in arm.by_round.curve:
        # The opening of an assistant, folded into the first message, is no round of its own.
        assert point.stability == pytest.approx(0.8**point.round, abs=0.12)
    assert arm.by_tokens.drift_round is not None
    assert "drifts significantly from" in run.headline
    assert "tokens" in run.headline


def test_a_control_that_holds_is_better_at_every_length_but_the_start(logs: Path) -> None:
    run = measure_transcripts(ScriptedModel(forgetful), purpose(), logs, controls=[Reminder(), Prompt()], **QUICK)
    assert [arm.name for arm in run.arms] == [BASELINE, "reminder", "prompt"]
    held = run.arms[1]
    assert held.gain is not None
    assert held.gain.significantly_positive
    assert held.gain.n == 30
    assert [difference.value for length, difference in held.gains.items() if length] == [1.0] * 4
    assert held.gains[0].value == 0.0
    assert all(difference.significantly_positive for length, difference in held.gains.items() if length)
    assert "reminder holds the purpose best" in run.headline
    assert run.arms[2].gain is not None
    assert run.arms[2].gain.value == 0.0


def test_all_arms_are_probed_at_the_same_places_of_the_same_dialogues(logs: Path) -> None:
    run = measure_transcripts(FakeModel(drift=0.1), purpose(), logs, controls=[Reminder()], **QUICK, dialogues=5)
    places: dict[str, list[Any]] = {}
    for episode in run.episodes:
        _, arm, number = episode.id.split("/")
        found = (number, episode.metadata["recorded"], [branch.round for branch in episode.branches])
        places.setdefault(arm, []).append((found, [turn.text for turn in episode.turns]))
    assert places[BASELINE] == places["reminder"]


def test_a_resumed_run_reads_what_the_limit_left(logs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def measured(minutes: float | None, **where: Any) -> TranscriptRun:
        clock = Clock()
        monkeypatch.setattr("telic.progress.deadline.CLOCK", clock)
        model = SlowFake(clock, 1.0, drift=0.1)
        return measure_transcripts(model, purpose(), logs, controls=[Reminder()], minutes=minutes, **QUICK, **where)

    cut = measured(1, folder=tmp_path / "runs")
    assert cut.shortfall is not None
    done = cut.shortfall.parts["dialogues"][0]
    assert 1 < done < 30
    assert len(cut.episodes) == 2 * done, "both arms of each dialogue"
    whole = measured(None, resume=cut.folder)
    assert whole.shortfall is None
    fresh = measured(None)
    assert (whole.episodes, whole.arms) == (fresh.episodes, fresh.arms)
    assert whole.folder is not None
    assert read_transcripts(RunFolder.open(whole.folder)).arms == whole.arms


def test_another_file_is_not_taken_for_the_same_run(logs: Path, tmp_path: Path) -> None:
    run = measure_transcripts(FakeModel(), purpose(), logs, folder=tmp_path / "runs", **QUICK)
    logs.write_text(logs.read_text().replace("Hello", "Bye"))
    with pytest.raises(ConfigError, match=r"transcripts\.sha256"):
        measure_transcripts(FakeModel(), purpose(), logs, resume=run.folder, **QUICK)


def test_joined_dialogues_are_said_to_be_joined(logs: Path) -> None:
    run = measure_transcripts(FakeModel(), purpose(), logs, join=400, **QUICK)
    assert "joined one after another (nobody had these conversations as a whole)" in run.reading
    assert run.transcripts["trunks"] < run.transcripts["joined"]
    assert run.transcripts["tokens"][0] >= 400
    assert run.transcripts["estimated"], "the fake model has no tokenizer"


def test_the_report_has_curves_differences_and_what_was_left_out(logs: Path, tmp_path: Path) -> None:
    with logs.open("a") as file:
        file.write('{"id": "<b>lonely</b>", "messages": [{"role": "user", "content": "Hello?"}]}\n')
    run = measure_transcripts(
        ScriptedModel(forgetful),
        purpose(),
        logs,
        controls=[Reminder()],
        dialogues=31,
        folder=tmp_path / "runs",
        **QUICK,
    )
    assert run.folder is not None
    page = write_transcript_report(run.folder, run).read_text()
    for part in ("Stability by tokens", "Stability by round", "Difference from the baseline", "tokens of the dialogue"):
        assert part in page
    assert "&lt;b&gt;lonely" in page
    assert "<b>lonely" not in page
    assert (run.folder / "curve.png").is_file()


def test_a_bank_is_measured_on_recorded_dialogues_too(logs: Path) -> None:
    run = measure_transcripts(FakeModel(drift=0.0), Bank.load(["persona", "format"]), logs, **QUICK)
    assert set(run.arms[0].by_tokens.families) == {"persona", "format"}
    assert run.arms[0].by_tokens.demands


def test_mistakes_are_refused_before_anything_is_asked(logs: Path, tmp_path: Path) -> None:
    model = FakeModel()
    with pytest.raises(ConfigError, match="control 'reminder' is given twice"):
        measure_transcripts(model, purpose(), logs, controls=[Reminder(), Reminder()])
    with pytest.raises(UnsupportedControlError, match="split_softmax"):
        measure_transcripts(model, purpose(), logs, controls=[SplitSoftmax(k=0.5)])
    with pytest.raises(DataError, match="cannot read"):
        measure_transcripts(model, purpose(), tmp_path / "none.jsonl")
    with pytest.raises(ConfigError, match="probe_tokens is 0"):
        measure_transcripts(model, purpose(), logs, probe_tokens=0)
    with pytest.raises(DataError, match="none of 0 recorded dialogues"):
        measure_transcripts(model, purpose(), [])
    assert model.seen == []


def test_dialogues_of_python_are_taken_as_they_are() -> None:
    said = Dialogue().add("user", "Hi.").add("assistant", "Hello.")
    run = measure_transcripts(FakeModel(drift=0.0), purpose(), [("mine", said)], source="my list", **QUICK)
    assert run.reading.endswith("drawn from 1 in my list, of which 1 were read")
    assert run.episodes[0].metadata["recorded"] == ["mine"]
