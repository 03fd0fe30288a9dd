"""Functions as tools: schemas from signatures, checked arguments, errors and limits that the model can read."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from telic.dialogue import ToolCall
from telic.errors import ConfigError
from telic.purpose import Purpose
from telic.tools import Toolbox, ToolError, function_tool


class Place(BaseModel):
    city: str


def book(place: Place, day: date, seat: Literal["aisle", "window"] = "aisle", extras: list[str] | None = None) -> Any:
    """Book a trip.

    It can be cancelled for a day.

    Args:
        place: where to.
        day: when, as 2026-05-01.
        seat: which seat.
    """
    return {"to": place.city, "day": day, "seat": seat, "extras": extras or []}


def run(function: Callable[..., Any], arguments: str, **options: Any) -> str:
    tool = function_tool(function, **options)
    return tool.call(ToolCall(id="c", name=tool.name, arguments=arguments)).content


def test_the_schema_is_that_of_the_signature_and_the_docstring() -> None:
    definition = function_tool(book).definition
    assert definition.name == "book"
    assert definition.description == "Book a trip.\n\nIt can be cancelled for a day."
    properties = definition.parameters["properties"]
    assert properties["day"] == {"description": "when, as 2026-05-01.", "format": "date", "type": "string"}
    assert properties["seat"]["enum"] == ["aisle", "window"]
    assert definition.parameters["required"] == ["place", "day"]
    assert definition.parameters["additionalProperties"] is False


def test_a_parameter_called_title_stays_in_the_schema() -> None:
    def search(title: str) -> str:
        return title

    assert list(function_tool(search).definition.parameters["properties"]) == ["title"]


def test_arguments_are_checked_and_a_result_that_is_no_text_is_json() -> None:
    assert run(book, '{"place": {"city": "Lisbon"}, "day": "2026-05-01"}') == (
        '{"to":"Lisbon","day":"2026-05-01","seat":"aisle","extras":[]}'
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ('{"place": {"city": "Lisbon"}}', "day: Field required"),
        ('{"place": {"city": "L"}, "day": "soon", "seat": "wing"}', "seat: Input should be 'aisle' or 'window'"),
        ('{"place": {"city": "L"}, "day": "2026-05-01", "dog": 1}', "dog: Extra inputs are not permitted"),
        ('{"place": ', "the arguments are not JSON"),
        ("[1]", "expected a JSON object"),
        ("[" * 100_000, "error: the arguments are"),
    ],
)
def test_wrong_arguments_are_told_to_the_model(arguments: str, told: str) -> None:
    content = run(book, arguments)
    assert content.startswith("error: ")
    assert told in content


def test_what_a_tool_raises_is_told_to_the_model() -> None:
    def fails(kind: str) -> str:
        raise ToolError("no such order; ask for its number") if kind == "told" else KeyError(kind)

    assert run(fails, '{"kind": "told"}') == "error: no such order; ask for its number"
    assert run(fails, '{"kind": "x"}') == "error: fails failed: KeyError: 'x'"


def test_a_tool_that_takes_too_long_is_not_waited_for() -> None:
    def sleeps() -> str:
        time.sleep(30)
        return ""

    assert run(sleeps, "{}", timeout=0.05) == "error: sleeps did not answer within 0.05 s"


def test_a_long_result_is_cut_where_the_model_sees_it() -> None:
    def long() -> str:
        return "ab" * 50

    assert run(long, "{}", max_characters=10) == "ababababab\n[cut here: 90 more characters]"


@pytest.mark.parametrize(
    ("function", "problem"),
    [
        (lambda x: x, "expected a name|has no type"),
        (lambda *x: x, "cannot be given by name|expected a name"),
    ],
)
def test_a_function_that_no_model_could_call_is_refused(function: Callable[..., Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        function_tool(function)


def test_an_async_function_is_awaited() -> None:
    async def find(order: int) -> str:
        await asyncio.sleep(0)
        return f"order {order}"

    assert run(find, '{"order": 7}') == "order 7"


def test_parameters_may_be_called_as_pydantics_attributes_are(recwarn: pytest.WarningsRecorder) -> None:
    def names(schema: str, copy: int, model_config: str, model_dump: str, _own: str = "e") -> str:
        return f"{schema}{copy}{model_config}{model_dump}{_own}"

    arguments = '{"schema": "a", "copy": 2, "model_config": "c", "model_dump": "d"}'
    assert run(names, arguments) == "a2cde"
    assert run(names, "{}").startswith("error: wrong arguments: schema: Field required; copy: Field required")
    assert not recwarn.list


def test_a_tool_that_exits_does_not_end_the_program() -> None:
    def leave() -> str:
        raise SystemExit(3)

    assert run(leave, "{}") == "error: leave failed: SystemExit: 3"


def test_half_of_a_surrogate_pair_goes_no_further_than_the_tool() -> None:
    def say(word: str) -> str:
        return word + "\ud83d"

    assert run(say, '{"word": "a"}') == "a\ufffd"
    assert run(say, '{"word": "\\ud83d"}').startswith("error: the arguments hold half of a surrogate pair")
    assert run(say, '{"word": ' + "[" * 900 + "]" * 900 + "}").startswith("error: the arguments are nested too deeply")


def test_an_object_without_a_name_is_no_tool() -> None:
    with pytest.raises(ConfigError, match="is neither a function nor a class"):
        Toolbox.of(functools.partial(int, "3"))


def test_a_type_that_cannot_be_found_is_told() -> None:
    def find(order: "Missing") -> str:  # type: ignore[name-defined] # noqa: F821, UP037
        return str(order)

    with pytest.raises(ConfigError, match="tool 'find': a type cannot be found: name 'Missing'"):
        function_tool(find)


class Shop:
    """Counts what it sold."""

    def __init__(self, stock: int = 2) -> None:
        self._stock = stock

    def sell(self) -> str:
        """Sell a lamp."""
        self._stock -= 1
        return f"{self._stock} left"

    def refund(self) -> str:
        """Give money back."""
        return "refunded"


def call(tools: Toolbox, name: str, confirm: Any = None) -> str:
    return tools.call(ToolCall(id="c", name=name), confirm).content


def test_a_class_is_made_anew_for_each_dialogue() -> None:
    tools = Toolbox.of(Shop)
    first, second = tools.begin(), tools.begin()
    assert [call(first, "sell"), call(first, "sell"), call(second, "sell")] == ["1 left", "0 left", "1 left"]


def test_an_unknown_tool_is_told_with_the_nearest_name() -> None:
    assert call(Toolbox.of(Shop), "sel") == "error: there is no tool 'sel'; did you mean 'sell'?"


def test_two_tools_of_one_name_are_refused() -> None:
    with pytest.raises(ConfigError, match="two tools are called 'refund'"):
        Toolbox.of(Shop, Shop)


HEAD = 'name = "shop"\nsystem = "You sell."\n\n'
CODE = """
class Shop:
    def sell(self) -> str:
        return "sold"

    def refund(self) -> str:
        return "ok"
"""


def purpose(folder: Path, tools: str, *, trust: bool = True) -> Purpose:
    (folder / "shop.py").write_text(CODE)
    (folder / "shop.toml").write_text(HEAD + tools)
    return Purpose.from_file(folder / "shop.toml", trust=trust)


def test_tools_of_a_purpose(tmp_path: Path) -> None:
    table = '[[tools]]\nname = "calculate"\n[[tools]]\npython = "shop:Shop"\nconfirm = ["refund"]\n'
    tools = Toolbox.of_purpose(purpose(tmp_path, table))
    assert list(tools.tools) == ["calculate", "refund", "sell"]
    assert call(tools, "sell") == "sold"
    assert "confirmation of a person" in call(tools, "refund")
    assert call(tools, "refund", lambda tool, made: True) == "ok"
    assert "does not want refund" in call(tools, "refund", lambda tool, made: False)


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        ('[[tools]]\nname = "calculat"\n', r"tools\[0\]: unknown tool 'calculat'; did you mean 'calculate'"),
        ('[[tools]]\npython = "shop:Store"\n', r"tools\[0\]: 'shop:Store' cannot be imported"),
        ('[[tools]]\npython = "shop"\n', r"tools\[0\]: found 'shop'; expected 'module:function'"),
        ('[[tools]]\npython = "shop:Shop"\nallow = ["sel"]\n', r"there is no tool 'sel' here; did you mean 'sell'"),
        ('[[tools]]\npython = "shop:Shop"\nsettings = {stock = 3}\n', "Shop cannot be made with"),
    ],
)
def test_a_tool_that_cannot_be_used_is_an_error_with_its_line(tmp_path: Path, table: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=r"shop\.toml, line 4: .*" + problem):
        Toolbox.of_purpose(purpose(tmp_path, table))


def test_code_beside_a_file_needs_trust(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="add --trust"):
        Toolbox.of_purpose(purpose(tmp_path, '[[tools]]\npython = "shop:Shop"\n', trust=False))


def test_all_mistakes_of_the_tables_are_reported_at_once(tmp_path: Path) -> None:
    tables = (
        '[[tools]]\nnam = "calculate"\n[[tools]]\nname = "now"\npython = "a:b"\n[[tools]]\nmcp = { comand = ["x"] }\n'
        "[[tools]]\nmcp = {}\n[[tools]]\nname = 3\ntimeout = 0\n"
    )
    with pytest.raises(ConfigError) as caught:
        purpose(tmp_path, tables)
    for text in (
        "unknown key; did you mean 'name'", "found name and python, expected one of name, python and mcp",
        "unknown key; did you mean 'command'", "expected either a command or a url", "found 3 (a whole number)",
        "greater than 0",
    ):  # fmt: skip
        assert text in str(caught.value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [("(2 + 3.5) * 4", "22"), ("0.1 + 0.2", "0.3"), ("-3/4", "-0.75"), ("1/0", "no value"), ("2**9", "no expression"),
     ("__import__('os')", "no expression"), ("(" * 300, "no expression"), ("1" * 501, "at most 500")],
)  # fmt: skip
def test_the_calculator_calculates_and_nothing_else(expression: str, value: str) -> None:
    from telic.tools.calculator import calculate

    try:
        result = calculate(expression)
    except ToolError as error:
        result = str(error)
    assert value in result
