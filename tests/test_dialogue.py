"""Dialogues are values: every change makes a new one."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from telic.dialogue import Dialogue, Message, Role, ToolCall

roles: st.SearchStrategy[Role] = st.sampled_from(["system", "user", "assistant", "tool"])
messages = st.builds(Message, role=roles, content=st.text(max_size=9), name=st.none() | st.text(max_size=3))
dialogues = st.lists(messages, max_size=5).map(Dialogue)


@settings(deadline=None)
@given(dialogues, roles, st.text(max_size=9))
def test_adding_leaves_the_old_dialogue_alone(talk: Dialogue, role: Role, content: str) -> None:
    before = list(talk)
    longer = talk.add(role, content)
    assert list(talk) == before
    assert list(longer) == [*before, Message(role=role, content=content)]
    assert longer[:-1] == talk


@settings(deadline=None)
@given(dialogues, st.text(max_size=9))
def test_a_system_prompt_is_set_replaced_and_removed(talk: Dialogue, content: str) -> None:
    under = talk.with_system(content)
    assert under.system == content
    assert under.turns() == talk.turns()
    assert under.with_system("other").with_system(content) == under
    assert len(under) == len(talk) + (talk.system is None)


@settings(deadline=None)
@given(dialogues)
def test_without_a_system_prompt_only_the_first_message_can_go(talk: Dialogue) -> None:
    turns = talk.turns()
    assert list(turns) == list(talk)[len(talk) - len(turns) :]
    assert len(talk) - len(turns) == (talk.system is not None)


@settings(deadline=None)
@given(dialogues, dialogues)
def test_equal_dialogues_are_one_key(one: Dialogue, two: Dialogue) -> None:
    assert (one == two) == (list(one) == list(two))
    assert Dialogue(list(one)) == one
    assert hash(Dialogue(list(one))) == hash(one)
    assert one != list(one)


@settings(deadline=None)
@given(dialogues, st.slices(5))
def test_slices_are_dialogues(talk: Dialogue, part: slice) -> None:
    assert isinstance(talk[part], Dialogue)
    assert list(talk[part]) == list(talk)[part]


@settings(deadline=None)
@given(messages)
def test_a_message_survives_openais_format(message: Message) -> None:
    assert Message.model_validate(message.as_dict()) == message
    assert ("name" in message.as_dict()) == (message.name is not None)


def test_calls_survive_openais_format() -> None:
    call = ToolCall(id="c1", name="find", arguments='{"q": 1}')
    message = Message(role="assistant", content="", tool_calls=(call,))
    assert Message.model_validate(message.as_dict()) == message
    assert Message.model_validate(message.model_dump()) == message


def test_messages_are_frozen_and_strict_about_roles() -> None:
    message = Message(role="user", content="Hi!")
    with pytest.raises(ValidationError, match="frozen"):
        message.content = "Bye!"
    with pytest.raises(ValidationError, match="Input should be 'system', 'user', 'assistant' or 'tool'"):
        Message.model_validate({"role": "bot", "content": "Hi!"})
    with pytest.raises(ValidationError, match="Extra inputs"):
        Message.model_validate({"role": "user", "text": "Hi!", "content": ""})
