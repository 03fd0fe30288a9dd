"""Drift in the dialogue itself: utterances judged by what binds every reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from telic.dialogue import Message
from telic.episodes import Episode, Turn
from telic.errors import ConfigError
from telic.judges import build_judge
from telic.models import ScriptedModel
from telic.purpose import Purpose
from telic.stability import Bank, measure
from telic.stability.plan import JudgedProbe
from telic.stability.report import write_stability_report
from telic.stability.utterances import analyse_utterances, followed_by_id

SAILOR = """
name = "sailor"
system = "Begin every reply with Ahoy."
partner = "You are a guest."

[[probes]]
ask = "What is a good breakfast?"
judge = { starts_with = "Ahoy" }
every_reply = true

[[probes]]
name = "sea"
ask = "Do you like the sea?"
judge = { contains = "yes" }
"""


def forgetting(messages: Sequence[Message]) -> str:
    """Keeps it for two replies; asked, it still knows."""
    replies = sum(message.role == "assistant" for message in messages)
    if "breakfast" in messages[-1].content or ("Ahoy" in messages[0].content and replies < 2):
        return "Ahoy, yes."
    return "Oats, I would say."


def test_what_probes_do_not_see_shows_in_the_utterances(tmp_path: Path) -> None:
    purpose = Purpose.from_text(SAILOR, "sailor.toml")
    run = measure(ScriptedModel(forgetting), purpose, rounds=4, dialogues=6, samples=1, resamples=200)
    assert run.stability.curve[-1].stability == pytest.approx(0.5), "of two probes, one is still answered"
    found = run.spoken
    assert found is not None
    assert [point.round for point in found.curve] == [1, 2, 3, 4]
    assert [point.stability for point in found.curve] == [1.0, 1.0, 0.0, 0.0]
    assert found.kept.value == 0.5
    assert found.kept.n == 6
    assert found.fall.value == -1.0
    assert found.p is not None
    assert found.p < 0.05
    judged = [turn.scores for turn in run.episodes[0].turns if turn.role == "b"]
    assert judged == [{"What is a good breakfast?": value} for value in (1.0, 1.0, 0.0, 0.0)]
    assert all(not turn.scores for turn in run.episodes[0].turns if turn.role == "a")
    page = write_stability_report(tmp_path, run.stability, run.episodes, {"name": "sailor"}).read_text()
    assert "In the dialogue itself" in page


def test_the_side_that_opens_counts_its_own_utterances() -> None:
    turns = [
        Turn(role="a", round=1, text="Hello", finish="given"),
        Turn(role="b", round=1, text="Ahoy", scores={"x": 1.0}),
        Turn(role="a", round=2, text="Hm", scores={"y": 0.0}),
        Turn(role="b", round=2, text="Ahoy", scores={"x": 0.5}),
    ]
    episode = Episode(id="one", kind="selfchat", seed=0, roles={"a": {}, "b": {}}, turns=turns)
    found = analyse_utterances([episode], resamples=100)
    assert found is not None
    assert [(point.round, point.stability) for point in found.curve] == [(1, 0.5), (2, 0.5)]
    assert followed_by_id([episode]) == {"one": pytest.approx((0.75 + 0.0) / 2)}
    assert analyse_utterances([episode.model_copy(update={"turns": turns[:1]})]) is None


def test_a_judge_that_asks_a_model_cannot_judge_every_utterance() -> None:
    judge = build_judge({"model": "fake", "rubric": "Is it polite?"})
    with pytest.raises(ConfigError, match="every_reply needs a judge by rule"):
        JudgedProbe("polite", "own", "How are you?", judge, every_reply=True)


def test_instructions_of_the_bank_that_bind_every_reply() -> None:
    binding = {triplet.family for triplet in Bank.load() if triplet.every_reply}
    assert binding == {"format", "language"}
    assert all(triplet.every_reply for triplet in Bank.load(["format", "language"]))
