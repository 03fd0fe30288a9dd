"""Someone to talk to: what is kept of a conversation, and what is refused before it starts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from telic.agents import Agent
from telic.dialogue import Message
from telic.errors import ConfigError, ModelError, UnsupportedControlError
from telic.models import Control, Reply, Request, Sampling, ScriptedModel
from telic.models.control import ControlPoint
from telic.purpose import Purpose

MIA = Purpose(name="travel", system="You are Mia.", rules=["Be kind."])


class Attend(Control):
    name = "attend"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention"})


class Watching(ScriptedModel):
    """Keeps how it was asked to draw."""

    sampling: Sampling | None = None

    def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
        self.sampling = sampling
        return super()._answer(messages, sampling)


def roles(agent: Agent) -> list[str]:
    return [message.role for message in agent.session.dialogue]


def test_it_talks_under_its_purpose_and_remembers() -> None:
    model = ScriptedModel(["Hello.", "May."])
    agent = Agent(model, MIA)
    assert str(agent.reply("Hi!")) == "Hello."
    assert "".join(agent.stream("When?")) == "May."
    assert [message.content for message in model.seen[1]] == ["You are Mia.\nBe kind.", "Hi!", "Hello.", "When?"]
    assert roles(agent) == ["system", "user", "assistant", "user", "assistant"]
    agent.reset()
    assert roles(agent) == ["system"]


def test_options_go_over_the_purposes_own() -> None:
    purpose = Purpose.from_text('name = "x"\nsystem = "y"\nsampling = { temperature = 0.2, max_new_tokens = 9 }\n')
    model = Watching(["Hi.", "Hi."])
    Agent(model, purpose, max_new_tokens=5).reply("Hi!")
    assert model.sampling == Sampling(max_new_tokens=5, temperature=0.2, top_p=0.9)
    Agent(model, MIA).reply("Hi!")
    assert model.sampling == Sampling(temperature=0.7, top_p=0.9)


def test_what_failed_can_be_said_again() -> None:
    agent = Agent(ScriptedModel({"Again?": "Yes."}), MIA)
    with pytest.raises(ModelError, match="no reply to 'What"):
        agent.reply("What?")
    with pytest.raises(ModelError, match="no reply to 'What"):
        list(agent.stream("What?"))
    assert roles(agent) == ["system"]
    assert str(agent.reply("Again?")) == "Yes."


def test_an_answer_cut_short_is_not_kept() -> None:
    agent = Agent(ScriptedModel(["One two three."]), MIA)
    pieces = agent.stream("Count!")
    assert next(pieces) == "One "
    pieces.close()
    assert roles(agent) == ["system"]


def test_a_full_context_is_said_and_not_taken_for_an_answer() -> None:
    class Full(ScriptedModel):
        def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
            return Reply("", "context")

        def _stream(self, request: Request) -> Iterator[str | Reply]:
            yield Reply("", "context")

    agent = Agent(Full([]), MIA)
    with pytest.raises(ModelError, match="has filled its context; start a new one"):
        agent.reply("Hi!")
    with pytest.raises(ModelError, match="has filled its context"):
        list(agent.stream("Hi!"))
    assert roles(agent) == ["system"]


def test_what_cannot_work_is_refused_up_front() -> None:
    with pytest.raises(UnsupportedControlError, match="'attend' acts on attention"):
        Agent(ScriptedModel([]), MIA, [Attend()])
    with pytest.raises(ConfigError, match=r"controls\[0\].*unknown control 'hodl'"):
        Agent(ScriptedModel([]), Purpose(name="x", system="y", controls=[{"name": "hodl"}]))
    with pytest.raises(ConfigError, match="temperature is -1"):
        Agent(ScriptedModel([]), MIA, temperature=-1)
