from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from telic.models.control import Control
from telic.models.local import LocalModel
from telic.steering import Anchor, Assume, AttentionHold, Guidance, Prompt, Refresh, Reminder, SplitSoftmax
from tests.contracts.control_contract import ControlContract


class TestSplitSoftmax(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "qwen3", "mistral", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return SplitSoftmax(0.3)

    def make_idle(self, model: LocalModel) -> Control:
        return SplitSoftmax(1.0)


class TestSplitSoftmaxOverTheTurn(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return SplitSoftmax(0.5, span="turn")

    def make_idle(self, model: LocalModel) -> Control:
        return SplitSoftmax(1.0, span="turn")


class TestHold(ControlContract):
    after = "Hello, I am Mia. Where would you like to go?"
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "qwen3", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return AttentionHold(gain=2.0)

    def make_idle(self, model: LocalModel) -> Control:
        return AttentionHold(gain=0.0)


class TestHoldPerHead(TestHold):
    architectures: ClassVar[Sequence[str]] = ("llama", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return AttentionHold(gain=1.5, per="head", span="turn")


class TestGuidance(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "qwen3", "mistral", "gemma3", "gpt2")

    def make(self, model: LocalModel) -> Control:
        return Guidance(3.0)

    def make_idle(self, model: LocalModel) -> Control:
        return Guidance(1.0)


class TestAnchor(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "gemma3", "gpt2")
    after: ClassVar[str] = "How nice to hear from you."

    def make(self, model: LocalModel) -> Control:
        return Anchor(0.7)

    def make_idle(self, model: LocalModel) -> Control:
        return Anchor(0.0)


class TestAssume(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "gemma3", "gpt2")
    after: ClassVar[str] = "How nice to hear from you."

    def make(self, model: LocalModel) -> Control:
        return Assume("You are talking to a child of eight.", 1.5)

    def make_idle(self, model: LocalModel) -> Control:
        return Assume("You are talking to a child of eight.", 0.0)


class TestRefresh(ControlContract):
    architectures: ClassVar[Sequence[str]] = ("llama", "qwen2", "gemma3", "gpt2")
    after: ClassVar[str] = "How nice to hear from you."

    def make(self, model: LocalModel) -> Control:
        return Refresh(1.5)

    def make_idle(self, model: LocalModel) -> Control:
        return Refresh(0.0)


class TestReminder(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Reminder()

    def make_idle(self, model: LocalModel) -> Control:
        return Reminder(every=0)


class TestPrompt(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return Prompt()

    def make_idle(self, model: LocalModel) -> Control:
        return Prompt(text="")
