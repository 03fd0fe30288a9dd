import math
import sys
from pathlib import Path
from typing import Any

import pytest

from telic.episodes import Answer, Branch, Episode, Turn
from telic.errors import ConfigError, DataError, Failure, MissingExtraError
from telic.inspect_log import to_inspect


def selfchat(number: int) -> Episode:
    scores: dict[int, float | None] = {0: 1.0, 1: 0.5, 2: None}
    return Episode(
        id=f"d{number}",
        kind="selfchat",
        seed=number,
        roles={"a": {"system": "You are Mia.", "name": "mia"}, "b": {"system": "You are a customer."}},
        turns=[
            Turn(role="a", round=1, text="Hello!", finish="given"),
            Turn(role="b", round=1, text="Hi."),
            Turn(role="a", round=2, text="Where to?"),
        ],
        branches=[
            Branch(
                role="a",
                round=r,
                probe="name",
                family="persona",
                question="What is your name?",
                prompt_tokens=10,
                answers=[Answer(text="Mia", finish="stop", score=score, reason="" if score else "empty answer")],
            )
            for r, score in scores.items()
        ],
        failure=Failure("model", "context_full", "the context was full") if number else None,
    )


@pytest.mark.parametrize("suffix", ["eval", "json"])
def test_a_log_survives_the_round_trip_through_inspect(suffix: str, tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    path = to_inspect([selfchat(0), selfchat(1)], {"name": "travel", "model": "smollm2"}, tmp_path / f"x.{suffix}")
    read: Any = log.read_eval_log(str(path))
    assert (read.status, read.eval.task, read.eval.model) == ("success", "travel", "smollm2")
    sample = read.samples[0]
    assert sample.id == "d0.a"
    assert [(m.role, m.text) for m in sample.messages] == [
        ("system", "You are Mia."),
        ("assistant", "Hello!"),
        ("user", "Hi."),
        ("assistant", "Where to?"),
    ]
    assert sample.scores["round 0"].value == 1.0
    assert "What is your name?" in sample.scores["round 1"].explanation
    assert math.isnan(sample.scores["round 2"].value)
    assert sample.scores["round 2"].reason == "empty answer"
    assert read.samples[1].error.message == "model: the context was full"
    assert {score.name: score.metrics["dialogues"].value for score in read.results.scores} == {
        "round 0": 2,
        "round 1": 2,
        "round 2": 0,
    }
    assert read.results.completed_samples == 1


def test_sides_that_were_not_probed_get_no_sample(tmp_path: Path) -> None:
    log = pytest.importorskip("inspect_ai.log")
    read: Any = log.read_eval_log(str(to_inspect([selfchat(0)], {}, tmp_path / "x.eval")))
    assert [sample.id for sample in read.samples] == ["d0.a"]


def test_a_wrong_suffix_and_nothing_to_export_are_refused(tmp_path: Path) -> None:
    pytest.importorskip("inspect_ai.log")
    with pytest.raises(ConfigError, match=r"x\.txt"):
        to_inspect([selfchat(0)], {}, tmp_path / "x.txt")
    with pytest.raises(DataError, match="no episode was probed"):
        to_inspect([], {}, tmp_path / "x.eval")


def test_without_inspect_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "inspect_ai", None)
    with pytest.raises(MissingExtraError, match=r"telic\[inspect\]"):
        to_inspect([selfchat(0)], {}, tmp_path / "x.eval")
