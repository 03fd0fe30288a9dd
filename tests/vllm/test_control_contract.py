"""What every control keeps to, on vLLM in this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import pytest

from telic.models.control import Control, ControlPoint
from telic.models.local import LocalModel
from tests.contracts.control_contract import Bystander, ControlContract
from tests.models import test_controls as plain
from tests.steering import test_attention_controls as logits
from tests.steering import test_belief as belief
from tests.steering import test_vector_contract as vector


class WithoutAttention(Bystander):
    """Acts where vLLM lets it."""

    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual", "logits"})


class OnVllm(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama",)
    bystander: ClassVar[type[Control]] = WithoutAttention

    @pytest.fixture
    def models(self, tiny_on_vllm: Any) -> list[LocalModel]:
        return [tiny_on_vllm]

    @pytest.mark.skip(reason="tested in float32, in which replies are the local engine's")
    def test_finite_in_bfloat16(self) -> None: ...


class TestGuidance(OnVllm, logits.TestGuidance): ...


class TestAnchor(OnVllm, logits.TestAnchor): ...


class TestAssume(OnVllm, logits.TestAssume): ...


class TestRefresh(OnVllm, logits.TestRefresh): ...


class TestReminder(OnVllm, logits.TestReminder): ...


class TestPrompt(OnVllm, logits.TestPrompt): ...


class TestPrefix(OnVllm, plain.TestPrefix): ...


class TestBias(OnVllm, plain.TestBias): ...


class TestSteer(OnVllm, plain.TestSteer): ...


class TestAdd(OnVllm, vector.TestAdd):  # type: ignore[misc]  # fewer architectures
    ...


class TestAddToThePrompt(OnVllm, vector.TestAddToThePrompt): ...


class TestAblate(OnVllm, vector.TestAblate):  # type: ignore[misc]
    ...


class TestCap(OnVllm, vector.TestCap): ...


class TestClosedLoop(OnVllm, vector.TestClosedLoop): ...


class TestBySystem(OnVllm, vector.TestBySystem): ...


class TestOnePin(OnVllm, belief.TestOnePin): ...
