"""Tests that every control passes: a test class inherits `ControlContract` and overrides the two factories.

class TestPower(ControlContract):
    def make(self, model):
        return Power(0.3)

    def make_idle(self, model):
        return Power(1.0)
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from telic.dialogue import Message
from telic.errors import UnsupportedControlError
from telic.models import FakeModel
from telic.models.control import Control, ControlBatch, ControlContext, ControlPoint
from telic.models.local import LocalModel
from telic.models.request import Reply, Request
from telic.models.session import Session
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM

__all__ = ["Bystander", "ControlContract"]


class Bystander(Control):
    """Another control, for sequences beside the tested one: it acts strongly, and at three points at once."""

    name: ClassVar[str] = "bystander"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"attention", "residual", "logits"})

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        return 0.1 * log_mass_R_H_Q

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        return hidden_N_D * 1.5

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        return -logits_R_V


def agree(one: Reply, other: Reply) -> None:
    assert one.finish != "error", one.failure
    assert one.token_ids == other.token_ids
    assert one.logprobs == pytest.approx(other.logprobs, abs=1e-4)


class ControlContract:
    """The tests. Subclasses override the two factories, and the class variables where they must."""

    architectures: ClassVar[Sequence[str]] = ("llama", "gemma3", "gpt2")

    bystander: ClassVar[type[Control]] = Bystander

    after: ClassVar[str] = ""
    """An earlier reply, for a control that acts from the second reply on."""

    def ask(self, user: str, system: str | None = SYSTEM, **options: Any) -> Request:
        request = tiny.ask(user, system, **options)
        if not self.after:
            return request
        earlier = (Message(role="user", content="Hi"), Message(role="assistant", content=self.after))
        return replace(request, messages=(*request.messages[:-1], *earlier, request.messages[-1]))

    def make(self, model: LocalModel) -> Control:
        """Make the control at a strength at which it acts."""
        raise NotImplementedError

    def make_idle(self, model: LocalModel) -> Control | None:
        """Make the control at the strength at which it must change nothing; None if there is no such strength."""
        raise NotImplementedError

    @pytest.fixture
    def models(self) -> list[LocalModel]:
        return [_model(architecture) for architecture in self.architectures]

    def model_in_bfloat16(self, architecture: str) -> LocalModel:
        return _model(architecture, torch.bfloat16)

    def test_at_no_strength_it_changes_no_bit(self, models: list[LocalModel]) -> None:
        if self.make_idle(models[0]) is None:
            pytest.skip("this control has no strength at which it is idle")
        for model in models:
            idle = self.make_idle(model)
            assert idle is not None
            for user, system in ((LONG, SYSTEM), (SHORT, None)):
                plain = model.generate([self.ask(user, system, logprobs=True)])[0]
                controlled = model.generate([self.ask(user, system, logprobs=True, controls=(idle,))])[0]
                assert controlled.finish != "error", controlled.failure
                assert controlled.token_ids == plain.token_ids
                assert controlled.logprobs == plain.logprobs

    def test_at_its_strength_it_acts(self, models: list[LocalModel]) -> None:
        for model in models:
            plain = model.generate([self.ask(SHORT, logprobs=True)])[0]
            controlled = model.generate([self.ask(SHORT, logprobs=True, controls=(self.make(model),))])[0]
            assert controlled.finish != "error", controlled.failure
            assert controlled.logprobs != plain.logprobs

    def test_sequences_do_not_touch_each_other(self, models: list[LocalModel]) -> None:
        for model in models:
            control, bystander = self.make(model), self.bystander()
            options: dict[str, Any] = {"logprobs": True, "ignore_eos": True, "max_new_tokens": 6}
            requests = [
                self.ask(LONG, **options),
                self.ask(LONG, controls=(control,), **options),
                self.ask(SHORT, controls=(bystander,), **options),
                self.ask(MIDDLE, None, controls=(control,), temperature=1.0, seed=1, **options),
                self.ask(LONG, controls=(control, bystander), **options),
                self.ask(LONG, controls=(bystander, control), **options),
                self.ask(LONG, controls=(self.make(model),), temperature=1.0, seed=2, **options),
                self.ask(SHORT, temperature=1.0, seed=3, **options),
            ]
            alone = [model.generate([request])[0] for request in requests]
            for one, other in zip(model.generate(requests), alone, strict=True):
                agree(one, other)

    def test_a_session_and_its_forks_answer_as_if_they_read_everything_again(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            session = model.session(SYSTEM)
            for text in (SHORT, LONG, MIDDLE):
                session.user(text)
                again = self._again(session, control)
                reply = session.reply(temperature=0.0, max_new_tokens=6, logprobs=True, controls=(control,))
                agree(reply, again)
            fork = session.fork().user(SHORT)
            request = fork.request(temperature=0.0, max_new_tokens=6, logprobs=True, controls=(control,))
            again = self._again(fork, control)
            agree(model.generate([request])[0], again)
            # Without the control, what was cached under it must not be used, unless the control does not change it.
            plain = session.user(SHORT).request(temperature=0.0, max_new_tokens=6, logprobs=True)
            again = model.generate([_anew(session, plain)])[0]
            agree(model.generate([plain])[0], again)

    @staticmethod
    def _again(session: Session, control: Control) -> Reply:
        request = session.request(temperature=0.0, max_new_tokens=6, logprobs=True, controls=(control,))
        return session.model.generate([_anew(session, request)])[0]

    def test_a_model_that_cannot_take_it_refuses(self, models: list[LocalModel]) -> None:
        control = self.make(models[0])
        text_only = FakeModel()
        if control.points <= text_only.points:
            assert text_only.generate([self.ask(SHORT, controls=(control,))])[0].finish != "error"
        else:
            with pytest.raises(UnsupportedControlError, match=control.name):
                text_only.generate([self.ask(SHORT, controls=(control,))])

    def test_a_reading_sees_what_the_control_does_before_it(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            # Three prompts, since a closed loop may not act on every token.
            texts = (SHORT, MIDDLE, LONG)
            options: dict[str, Any] = {"readings": ("state",), "max_new_tokens": 1}
            plain = model.generate([self.ask(text, **options) for text in texts])
            controlled = model.generate([self.ask(text, controls=(control,), **options) for text in texts])
            for reply in (*plain, *controlled):
                assert reply.finish != "error", reply.failure
                assert reply.state is not None
            pairs = [(one.state, other.state) for one, other in zip(plain, controlled, strict=True)]
            if control.points <= {"logits"}:  # it acts after the state is read
                assert all(np.allclose(one, other, atol=1e-4) for one, other in pairs)
            else:
                assert any((one != other).any() for one, other in pairs)

    def test_finite_in_bfloat16(self) -> None:
        for architecture in self.architectures:
            model = self.model_in_bfloat16(architecture)
            control = self.make(model)
            requests = [
                self.ask(text, system, logprobs=True, controls=(control,), max_new_tokens=2)
                for text in (SHORT, LONG * 4)
                for system in (SYSTEM, None, "")
            ]
            for reply in model.generate(requests):
                assert reply.finish != "error", reply.failure
                assert reply.logprobs is not None
                assert all(math.isfinite(value) for value in reply.logprobs)


def _anew(session: Session, request: Request) -> Request:
    """The request with the session's control state but without its keys and values."""
    cache = session.cache.fork()
    cache.key_values = None
    return replace(request, cache=cache, keep=False)


_made: dict[tuple[str, torch.dtype], LocalModel] = {}


def _model(architecture: str, dtype: torch.dtype = torch.float32) -> LocalModel:
    if (architecture, dtype) not in _made:
        _made[architecture, dtype] = tiny.local(architecture, dtype=dtype, max_batch=16)
    return _made[architecture, dtype]
