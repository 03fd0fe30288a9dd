"""What every planner does, whatever its mapping and its way to play: what every control does, and more.

A test class inherits `PlannerContract` and says how to make one:

class TestPrincipal(PlannerContract):
    def planner(self, model, **options):
        return planner_of(model, mapping="principal", **options)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

from telic.errors import ConfigError, UnsupportedControlError
from telic.models import FakeModel
from telic.models.control import Control, build_control
from telic.models.local import LocalModel
from telic.models.request import Reply, Request
from telic.models.session import Session
from telic.planner import Planner, PlannerControl, load_planner, save_planner
from tests.contracts.control_contract import ControlContract
from tests.models import tiny
from tests.models.tiny import LONG, MIDDLE, SHORT, SYSTEM

__all__ = ["PlannerContract"]


class PlannerContract(ControlContract):
    """The tests. Subclasses override `planner`, and the class variables where they must."""

    architectures: ClassVar[Sequence[str]] = ("llama",)

    exploration: ClassVar[dict[str, Any]] = {}
    """Options of the control with which the planner explores."""
    draws: ClassVar[bool] = False
    """Whether actions depend on the seed of the request."""
    can_be_idle: ClassVar[bool] = True
    """Whether the planner can have no prefix tokens."""

    def planner(self, model: LocalModel, **options: Any) -> Planner:
        """The planner; of the options, at least `tokens` is applied."""
        raise NotImplementedError

    def make(self, model: LocalModel) -> PlannerControl:
        return PlannerControl(planner=self.planner(model), **self.exploration)

    def make_idle(self, model: LocalModel) -> Control | None:
        return PlannerControl(planner=self.planner(model, tokens=0)) if self.can_be_idle else None

    def ask(self, user: str, system: str | None = SYSTEM, **options: Any) -> Request:
        """A request. Where actions are drawn, it has a seed, so that the same request gets the same action."""
        return super().ask(user, system, **({"seed": 4, **options} if self.draws else options))

    def _again(self, session: Session, control: Control) -> Reply:  # type: ignore[override]
        if self.draws:
            pytest.skip("each turn of a session draws its own action")
        return super()._again(session, control)

    # The planner itself

    def test_actions_and_prefixes_have_their_shapes(self, models: list[LocalModel]) -> None:
        for model in models:
            planner = self.planner(model)
            shape = planner.shape
            states_B_S = torch.randn(5, shape.state_size, generator=torch.Generator().manual_seed(3))
            prefixes_B_L_D = planner(states_B_S)
            assert (prefixes_B_L_D.shape, prefixes_B_L_D.dtype) == (
                (5, shape.tokens, model.hidden_size),
                torch.float32,
            )
            for state_S, expected_L_D in zip(states_B_S, prefixes_B_L_D, strict=True):
                action_A = planner.act(state_S)
                assert (action_A.shape, action_A.dtype) == ((shape.action_size,), torch.float32)
                assert not action_A.requires_grad
                prefix_L_D = planner.prefix(action_A)
                assert (prefix_L_D.shape, prefix_L_D.dtype) == ((shape.tokens, model.hidden_size), torch.float32)
                torch.testing.assert_close(prefix_L_D, expected_L_D.detach(), atol=1e-5, rtol=1e-5)

    def test_an_action_is_described_by_its_acts(self, models: list[LocalModel]) -> None:
        planner = self.planner(models[0])
        described = planner.describe(torch.linspace(-1, 1, planner.shape.action_size))
        if planner.shape.mapping != "acts":
            assert described == []
            return
        shares = [share for _, share in described]
        assert {name for name, _ in described} == set(planner.shape.acts)
        assert sum(shares) == pytest.approx(1)
        assert shares == sorted(shares, reverse=True)

    # What it decides

    def test_the_reply_records_what_was_decided(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            shape = control.planner.shape
            plain, steered = model.generate([self.ask(SHORT), self.ask(SHORT, controls=(control,))])
            assert plain.chosen == {}
            optional = {"clone"} if shape.residual is not None else set()
            optional |= {"act"} if shape.mapping == "acts" else set()
            assert set(steered.chosen) == {"state", "action", "logprob", *optional}
            assert np.isfinite(steered.chosen["logprob"])
            for name, size in (("state", shape.state_size), ("action", shape.action_size)):
                assert (steered.chosen[name].shape, steered.chosen[name].dtype) == ((size,), np.float32)
            if "act" in optional:
                assert steered.chosen["act"] == control.planner.describe(steered.chosen["action"])[0][0]
            assert steered.prompt_tokens == plain.prompt_tokens + shape.tokens

    def test_the_same_seed_gives_the_same_action(self, models: list[LocalModel]) -> None:
        for model in models:
            options: dict[str, Any] = {"controls": (self.make(model),), "max_new_tokens": 1}
            requests = [self.ask(SHORT, seed=seed, **options) for seed in range(8)]
            one, again = (model.generate([requests[0]])[0].chosen["action"] for _ in range(2))
            assert (one == again).all()
            actions = [reply.chosen["action"] for reply in model.generate(requests)]
            assert actions[0] == pytest.approx(one, abs=1e-4)
            assert any(np.abs(action - one).max() > 0.01 for action in actions) == self.draws

    def test_the_action_of_a_row_does_not_depend_on_the_other_rows(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            requests = [
                self.ask(LONG, max_new_tokens=2),
                self.ask(SHORT, controls=(control,), max_new_tokens=2),
                self.ask(MIDDLE, None, controls=(control,), max_new_tokens=2),
                self.ask(LONG, controls=(self.make(model),), max_new_tokens=2),
            ]
            alone = [model.generate([request])[0] for request in requests]
            for one, other in zip(model.generate(requests), alone, strict=True):
                assert one.chosen.keys() == other.chosen.keys()
                assert one.chosen.get("action") == pytest.approx(other.chosen.get("action"), abs=1e-4)

    def test_the_state_depends_on_the_text_only_whatever_steered_the_dialogue(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            noisy = PlannerControl(planner=control.planner, sigma=3.0)
            states = []
            for earlier in ((), (control,), (noisy,)):
                session = model.session(SYSTEM).user(LONG)
                session.reply(controls=earlier, seed=1, temperature=0.0, max_new_tokens=6)
                session.dialogue = session.dialogue[:-1].add("assistant", "In May.").add("user", SHORT)
                reply = session.reply(controls=(control,), seed=2, temperature=0.0, max_new_tokens=1)
                states.append(reply.chosen["state"][: model.hidden_size])
            for state_D in states[1:]:
                assert state_D == pytest.approx(states[0], abs=1e-4)

    def test_a_session_counts_the_acts_that_were_played(self, models: list[LocalModel]) -> None:
        for model in models:
            control = self.make(model)
            shape = control.planner.shape
            session = model.session(SYSTEM)
            played = np.zeros(shape.remembered)

            def turn(session: Session, text: str, control: PlannerControl = control) -> Reply:
                return session.user(text).reply(controls=(control,), seed=3, temperature=0.0, max_new_tokens=2)

            for text in (SHORT, MIDDLE):
                chosen = turn(session, text).chosen
                assert chosen["state"][model.hidden_size :].tolist() == played.tolist()
                if shape.remembers:
                    played[chosen["action"].argmax()] += 1
            for branch in (session.fork(), session):  # what a fork plays does not count for the session
                chosen = turn(branch, SHORT).chosen
                assert chosen["state"][model.hidden_size :].tolist() == played.tolist()

    # Folders, and other models

    def test_a_saved_planner_reloads_bit_for_bit(self, models: list[LocalModel], tmp_path: Path) -> None:
        for model in models:
            planner = self.planner(model)
            folder = save_planner(planner, tmp_path / model.name)
            assert sorted(path.name for path in folder.iterdir()) == ["README.md", "config.json", "planner.safetensors"]
            loaded = load_planner(folder, model=model)
            assert (loaded.shape, loaded.origin) == (planner.shape, planner.origin)
            saved, tensors = planner.state_dict(), loaded.state_dict()
            assert saved.keys() == tensors.keys()
            assert all(torch.equal(tensors[name], tensor) for name, tensor in saved.items())
            controls = [PlannerControl(planner=made, sigma=0.1) for made in (planner, loaded)]
            one, other = (
                model.generate([self.ask(MIDDLE, logprobs=True, controls=(control,), seed=1)])[0]
                for control in controls
            )
            assert (one.token_ids, one.logprobs) == (other.token_ids, other.logprobs)
            assert (one.chosen["action"] == other.chosen["action"]).all()

    def test_the_table_of_a_purpose_file_gives_the_same_control(self, models: list[LocalModel], tmp_path: Path) -> None:
        control = self.make(models[0])
        folder = save_planner(control.planner, tmp_path / "planner")
        built = build_control({"name": "planner", "path": str(folder), **self.exploration})
        assert isinstance(built, PlannerControl)
        assert built.key == control.key
        again = build_control(built.spec())
        assert again.spec() == built.spec()

    def test_another_model_is_refused(self, models: list[LocalModel]) -> None:
        control = self.make(models[0])
        other = tiny.local("qwen2")
        with pytest.raises(ConfigError, match=f"'{models[0].name}' .* not for '{other.name}'"):
            other.generate([self.ask(SHORT, controls=(control,))])
        with pytest.raises(UnsupportedControlError, match="'planner' acts on embeddings"):
            FakeModel().generate([self.ask(SHORT, controls=(control,))])
