"""Vectors of every kind, under what every control promises."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from telic.models.control import Control
from telic.models.local import LocalModel
from telic.steering.vector import Vector
from tests.contracts.control_contract import ControlContract
from tests.models.tiny import SYSTEM, draws


class TestAdd(ControlContract):
    architectures = ("llama", "mistral", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return Vector(dict(enumerate(draws(3))), positions="all")

    def make_idle(self, model: LocalModel) -> Control:
        return Vector(dict(enumerate(draws(3))), strength=0.0, positions="all")


class TestAddToThePrompt(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Vector({1: draws(1, 3.0)[0]}, positions="prompt")

    def make_idle(self, model: LocalModel) -> Control:
        return Vector({1: draws(1, 3.0)[0]}, strength=0.0, positions="prompt")


class TestSeveralAtOnce(ControlContract):
    def make(self, model: LocalModel) -> Control:
        calm, warm, dull = draws(3)
        return Vector(
            {"calm": {0: calm, 2: calm}, "warm": {2: warm}, "dull": {1: dull}}, strength={"calm": 2, "warm": -1}
        )

    def make_idle(self, model: LocalModel) -> Control:
        calm, warm = draws(2)
        return Vector({"calm": {0: calm, 2: calm}, "warm": {2: warm}}, strength={})


class TestAblate(ControlContract):
    architectures = ("llama", "qwen3", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        calm, warm = draws(2)
        return Vector({"calm": {1: calm}, "warm": {1: warm, 2: warm}}, mode="ablate")

    def make_idle(self, model: LocalModel) -> Control:
        return Vector({1: draws(1)[0]}, mode="ablate", strength=0)


class TestCap(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Vector(dict(enumerate(draws(3))), mode="cap", floor={0: 0.5, 1: 0.4, 2: -1}, ceiling=0.6, strength=0.8)

    def make_idle(self, model: LocalModel) -> Control:
        return Vector(dict(enumerate(draws(3))), mode="cap", floor=0.5, strength=0.0)


class TestClosedLoop(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "gemma3", "gpt2")
    after = "Hello, I am Mia. Where would you like to go?"

    def make(self, model: LocalModel) -> Control:
        calm, warm = draws(2)
        return Vector({"calm": {0: calm, 1: warm}, "warm": {1: calm}}, mode="cap", floor="first")

    def make_idle(self, model: LocalModel) -> Control:
        return Vector(dict(enumerate(draws(2))), mode="cap", floor="first", strength=0.0)


class TestClosedLoopOnAllTokens(TestClosedLoop):
    architectures = ("llama", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return Vector(
            dict(enumerate(draws(3))), mode="cap", floor="first", ceiling="first", positions="all", strength=0.9
        )


class TestBySystem(ControlContract):
    def make(self, model: LocalModel) -> Control:
        calm, warm = draws(2)
        return Vector({"You are Bob.": {1: calm}, SYSTEM: {1: warm, 2: calm}}, by_system=True)

    def make_idle(self, model: LocalModel) -> Control:
        return Vector({"You are Bob.": {1: draws(1)[0]}}, by_system=True)  # which nobody is


class TestClosedLoopBySystem(ControlContract):
    after = "Hello, I am Mia. Where would you like to go?"

    def make(self, model: LocalModel) -> Control:
        calm, warm = draws(2)
        return Vector({"You are Bob.": {1: calm}, SYSTEM: {1: warm}}, by_system=True, mode="cap", floor="first")

    def make_idle(self, model: LocalModel) -> Control:
        return Vector({"You are Bob.": {1: draws(1)[0]}}, by_system=True, mode="cap", floor="first")
