"""Agents and players that call tools: the loop, its bounds, what is recorded, controls and defences with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import pytest

from telic.agents import Agent
from telic.agents.model_player import ModelPlayer
from telic.dialogue import Message, ToolCall
from telic.episodes import Episode
from telic.formats import dialogue_seen_by
from telic.games.base import Act, Event, Game, Outcome
from telic.models import ScriptedModel
from telic.models.requesting import run_alone
from telic.purpose import Purpose
from telic.rollouts.record import Task, play_episode
from telic.steering import Reminder
from telic.tools import Tool, Toolbox, function_tool

SHOP = Purpose(name="shop", system="You sell lamps.", tool_steps=3)


def price_of(item: str) -> str:
    """Look up a price."""
    return f"{item}: 20 dollars"


def calling(name: str, content: str = "", **arguments: Any) -> Message:
    call = ToolCall(id=f"c{len(arguments)}", name=name, arguments=json.dumps(arguments))
    return Message(role="assistant", content=content, tool_calls=(call,))


ASK = calling("price_of", item="lamp")


def said(messages: Any) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


def test_a_reply_follows_the_results_of_the_calls() -> None:
    model = ScriptedModel([ASK, "It costs 20 dollars."])
    heard: list[Message] = []
    agent = Agent(model, SHOP, tools=Toolbox.of(price_of), on_tool=heard.append)
    assert agent.reply("What is a lamp?").text == "It costs 20 dollars."
    assert said(agent.session.dialogue) == [
        ("system", "You sell lamps."), ("user", "What is a lamp?"), ("assistant", ""),
        ("tool", "lamp: 20 dollars"), ("assistant", "It costs 20 dollars."),
    ]  # fmt: skip
    assert heard == list(agent.session.dialogue[2:4])
    assert said(model.seen[1])[-1] == ("tool", "lamp: 20 dollars")


def test_a_stream_shows_what_is_said_between_the_calls() -> None:
    model = ScriptedModel([calling("price_of", "One moment. ", item="lamp"), "It costs 20 dollars."])
    agent = Agent(model, SHOP, tools=Toolbox.of(price_of))
    assert "".join(agent.stream("What is a lamp?")) == "One moment. It costs 20 dollars."


def test_a_small_models_text_is_read_as_a_call_and_a_malformed_one_is_mended() -> None:
    model = ScriptedModel(
        [
            '<tool_call>{"name": "price_of", "arguments": {"item": </tool_call>',
            '<tool_call>{"name": "price_of", "arguments": {"thing": "lamp"}}</tool_call>',
            '<tool_call>\n{"name": "price_of", "arguments": {"item": "lamp"}}\n</tool_call>',
            "20 dollars.",
        ]
    )
    agent = Agent(model, SHOP, tools=Toolbox.of(price_of))
    assert agent.reply("A lamp?").text == "20 dollars."
    results = [message.content for message in agent.session.dialogue if message.role == "tool"]
    assert results[0].startswith("error: the arguments are not JSON")
    assert results[1].startswith("error: wrong arguments: item: Field required")
    assert results[2] == "lamp: 20 dollars"


def test_after_so_many_steps_it_must_answer() -> None:
    model = ScriptedModel([ASK] * 3 + ["<tool_call>{}</tool_call>"])
    agent = Agent(model, SHOP, tools=Toolbox.of(price_of))
    reply = agent.reply("A lamp?")
    assert len(model.seen) == 4
    assert not reply.tool_calls
    assert "<tool_call>" not in reply.text


def test_a_turn_that_fails_leaves_the_dialogue_alone() -> None:
    agent = Agent(ScriptedModel([ASK]), SHOP, tools=Toolbox.of(price_of))
    with pytest.raises(Exception, match="the script has 1 replies"):
        agent.reply("A lamp?")
    assert said(agent.session.dialogue) == [("system", "You sell lamps.")]


def test_a_person_is_asked_before_a_tool_that_needs_it() -> None:
    asked: list[str] = []

    def confirm(tool: Tool, call: ToolCall) -> bool:
        asked.append(f"{tool.name} {call.arguments}")
        return len(asked) == 1

    tools = Toolbox([lambda: [function_tool(price_of, confirm=True)]])
    agent = Agent(ScriptedModel([ASK, ASK, "Done."]), SHOP, tools=tools, confirm=confirm)
    agent.reply("A lamp?")
    assert asked == ['price_of {"item": "lamp"}'] * 2
    results = [message.content for message in agent.session.dialogue if message.role == "tool"]
    assert results == ["lamp: 20 dollars", "error: the user does not want price_of to be called with these arguments"]


def test_controls_and_defences_act_on_every_reply_of_the_turn() -> None:
    model = ScriptedModel([ASK, "Buy it for 99 dollars!", "No."])
    purpose = Purpose.from_text(
        'name = "shop"\nsystem = "You sell."\n[[limits]]\nname = "quotes"\njudge = { contains = "99" }\n'
        '[[defences]]\nname = "output_guard"\n'
    )
    agent = Agent(model, purpose, [Reminder(every=1)], tools=Toolbox.of(price_of))
    reply = agent.reply("A lamp?")
    assert "99" not in reply.text
    assert all(messages[1].content.endswith("A lamp?") and len(messages[1].content) > 7 for messages in model.seen)
    assert agent.session.dialogue[3].content == "lamp: 20 dollars"


@dataclass
class Sale(Game):
    """A customer asks twice; the seller looks prices up in the shop's book."""

    name: ClassVar[str] = "sale"
    roles: ClassVar[tuple[str, ...]] = ("seller", "customer")
    looked_up: list[str] = field(default_factory=list)

    def tools(self, role: str) -> list[Tool]:
        def look_up(item: str) -> str:
            self.looked_up.append(item)
            return "20 dollars"

        return [function_tool(look_up)] if role == "seller" else []

    def played_by_rules(self, role: str) -> bool:
        return role == "customer"

    def instructions(self, role: str) -> str:
        return "Sell."

    def private(self, role: str) -> Mapping[str, Any]:
        return {}

    def _reset(self, seed: int) -> None:
        self.looked_up = []
        self._tell(Event("customer", "A lamp?"))

    def _legal(self, role: str) -> tuple[str, ...]:
        return ("message",)

    def _apply(self, role: str, act: Act) -> None:
        self._tell(Event(role, act.content, act))
        self._tell(Event("customer", "And a chair?"))
        self.turn = "seller"
        if self.turns:
            self.end("sold")

    def _outcome(self) -> Outcome:
        return Outcome(True, score=float(len(self.looked_up)))


def played(model: ScriptedModel, player: ModelPlayer) -> Episode:
    task = Task("1", "sale", {}, 0, 0, 1, 1)
    return run_alone(play_episode(task, Sale(), {"agent": player}, None))


def test_a_players_calls_are_inside_its_turn_and_recorded_and_known_later() -> None:
    model = ScriptedModel([calling("look_up", item="lamp"), "It costs 20.", "The same."])
    episode = played(model, ModelPlayer(model, SHOP, tools=Toolbox.of(price_of)))
    assert episode.failure is None
    assert episode.outcome["score"] == 1
    own = [turn for turn in episode.turns if turn.role == "seller"]
    assert [turn.text for turn in own] == ["It costs 20.", "The same."]
    assert said(own[0].steps) == [("assistant", ""), ("tool", "20 dollars")]
    assert own[1].steps == []
    assert ("tool", "20 dollars") in said(model.seen[2])
    assert episode.metadata["notes"]["seller"] == {"tool calls": 1}
    read = Episode.model_validate_json(episode.model_dump_json())
    assert said(dialogue_seen_by(read, "seller"))[2:5] == [
        ("assistant", ""), ("tool", "20 dollars"), ("assistant", "It costs 20."),
    ]  # fmt: skip
    assert ("tool", "20 dollars") not in said(dialogue_seen_by(read, "customer"))


def test_a_call_is_not_made_again_where_the_reply_after_it_is_empty() -> None:
    model = ScriptedModel([calling("look_up", item="lamp"), "", "It costs 20.", "The same."])
    episode = played(model, ModelPlayer(model, SHOP, tools=Toolbox()))
    assert episode.outcome["score"] == 1
    assert said(model.seen[2])[-1] == ("tool", "20 dollars")
    assert len(episode.turns[1].steps) == 2
