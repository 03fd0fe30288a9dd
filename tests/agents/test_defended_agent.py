"""An agent and a player behind defences."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from telic.agents import Agent
from telic.agents.defence import PASS, Decision, Defence, DefendedTurn
from telic.agents.model_player import ModelPlayer
from telic.dialogue import Message
from telic.models import Model, Reply, Request, ScriptedModel
from telic.models.requesting import RequestGenerator, ask
from telic.purpose import Purpose
from telic.rollouts import play

PURPOSE = Purpose(name="x", system="You sell shoes.", refusal="No.")


@dataclass(frozen=True)
class Asking(Defence):
    """Asks a model of its own about each message."""

    judge: Model
    name: ClassVar[str] = "asking"

    def models(self) -> list[Model]:
        return [self.judge]

    def check_input(self, turn: DefendedTurn) -> RequestGenerator[Decision]:
        said = (Message(role="user", content=turn.said[-1]),)
        reply = yield from ask(self.judge, Request(said, keep=False))
        return Decision("end", "bad") if reply.text == "bad" else PASS


@dataclass(frozen=True)
class Drafts(Defence):
    """Refuses drafts with a word in them."""

    name: ClassVar[str] = "drafts"
    judges_drafts: ClassVar[bool] = True

    def check_draft(self, turn: DefendedTurn, draft: Reply) -> RequestGenerator[Decision]:
        return Decision("refuse", "bad") if "bad" in draft.text else PASS
        yield


def judge() -> ScriptedModel:
    return ScriptedModel(lambda messages: "bad" if "attack" in messages[-1].content else "good")


def test_an_agent_refuses_and_remembers_that_it_ended_the_talk() -> None:
    agent = Agent(ScriptedModel(lambda messages: "Boots?"), PURPOSE, defences=[Asking(judge())])
    assert [agent.reply(text).text for text in ("Hi", "attack", "Hi")] == ["Boots?", "No.", "No."]
    assert agent.records[0].action == "end"
    agent.reset()
    assert agent.reply("Hi").text == "Boots?"
    assert agent.records == ()


def test_a_stream_falls_back_to_whole_replies_where_drafts_are_judged() -> None:
    streaming = Agent(ScriptedModel(lambda messages: "Two boots"), PURPOSE, defences=[Asking(judge())])
    assert list(streaming.stream("Hi")) == ["Two ", "boots"]
    assert list(streaming.stream("attack")) == ["No."]
    judged = Agent(ScriptedModel(["Two bad boots", "Two boots"]), PURPOSE, defences=[Drafts()])
    assert [list(judged.stream("Hi")), list(judged.stream("Hi"))] == [["No."], ["Two boots"]]
    assert [message.content for message in judged.session.dialogue][-4:] == ["Hi", "No.", "Hi", "Two boots"]


def test_a_stream_that_is_left_is_not_kept_by_the_defences() -> None:
    agent = Agent(ScriptedModel(lambda messages: "Two boots"), PURPOSE, defences=[Asking(judge())])
    pieces = agent.stream("Hi")
    next(pieces)
    pieces.close()
    assert [message.role for message in agent.session.dialogue] == ["system"]


def test_a_players_utterances_are_defended_with_models_of_their_own() -> None:
    asked, model = judge(), ScriptedModel(lambda messages: "Where to? bad" if len(messages) < 4 else "When?")
    player = ModelPlayer(model, PURPOSE, defences=[Asking(asked), Drafts()])
    assert player.models == [model, asked]
    played = play({"name": "elicitation", "rounds": 2}, {"agent": player}, n=1)
    [episode] = played.episodes
    said = [turn for turn in episode.turns if turn.role == "agent"]
    assert [turn.text for turn in said] == ["No.", "When?"]
    assert episode.metadata["notes"]["agent"] == {"drafts: refuse": 1}
    assert len(asked.seen) == 2


def test_a_player_without_defences_has_the_settings_of_earlier_runs() -> None:
    model = ScriptedModel([])
    assert "defences" not in ModelPlayer(model, PURPOSE).spec()
    defended: dict[str, Any] = ModelPlayer(model, PURPOSE, defences=[Drafts()]).spec()
    assert defended["defences"] == [{"name": "drafts"}]
