"""The contract of models, on each kind: local, remote over a real socket, scripted, fake."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any, ClassVar

import pytest

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.base import Model
from telic.models.request import Reply, Sampling
from telic.models.scripted import FakeModel, ScriptedModel
from tests.contracts.model_contract import BROKEN, FORM, ModelContract
from tests.models import tiny
from tests.models.test_remote import Server, answer, chunks, completion


def count(messages: Sequence[Message], words: int) -> str:
    """A reply that depends on all that was said: so many numbered words."""
    length = sum(len(message.content) for message in messages)
    return " ".join(f"w{length + number}" for number in range(words))


class TestScripted(ModelContract):
    seeded: ClassVar[bool] = False

    @pytest.fixture
    def model(self) -> Model:
        def script(messages: tuple[Message, ...]) -> str:
            if messages[-1].content == BROKEN:
                raise ModelError("out of memory")
            return count(messages, 12)

        return ScriptedModel(script)


class TestFake(ModelContract):
    @pytest.fixture
    def model(self) -> Model:
        class Fallible(FakeModel):
            def _answer(self, messages: tuple[Message, ...], sampling: Sampling) -> Reply:
                if messages[-1].content == BROKEN:
                    return Reply("", "error", seed=sampling.seed)
                return super()._answer(messages, sampling)

        return Fallible()


class TestLocal(ModelContract):
    @pytest.fixture
    def model(self, monkeypatch: pytest.MonkeyPatch) -> Model:
        model = tiny.local("llama", max_batch=4)
        render = model.template.render

        def refuse(messages: Sequence[Message], **options: Any) -> object:
            if messages[-1].content == BROKEN:
                raise ModelError("the chat template refuses it", "template_refusal")
            return render(messages, **options)

        monkeypatch.setattr(model.template, "render", refuse)
        return model


class TestRemote(ModelContract):
    seeded: ClassVar[bool] = False

    @pytest.fixture
    def model(self) -> Iterator[Model]:
        def step(handler: BaseHTTPRequestHandler) -> None:
            body = handler.body  # type: ignore[attr-defined]
            messages = [Message(role=one["role"], content=one["content"]) for one in body["messages"]]
            if messages[-1].content == BROKEN:
                answer(400, {"error": {"message": "no such thing"}})(handler)
                return
            time.sleep(0.01 * (len(messages[-1].content) % 3))  # replies overtake each other
            text = count(messages, min(12, body["max_tokens"]))
            if "response_format" in body:
                assert body["response_format"] == FORM.as_openai()
                text = '{"city":\n "Rome"}'
            usage = {"prompt_tokens": 9, "completion_tokens": len(text.split())}
            finish = "length" if body["max_tokens"] <= 12 else "stop"
            if body.get("stream"):
                answer(200, chunks(*re.findall(r"\S+\s*", text), finish=finish), "text/event-stream")(handler)
            else:
                answer(200, completion(text, finish, usage=usage))(handler)

        with Server() as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            yield server.model(step, retries=0)
            server.shutdown()
            thread.join()
