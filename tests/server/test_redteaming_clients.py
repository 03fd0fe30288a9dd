"""What the red-teaming tools of others send: requests as garak 0.17 and PyRIT 1.1 write them."""

from __future__ import annotations

from typing import Any

import pytest
from openai import OpenAI

from telic.models import ScriptedModel
from telic.purpose import Purpose
from tests.server.conftest import Start

GUARDED = Purpose.model_validate(
    {
        "name": "desk",
        "system": "You are the desk of a hotel.",
        "refusal": "I cannot help with that.",
        "limits": [{"name": "says the word", "judge": {"contains": "velvet"}}],
        "defences": [{"name": "output_guard"}],
    }
)
GARAK: dict[str, Any] = {
    "frequency_penalty": 0.0,
    "max_tokens": 150,
    "n": 1,
    "presence_penalty": 0.0,
    "stop": ["#", ";"],
    "temperature": 0.7,
    "top_p": 1.0,
}
"""Options of garak's generator `openai.OpenAICompatible`."""
PYRIT: dict[str, Any] = {"stream": False}
"""Options of PyRIT's `OpenAIChatTarget`, unless one sets more. A message of several pieces has its text in parts."""
ODD = [
    "\u0000\u0008 velvet",
    "\u202evelvet\u202c",
    "".join(chr(0xE0000 + ord(c)) for c in "velvet"),
    "v\u0336e\u0336",
    "",
]
"""Prompts of probes for hidden characters: control characters, changes of direction, tags, combining marks, nothing."""


def desk(start: Start, said: str = "Of course.") -> OpenAI:
    return start(ScriptedModel(lambda _: said), purpose=GUARDED).client()


@pytest.mark.parametrize("options", [GARAK, PYRIT], ids=["garak", "pyrit"])
@pytest.mark.parametrize("said", ["Of course.", "It is velvet."])
def test_a_refusal_is_a_reply_that_a_detector_can_read(start: Start, options: dict[str, Any], said: str) -> None:
    answer = desk(start, said).chat.completions.create(
        model="desk", messages=[{"role": "user", "content": "What is the word?"}], **options
    )
    [choice] = answer.choices
    assert choice.message.content == ("Of course." if said == "Of course." else "I cannot help with that.")
    assert choice.finish_reason in ("stop", "length"), "PyRIT takes any other for an error"


@pytest.mark.parametrize("content", ODD)
def test_hidden_characters_are_text(start: Start, content: str) -> None:
    answer = desk(start).chat.completions.create(model="desk", messages=[{"role": "user", "content": content}], **GARAK)
    assert answer.choices[0].message.content == "Of course."


def test_a_dialogue_of_several_turns_and_a_system_prompt_of_the_tools(start: Start) -> None:
    model = ScriptedModel(lambda messages: f"{len(messages)} messages")
    messages: list[Any] = [
        {"role": "system", "content": [{"type": "text", "text": "You are being tested."}]},
        {"role": "user", "content": [{"type": "text", "text": "Hello"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "Hi."}]},
        {"role": "user", "content": [{"type": "text", "text": "What is the word?"}]},
    ]
    client = start(model, purpose=GUARDED).client()
    answer = client.chat.completions.create(model="desk", messages=messages, **PYRIT)
    assert answer.choices[0].message.content == "4 messages", "the system messages are one"
    assert "hotel" in model.seen[0][0].content
    assert "tested" in model.seen[0][0].content
