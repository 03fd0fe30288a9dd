"""Defences, composed: what the user gets, what the record says, and what stays for the next turn."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from telic.agents.defence import PASS, Decision, DecisionAction, Defence, DefendedTurn, build_defence
from telic.agents.defender import MAX_DRAFTS, DefenceState, DefendedReply, Defender
from telic.errors import ConfigError
from telic.models import Reply, ScriptedModel
from telic.models.requesting import ModelRequest, RequestGenerator, run_alone
from telic.purpose import Purpose
from telic.steering.prompt import Prompt

PURPOSE = Purpose(name="x", system="You sell shoes.", users_want="to buy shoes")
REFUSAL = "I am sorry, I cannot help with that. I can help you to buy shoes."


@dataclass(frozen=True)
class InputWords(Defence):
    """Acts on a word of the user."""

    word: str = "bad"
    action: DecisionAction = "refuse"
    name: ClassVar[str] = "input words"

    def check_input(self, turn: DefendedTurn) -> RequestGenerator[Decision]:
        found = self.word in turn.said[-1]
        return Decision(self.action, f"said {self.word}", (Prompt("Be firm."),)) if found else PASS
        yield


@dataclass(frozen=True)
class DraftWords(Defence):
    """Has a draft with a word in it regenerated."""

    word: str = "bad"
    name: ClassVar[str] = "draft words"
    judges_drafts: ClassVar[bool] = True

    def check_draft(self, turn: DefendedTurn, draft: Reply) -> RequestGenerator[Decision]:
        return Decision("regenerate", "a word", (Prompt("Be good."),)) if self.word in draft.text else PASS
        yield


def talk(model: ScriptedModel, defences: Sequence[Defence], *said: str) -> list[DefendedReply]:
    defender, session, state = Defender(model, PURPOSE, defences), model.session(PURPOSE.system_prompt), DefenceState()
    replies = []
    for text in said:
        replies.append(run_alone(defender.reply(session.user(text).request(seed=1), state)))
        session.assistant(replies[-1].reply.text)
    return replies


def test_without_defences_the_reply_is_the_models() -> None:
    [reply] = talk(ScriptedModel(["Hello!"]), [], "Hi")
    assert (reply.reply.text, reply.refused, reply.records) == ("Hello!", False, ())


def test_a_refused_message_never_reaches_the_model() -> None:
    model = ScriptedModel(["Hello!"])
    refused, passed = talk(model, [InputWords()], "a bad word", "Hi")
    assert (refused.reply.text, refused.refused, refused.new_tokens) == (REFUSAL, True, 0)
    assert [record.reason for record in refused.records] == ["said bad"]
    assert passed.reply.text == "Hello!"
    assert len(model.seen) == 1


def test_a_bad_draft_is_replaced_by_one_under_the_control() -> None:
    model = ScriptedModel(["bad shoes", "good shoes"])
    [reply] = talk(model, [DraftWords()], "Hi")
    assert (reply.reply.text, reply.refused) == ("good shoes", False)
    assert [record.draft for record in reply.records] == ["bad shoes"]
    assert reply.new_tokens == 4
    assert [messages[0].content for messages in model.seen] == ["You sell shoes.", "You sell shoes.\nBe good."]


def test_drafts_that_stay_bad_end_in_the_refusal() -> None:
    model = ScriptedModel(lambda messages: "bad shoes")
    [reply] = talk(model, [DraftWords()], "Hi")
    assert (reply.reply.text, reply.refused) == (REFUSAL, True)
    assert len(model.seen) == MAX_DRAFTS


def test_an_ended_conversation_stays_ended_and_a_hardened_one_hard() -> None:
    replies = talk(ScriptedModel(lambda messages: "Yes."), [InputWords(action="end")], "Hi", "a bad word", "Hi again")
    assert [reply.refused for reply in replies] == [False, True, True]
    model = ScriptedModel(lambda messages: "Yes.")
    talk(model, [InputWords(action="harden")], "Hi", "a bad word", "Hi again")
    assert ["Be firm." in messages[0].content for messages in model.seen] == [False, True, True]


def test_a_branch_of_a_dialogue_has_a_state_of_its_own() -> None:
    state = DefenceState(own={0: {"seen": [1]}})
    branch = state.fork()
    branch.own[0]["seen"].append(2)
    assert state.own == {0: {"seen": [1]}}


def test_a_purpose_names_its_defences_and_errors_say_where() -> None:
    text = 'name = "x"\nsystem = "y"\n[[defences]]\nname = "hardened_prompt"\ntext = "Be firm."\n'
    defender = Defender(ScriptedModel(["a"]), Purpose.from_text(text))
    assert [defence.spec() for defence in defender.defences] == [{"name": "hardened_prompt", "text": "Be firm."}]
    with pytest.raises(ConfigError, match=r"line 3: defences\[0\]: unknown defence 'hardened'; did you mean"):
        Defender(ScriptedModel(["a"]), Purpose.from_text(text.replace("hardened_prompt", "hardened")))
    with pytest.raises(ConfigError, match="unknown setting 'texts'"):
        build_defence({"name": "hardened_prompt", "texts": "x"})


def test_a_draft_that_nobody_sees_leaves_no_trace_in_the_controls() -> None:
    session = ScriptedModel([]).session().user("Hi")
    defender = Defender(ScriptedModel([]), PURPOSE, [DraftWords()])
    turn = defender.reply(session.request(seed=1), DefenceState())
    seen, replies = [], iter(("bad", "bad", "good"))

    def answer(made: ModelRequest) -> tuple[ModelRequest, Reply]:
        seen.append(dict(session.cache.control_state))
        session.cache.control_state = {"turns": 1}  # as the engine does with each reply
        return made, Reply(next(replies), "stop")

    [made] = next(turn)
    for _ in range(2):
        [made] = turn.send(answer(made))
    with pytest.raises(StopIteration) as end:
        turn.send(answer(made))
    assert end.value.value.reply.text == "good"
    assert seen == [{}, {}, {}]
    assert session.cache.control_state == {"turns": 1}
