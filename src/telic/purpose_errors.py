"""The mistakes of a purpose file in the user's terms instead of pydantic's, each with its place."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from telic.purpose_parts import JUDGE_FORM, Limit, McpServer, Probe, SamplingDefaults, ToolSpec
from telic.registry import suggest
from telic.settings import expected_value
from telic.toml_source import KeyPath

__all__ = ["describe_problems"]

_EXPECTED = {
    "string_type": "a text in quotation marks",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "int_type": "a whole number",
    "float_type": "a number",
}
_FORMS = {
    "judge": JUDGE_FORM,
    "probes": "a list of tables: [[probes]]",
    "limits": "a list of tables: [[limits]]",
    "controls": "a list of tables: [[controls]]",
    "defences": "a list of tables: [[defences]]",
    "tools": "a list of tables: [[tools]]",
    "mcp": 'a table such as { command = ["uvx", "mcp-server-time"] }',
}
_KINDS = (
    (bool, "a boolean"),
    (str, "a text"),
    (int, "a whole number"),
    (float, "a number"),
    (list, "a list"),
)


def describe_problems(
    errors: list[ErrorDetails], values: dict[str, Any], whole: type[BaseModel]
) -> list[tuple[KeyPath, str]]:
    """Return each mistake with its place.

    Args:
        errors: those of the validation.
        values: what was validated.
        whole: the model of the whole file.
    """
    problems: list[tuple[KeyPath, str]] = []
    misspelt: set[KeyPath] = set()
    for error in errors:
        if error["type"] == "extra_forbidden":
            message, path = _unknown(error["loc"], values, whole)
            problems.append((error["loc"], message))
            misspelt.add(path)
    for error in errors:
        path = error["loc"]
        if error["type"] == "extra_forbidden" or (error["type"] == "missing" and path in misspelt):
            continue  # a misspelt key is not reported a second time as a missing one
        if error["type"] == "duplicate":
            path = (error["ctx"]["table"], error["ctx"]["index"], "name")
        if error["type"] == "no_reward_head":
            path = ("best_of",)
        problems.append((path, _describe(error)))
    return problems


def _unknown(path: KeyPath, values: dict[str, Any], whole: type[BaseModel]) -> tuple[str, KeyPath]:
    """Return the message for an unknown key, and the path of the key that its author probably meant."""
    parts: dict[str | int, type[BaseModel]] = {
        "probes": Probe,
        "limits": Limit,
        "sampling": SamplingDefaults,
        "tools": McpServer if "mcp" in path[:-1] else ToolSpec,
    }
    part = parts.get(path[0], whole) if len(path) > 1 else whole
    known, key = list(part.model_fields), str(path[-1])
    if part is not whole and key in whole.model_fields and key not in values:
        return "unknown key here; it belongs to the whole file: write it before the first [table]", (key,)
    near = get_close_matches(key, known, n=1, cutoff=0.6)
    return f"unknown key{suggest(key, known)}", (*path[:-1], *near)


def _describe(error: ErrorDetails) -> str:
    kind, found = error["type"], error["input"]
    field = next((part for part in reversed(error["loc"]) if isinstance(part, str)), "")
    direct = bool(error["loc"]) and error["loc"][-1] == field
    form = _FORMS.get(field) if direct else None
    if kind == "missing":
        return f"missing; expected {form or 'a text in quotation marks'}"
    if kind in {"blank", "unnamed", "empty", "duplicate", "no_reward_head", "tool_source", "mcp_server"}:
        return error["msg"]
    expected = form or _EXPECTED.get(kind) or expected_value(error)
    return f"found {_shown(found)}, expected {expected}"


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return "a table"
    kind = next((kind for type_, kind in _KINDS if isinstance(value, type_)), type(value).__name__)
    text = str(value).lower() if isinstance(value, bool) else repr(value)
    return f"{text if len(text) <= 60 else text[:57] + '...'} ({kind})"
