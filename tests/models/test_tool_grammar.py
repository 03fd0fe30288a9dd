"""Grammars of calls: what a reply with tools may be, whatever the model would like to write."""

from __future__ import annotations

from typing import Literal

import pytest
from pydantic import BaseModel

from telic.dialogue import Message, ToolDefinition
from telic.models import Request
from telic.models.grammars import matches
from telic.models.request import ToolChoice
from telic.models.response_format import ResponseFormat
from telic.models.tool_grammar import call_formats
from telic.tool_syntax import TEXT_SYNTAX, ToolSyntax
from telic.tools import function_tool

pytest.importorskip("llguidance")

LLAMA = ToolSyntax("", "", "parameters")
MISTRAL = ToolSyntax("[TOOL_CALLS]", "", "arguments", listed=True)


class Place(BaseModel):
    city: str


def find(place: Place, kind: Literal["hotel", "museum"]) -> str:
    return ""


def stay(place: Place, nights: int = 1) -> str:
    return ""


TOOLS = (function_tool(find).definition, function_tool(stay).definition)
FIND = '{"name": "find", "arguments": {"place": {"city": "Rome"}, "kind": "hotel"}}'
STAY = '{"name": "stay", "arguments": {"place": {"city": "Rome"}, "nights": 2}}'
WRONG = [
    FIND.replace("find", "search"),
    FIND.replace("hotel", "bar"),
    STAY.replace("2", '"two"'),
    STAY.replace("place", "to"),
    '{"name": "find", "arguments": {}}',
]


def keeps(
    text: str, choice: ToolChoice = "auto", syntax: ToolSyntax = TEXT_SYNTAX, answer: ResponseFormat | None = None
) -> bool:
    request = Request((Message(role="user", content="Hi"),), tools=TOOLS, tool_choice=choice, response_format=answer)
    return matches(next(iter(call_formats(request, syntax))), text)


def opened(call: str) -> str:
    return f"<tool_call>\n{call}\n</tool_call>"


@pytest.mark.parametrize("call", [FIND, STAY])
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_a_valid_call_may_be_written(call: str, choice: str) -> None:
    assert keeps(opened(call), choice)


@pytest.mark.parametrize("call", WRONG)
@pytest.mark.parametrize("choice", ["auto", "required"])
def test_an_invalid_call_may_not(call: str, choice: str) -> None:
    assert not keeps(opened(call), choice)


def test_of_their_own_accord_models_may_say_anything_before_and_without_a_call() -> None:
    assert keeps("Hello { there.")
    assert keeps("One moment.\n" + opened(FIND) + "\n" + opened(STAY))
    assert not keeps("Hello.", "required")


def test_a_named_tool_is_the_only_one() -> None:
    assert keeps(opened(STAY), "stay")
    assert not keeps(opened(FIND), "stay")


def test_bare_json_is_a_call_where_the_template_has_no_opening() -> None:
    assert keeps(FIND.replace("arguments", "parameters"), syntax=LLAMA)
    assert not keeps(WRONG[0].replace("arguments", "parameters"), syntax=LLAMA)
    assert keeps("Hello.\nHow are you?", syntax=LLAMA)


def test_calls_in_a_list() -> None:
    assert keeps(f"[{FIND}, {STAY}]", "required", MISTRAL)
    assert not keeps(f"[{WRONG[1]}]", "required", MISTRAL)


def test_a_reply_with_a_response_format_has_it_or_calls() -> None:
    answer = ResponseFormat.json_schema(
        {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    )
    assert keeps('{"ok": true}', answer=answer)
    assert keeps(opened(FIND), answer=answer)
    assert not keeps("Hello.", answer=answer)


def test_arguments_are_any_object_where_no_grammar_can_express_the_schema() -> None:
    odd = ToolDefinition(name="odd", parameters={"type": "object", "properties": {"x": {"not": {"type": "string"}}}})
    request = Request((Message(role="user", content="Hi"),), tools=(odd,), tool_choice="required")
    *_, lax = call_formats(request, TEXT_SYNTAX)
    assert matches(lax, opened('{"name": "odd", "arguments": {"x": 1}}'))
    assert not matches(lax, opened('{"name": "even", "arguments": {}}'))


def test_a_schema_that_is_none_is_left_to_the_tool() -> None:
    odd = ToolDefinition(name="odd", parameters={"type": "object", "$defs": ["a"]})
    request = Request((Message(role="user", content="Hi"),), tools=(odd,), tool_choice="required")
    *_, lax = call_formats(request, TEXT_SYNTAX)
    assert matches(lax, opened('{"name": "odd", "arguments": {"x": 1}}'))
