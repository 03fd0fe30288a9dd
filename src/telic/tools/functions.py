"""Typed Python functions as tools: the schema comes from the signature and the docstring."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import Parameter, iscoroutine, signature
from typing import Any, get_type_hints

from docstring_parser import parse
from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError
from pydantic_core import PydanticSerializationError, to_json

from telic.dialogue import ToolDefinition
from telic.errors import ConfigError
from telic.tools.base import Tool, ToolError

__all__ = ["function_tool", "methods_of"]


def function_tool(function: Callable[..., Any], **options: Any) -> Tool:
    """Make a tool of a function with annotated parameters.

    The model gets its name, the text of its docstring, and the parameters with their types and descriptions. A call's
    arguments are checked against the types before the function runs. An `async` function runs in an event loop of its
    own. A result that is no text is written as JSON.

    Args:
        function: the function, or a bound method.
        **options: fields of `Tool`: `confirm`, `timeout`, `max_characters`.

    Raises:
        ConfigError: a parameter has no type, or a type that no JSON stands for.
    """
    name = function.__name__
    told = parse(function.__doc__ or "")
    description = "\n\n".join(filter(None, (told.short_description, told.long_description)))
    descriptions = {one.arg_name: one.description for one in told.params}
    fields = _fields(function, descriptions)
    # Under names of our own: the parameters may be called as pydantic's own attributes are.
    own = {f"argument{number}": field for number, field in enumerate(fields.values())}
    try:
        arguments = create_model(name, __config__=ConfigDict(extra="forbid"), **own)
        schema = _without_titles(arguments.model_json_schema())
        definition = ToolDefinition(name=name, description=description, parameters=schema)
    except ValidationError:
        raise ConfigError(f"tool {name!r}: expected a name of letters, digits and _ (at most 64)") from None
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise ConfigError(f"tool {name!r}: no JSON stands for a parameter: {error.message.splitlines()[0]}") from None
    return Tool(definition, lambda given: _call(function, arguments, list(fields), given), **options)


def methods_of(instance: object) -> list[Callable[..., Any]]:
    """Return the public methods of an object, in the order of their names."""
    names = (name for name in dir(instance) if not name.startswith("_"))
    return [found for name in names if callable(found := getattr(instance, name))]


def _fields(function: Callable[..., Any], descriptions: dict[str, str | None]) -> dict[str, Any]:
    try:
        hints = get_type_hints(function, include_extras=True)
    except NameError as error:  # such as one that is imported for type checkers only
        raise ConfigError(f"tool {function.__name__!r}: a type cannot be found: {error}") from None
    fields: dict[str, Any] = {}
    for name, parameter in signature(function).parameters.items():
        if parameter.kind not in (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY):
            raise ConfigError(f"tool {function.__name__!r}: parameter {name!r} cannot be given by name")
        if name not in hints:
            raise ConfigError(f"tool {function.__name__!r}: parameter {name!r} has no type; annotate it")
        default = ... if parameter.default is Parameter.empty else parameter.default
        fields[name] = (hints[name], Field(default, alias=name, description=descriptions.get(name)))
    return fields


def _call(function: Callable[..., Any], arguments: type[BaseModel], names: list[str], given: dict[str, Any]) -> str:
    try:
        checked = arguments.model_validate(given)
    except ValidationError as error:
        raise ToolError(_wrong_arguments(error, names)) from None
    value = function(
        **{name: getattr(checked, field) for name, field in zip(names, arguments.model_fields, strict=True)}
    )
    if iscoroutine(value):
        value = asyncio.run(value)
    if isinstance(value, str):
        return value
    try:
        return to_json(value).decode()
    except PydanticSerializationError:
        return str(value)


def _wrong_arguments(error: ValidationError, known: list[str]) -> str:
    """Describe all wrong arguments to the model."""
    problems = []
    for one in error.errors(include_url=False):
        name = ".".join(map(str, one["loc"])) or "arguments"
        found = "" if one["type"] == "missing" else f", found {one['input']!r:.80}"
        problems.append(f"{name}: {one['msg']}{found}")
    return f"wrong arguments: {'; '.join(problems)}. The arguments are: {', '.join(known) or 'none'}"


def _without_titles(schema: Any) -> Any:
    """Leave out the titles that pydantic adds: they repeat the names, and every model reads every schema."""
    if isinstance(schema, list):
        return [_without_titles(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _without_titles(one) for key, one in schema.items() if key != "title" or not isinstance(one, str)}
