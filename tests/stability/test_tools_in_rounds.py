"""A purpose with tools: they are offered in the rounds of a measurement and a comparison, and not in the probes."""

from __future__ import annotations

from pathlib import Path

import pytest

from telic.comparison import hold
from telic.dialogue import Message
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.models import ScriptedModel
from telic.purpose import Purpose
from telic.purpose_parts import ToolSpec
from telic.stability import measure
from telic.stability.analysis import analyse_stability
from telic.stability.report import write_stability_report

CALL = '<tool_call>{"name": "calculate", "arguments": {"expression": "6*7"}}</tool_call>'
PURPOSE = Purpose.model_validate(
    {
        "name": "counter",
        "system": "You count.",
        "partner": "You ask.",
        "tools": [{"name": "calculate"}],
        "probes": [{"ask": "Who are you?", "judge": {"contains": "counter"}}],
    }
)
TALLY = '''
class Tally:
    """Counts."""

    def __init__(self) -> None:
        self.count = 0

    def add_one(self) -> str:
        """Add one to the count, and return it."""
        self.count += 1
        return f"count {self.count}"
'''


def counts(call: str = CALL) -> ScriptedModel:
    """Calls a tool before each answer, and says its result; tries to call one even in a probe."""

    def reply(messages: tuple[Message, ...]) -> str:
        if not messages[0].content.startswith("You count"):
            return "How much is it?"
        if messages[-1].role == "tool":
            return f"It is {messages[-1].content}."
        if messages[-1].content == "Who are you?":
            return f"The counter. {call}"
        return call

    return ScriptedModel(reply)


def replies(episode: Episode) -> list[tuple[str, list[str]]]:
    return [(turn.text, [step.content for step in turn.steps]) for turn in episode.turns if turn.role == "b"]


def test_a_measurement_offers_the_tools_in_its_rounds(tmp_path: Path) -> None:
    model = counts()
    run = measure(model, PURPOSE, dialogues=2, rounds=3, samples=2, resamples=100)
    for episode in run.episodes:
        assert episode.failure is None
        assert replies(episode) == [("It is 42.", ["", "42"])] * 3
        assert all(not turn.steps for turn in episode.turns if turn.role == "a")
        answers = [answer for branch in episode.branches if branch.role == "b" for answer in branch.answers]
        assert {answer.text for answer in answers} == {"The counter."}, "a probe calls nothing"
    assert [point.stability for point in run.curve] == [1.0] * 4
    # The later rounds show the calls of the earlier ones, as in a chat.
    assert any([message.content for message in seen].count("42") == 3 for seen in model.seen)
    found = analyse_stability(run.episodes, resamples=100)
    page = write_stability_report(tmp_path, found, run.episodes, {}).read_text()
    assert "→ calculate" in page
    assert "← 42" in page


def test_what_a_tool_keeps_begins_anew_in_each_dialogue(tmp_path: Path) -> None:
    (tmp_path / "tally.py").write_text(TALLY)
    path = tmp_path / "counter.toml"
    path.write_text(
        'name = "counter"\nsystem = "You count."\npartner = "You ask."\n[[tools]]\npython = "tally:Tally"\n'
        '[[probes]]\nask = "Who are you?"\njudge = { contains = "counter" }\n'
    )
    purpose = Purpose.load(path, trust=True)
    run = measure(counts('<tool_call>{"name": "add_one", "arguments": {}}</tool_call>'), purpose, dialogues=2, rounds=2)
    for episode in run.episodes:
        assert [text for text, _ in replies(episode)] == ["It is count 1.", "It is count 2."]


def test_a_model_that_only_calls_has_to_answer_in_the_end() -> None:
    model = ScriptedModel(lambda messages: CALL if messages[0].content.startswith("You count") else "Go on.")
    run = measure(model, PURPOSE.model_copy(update={"tool_steps": 2}), dialogues=1, rounds=1, samples=1, resamples=100)
    [(text, steps)] = replies(run.episodes[0])
    assert text == ""
    assert steps == ["", "42", "", "42"]


def test_a_comparison_offers_the_tools_in_every_arm() -> None:
    run = hold(counts(), PURPOSE, controls=["reminder"], dialogues=2, rounds=2, samples=1, resamples=100)
    played = [episode for episode in run.episodes if any(turn.role == "b" for turn in episode.turns)]
    assert len(played) >= 4
    for episode in played:
        assert all(steps == ["", "42"] for _, steps in replies(episode))


def test_a_tool_that_is_not_there_is_refused_before_anything_is_played() -> None:
    model = counts()
    with pytest.raises(ConfigError, match="calculat"):
        measure(model, PURPOSE.model_copy(update={"tools": [ToolSpec(name="calculat")]}), dialogues=1, rounds=1)
    assert model.seen == []
