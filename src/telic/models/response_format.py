"""What form a reply must have: JSON, a schema of it, a regular expression, one of a few texts, a grammar.

A value only: `telic.models.grammars` compiles it. The constructors are the forms of vLLM's structured outputs; `of`
also reads OpenAI's `response_format`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.errors import PydanticUserError

from telic.errors import ConfigError

__all__ = ["FormatKind", "ResponseFormat"]

FormatKind = Literal["json_object", "json_schema", "regex", "choice", "lark"]

MAX_CHARACTERS = 100_000
"""Longest format, which bounds the time to compile it."""


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of a reply. Use the constructors; equal ones are compiled once."""

    kind: FormatKind
    text: str = ""
    """The JSON of the schema or of the choices, the regular expression, or the Lark grammar."""
    trigger: str = ""
    """Of a Lark grammar: the text after which it applies."""
    name: str = "reply"
    """What an endpoint calls the schema."""

    def __post_init__(self) -> None:
        if len(self.text) > MAX_CHARACTERS:
            raise ConfigError(f"response format: {len(self.text)} characters; expected at most {MAX_CHARACTERS}")

    @classmethod
    def json_object(cls) -> ResponseFormat:
        """Any JSON object."""
        return cls("json_object", '{"type": "object"}')

    @classmethod
    def json_schema(cls, schema: Mapping[str, Any] | type[BaseModel], name: str = "") -> ResponseFormat:
        """JSON that a schema describes.

        Args:
            schema: a JSON schema; or a pydantic model, whose fields are then all required and no others allowed, as in
                OpenAI's strict mode. Properties come in the schema's order.
            name: what an endpoint calls it; by default its title.

        Raises:
            ConfigError: the schema is not one, or too long. Whether a model can keep to it shows when it is compiled.
        """
        if isinstance(schema, type):
            schema = _strict_schema(schema)
        if not isinstance(schema, Mapping):
            raise ConfigError(f"response format: schema is {schema!r}; expected a JSON schema or a pydantic model")
        return cls("json_schema", _to_json(dict(schema)), name=name or _name_of(schema))

    @classmethod
    def regex(cls, pattern: str) -> ResponseFormat:
        """A text that a regular expression matches as a whole (Rust's syntax: no look-around, no backreferences)."""
        return cls("regex", pattern)

    @classmethod
    def choice(cls, options: Sequence[str]) -> ResponseFormat:
        """One of a few texts. It is drawn token by token; `Request.choices` draws by the likelihood of whole texts.

        Raises:
            ConfigError: there are none, or one is empty.
        """
        if isinstance(options, str) or not options or not all(isinstance(one, str) and one for one in options):
            raise ConfigError(f"response format: choice is {options!r}; expected a list of texts, none empty")
        return cls("choice", _to_json(list(options)))

    @classmethod
    def lark(cls, grammar: str, trigger: str = "") -> ResponseFormat:
        r"""A text of a Lark grammar, whose rule `start` is the whole text.

        Args:
            grammar: the grammar, in the syntax of llguidance: `%json {...}` embeds a JSON schema.
            trigger: if given, the text is free, and what follows each occurrence of the trigger must match the grammar.
                So tool calls begin: `lark(r'start: "\n" %json {...} "\n</tool_call>"', trigger="<tool_call>")`.
        """
        return cls("lark", grammar, trigger)

    @classmethod
    def of(cls, value: ResponseFormat | type[BaseModel] | Mapping[str, Any] | None) -> ResponseFormat | None:
        """Read a format: a pydantic model, a JSON schema, or OpenAI's `response_format`; None for plain text.

        Raises:
            ConfigError: it is none of them.
        """
        if value is None or isinstance(value, ResponseFormat):
            return value
        kind = value.get("type") if isinstance(value, Mapping) else None
        if kind == "text":
            return None
        if kind == "json_object":
            return cls.json_object()
        if kind == "json_schema" and isinstance(value, Mapping):
            inner = value.get("json_schema")
            if not isinstance(inner, Mapping):
                raise ConfigError(f"response format: json_schema is {inner!r}; expected a name and a schema")
            return cls.json_schema(inner.get("schema", {"type": "object"}), str(inner.get("name") or ""))
        return cls.json_schema(value)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema of a format of JSON."""
        schema: dict[str, Any] = json.loads(self.text)
        return schema

    @property
    def is_json(self) -> bool:
        """Whether replies are JSON."""
        return self.kind in ("json_object", "json_schema")

    def as_openai(self) -> dict[str, Any]:
        """OpenAI's `response_format`, for a format of JSON."""
        if self.kind == "json_object":
            return {"type": "json_object"}
        return {"type": "json_schema", "json_schema": {"name": self.name, "schema": self.schema, "strict": True}}


def _strict_schema(model: type) -> Mapping[str, Any]:
    if not issubclass(model, BaseModel):
        raise ConfigError(f"response format: {model!r} is not a pydantic model; derive it from pydantic.BaseModel")
    from openai import pydantic_function_tool  # takes a while to import

    try:
        parameters: Mapping[str, Any] = pydantic_function_tool(model)["function"]["parameters"]
    except PydanticUserError as error:  # a field has no JSON schema, or an annotation is not defined yet
        raise ConfigError(f"response format: {model.__name__}: {error.message}") from None
    return parameters


def _to_json(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
        text.encode()
    except RecursionError:
        raise ConfigError("response format: nested too deeply") from None
    except (TypeError, ValueError) as error:
        raise ConfigError(f"response format: not JSON: {error}") from None
    return text


def _name_of(schema: Mapping[str, Any]) -> str:
    """A name that OpenAI takes: letters, digits, `_` and `-`, at most 64."""
    title = schema.get("title")
    name = "".join(c for c in title if c.isascii() and (c.isalnum() or c in "_-")) if isinstance(title, str) else ""
    return name[:64] or "reply"
