"""What every model keeps to, on vLLM in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from telic.dialogue import Message
from telic.errors import ModelError
from telic.models.base import Model
from tests.contracts.model_contract import BROKEN, ModelContract


class TestOnVllm(ModelContract):
    @pytest.fixture
    def model(self, tiny_on_vllm: Any, monkeypatch: pytest.MonkeyPatch) -> Model:
        render = tiny_on_vllm.template.render

        def refuse(messages: Sequence[Message], **options: Any) -> object:
            if messages[-1].content == BROKEN:
                raise ModelError("the chat template refuses it", "template_refusal")
            return render(messages, **options)

        monkeypatch.setattr(tiny_on_vllm.template, "render", refuse)
        model: Model = tiny_on_vllm
        return model
