"""Requests for replies in a given form and for calls that are required, for tests in process and over HTTP."""

from __future__ import annotations

from dataclasses import replace

from telic.dialogue import ToolDefinition
from telic.models.control import Control
from telic.models.request import Request
from telic.models.response_format import ResponseFormat
from telic.steering import Anchor, Guidance, Refresh
from tests.models.tiny import LONG, MIDDLE, SHORT, ask

FORMATS = (
    ResponseFormat.json_schema(
        {
            "type": "object",
            "properties": {
                "mood": {"type": "string", "maxLength": 6},
                "rooms": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 99}, "maxItems": 3},
            },
            "required": ["mood", "rooms"],
            "additionalProperties": False,
        }
    ),
    ResponseFormat.regex(r"[A-Z][a-z]{1,8}, \d{4}\n"),
    ResponseFormat.choice(["Yes 😀", 'No, "never"', "Может быть"]),
    ResponseFormat.lark('start: " " /[0-9]{3}/ ";"', trigger="e"),
)
CONTROLS: tuple[tuple[Control, ...], ...] = ((), (Guidance(2.0),), (Refresh(1.5),), (Anchor(0.4), Refresh(1.5)))


def _schema(*names: str) -> dict[str, object]:
    properties = {name: {"enum": ["lamp", "chair", "three sofas"]} for name in names}
    return {"type": "object", "properties": properties, "required": [*names], "additionalProperties": False}


TOOLS = (
    ToolDefinition(name="price_of", description="Look up a price.", parameters=_schema("item")),
    ToolDefinition(name="swap", description="Swap two items.", parameters=_schema("old", "new")),
)


def formed() -> list[Request]:
    """Requests with response formats under several controls, greedy and sampled in turn, one in four without."""
    requests = []
    for number, form in enumerate((*FORMATS, None) * 3):
        controls = CONTROLS[number % len(CONTROLS)]
        request = ask(
            (SHORT, LONG, MIDDLE)[number % 3],
            controls=controls,
            max_new_tokens=48,
            temperature=float(number % 2),
            seed=number,
            logprobs=True,
        )
        requests.append(replace(request, response_format=form))
    return requests


def calling() -> list[Request]:
    """Requests with tools: the model may call, has to, or has to call a certain one; one has a format as well."""
    requests = []
    for number, choice in enumerate(("auto", "required", "price_of", "swap", "none", "required")):
        controls = CONTROLS[number % len(CONTROLS)]
        request = ask(MIDDLE, controls=controls, max_new_tokens=96, temperature=1.0, seed=number, logprobs=True)
        requests.append(replace(request, tools=TOOLS, tool_choice=choice))
    return [*requests, replace(requests[0], response_format=FORMATS[0])]
