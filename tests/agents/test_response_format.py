"""Replies of an agent in a given form, with its defences and its choice among drafts."""

from __future__ import annotations

from dataclasses import replace

import pytest
from pydantic import BaseModel

from telic.agents import Agent
from telic.agents.defender import DefenceState, Defender
from telic.errors import ConfigError
from telic.models import Reply, ResponseFormat, ScriptedModel
from telic.models.requesting import run_alone
from telic.purpose import Purpose

GOOD = '{"material": "suede"}'


class Shoe(BaseModel):
    """What a customer wants."""

    material: str


def purpose(**options: object) -> Purpose:
    limits = [{"name": "says velvet", "judge": {"contains": "velvet"}}]
    return Purpose.model_validate({"name": "shoes", "system": "You sell shoes.", "limits": limits, **options})


def test_a_pydantic_class_or_a_schema() -> None:
    agent = Agent(ScriptedModel([GOOD, GOOD, GOOD, "Hello"]), purpose(sampling={"stop": [":"]}))
    assert Shoe.model_validate_json(agent.reply("Suede!", Shoe).text).material == "suede", "its stop is about prose"
    assert agent.reply("Suede!", Shoe.model_json_schema()).text == GOOD
    assert agent.reply("Suede!", ResponseFormat.choice([GOOD])).text == GOOD
    assert agent.reply("Hello").text == "Hello"


def test_a_bad_schema_leaves_the_dialogue_alone() -> None:
    agent = Agent(ScriptedModel([GOOD]), purpose())
    with pytest.raises(ConfigError, match="at /properties/a: Invalid type: strin"):
        agent.reply("Suede!", {"properties": {"a": {"type": "strin"}}})
    assert len(agent.session.dialogue) == 1


def test_a_reply_in_a_form_is_refused_rather_than_trimmed() -> None:
    bad = '{"material": "Fine. velvet. Good."}'
    defences = [{"name": "output_guard", "regenerate": 0}]
    free = Agent(ScriptedModel([bad] * 2), purpose(defences=defences))
    assert "velvet" not in free.reply("Velvet!").text
    assert free.records[0].action == "trim"
    formed = Agent(ScriptedModel([bad] * 2), purpose(defences=defences))
    assert formed.reply("Velvet!", Shoe).text == purpose().refusal_text
    assert formed.records[0].action == "refuse"


def test_the_best_of_the_complete_drafts_is_chosen() -> None:
    class LikesLongReplies:
        def best(self, replies: list[Reply]) -> Reply:
            return max(replies, key=lambda reply: len(reply.text))

    model = ScriptedModel([GOOD, '{"material": "suede, and much more"}'] * 2)
    defender = Defender(model, purpose())
    defender.purpose = purpose().model_copy(update={"best_of": 2})
    defender.reward_head = LikesLongReplies()  # type: ignore[assignment]
    request = model.session().user("Suede!").request(max_new_tokens=3)
    assert run_alone(defender.reply(request, DefenceState())).reply.finish == "length"
    formed = replace(request, response_format=ResponseFormat.of(Shoe))
    assert run_alone(defender.reply(formed, DefenceState())).reply.text == GOOD
