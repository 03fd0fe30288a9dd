"""Pins: what they add, how several get along, and what they refuse."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from telic.errors import ConfigError
from telic.models.control import Control, ControlBatch, ControlContext
from telic.models.local import LocalModel
from telic.steering import build_control, save_pretrained
from telic.steering.belief import Belief
from telic.steering.saving import Origin
from tests.contracts.control_contract import ControlContract
from tests.models import tiny
from tests.models.tiny import HIDDEN, draws

CHILD, ADULT, MALE, FEMALE = draws(4)
DIRECTIONS = {
    "user_age/child": {0: CHILD, 1: CHILD},
    "user_age/adult": {0: ADULT, 1: ADULT},
    "user_gender/male": {1: MALE, 2: MALE},
    "user_gender/female": {1: 0.6 * CHILD + 0.4 * FEMALE},
}


def pinned(**options: Any) -> Belief:
    return Belief(DIRECTIONS, **options)


class TestOnePin(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return pinned(towards={"user_age": "child"}, strength=1.0)

    def make_idle(self, model: LocalModel) -> Control:
        return pinned(towards={"user_age": "child"}, strength=0.0)


class TestTwoPins(ControlContract):
    def make(self, model: LocalModel) -> Control:
        return pinned(towards={"user_age": "child"}, away={"user_gender": "female"}, strength=1.5)

    def make_idle(self, model: LocalModel) -> Control:
        return pinned()


def added(control: Belief, layer: int) -> torch.Tensor:
    """[hidden]: what it adds to a token of the reply; and nothing to one of the prompt."""
    context = ControlContext(tiny.local("llama").render(tiny.ask().messages), 5)
    reply = torch.tensor([False, True])
    batch = ControlBatch([context], torch.zeros(2, dtype=torch.long), torch.tensor([1, 4]), reply)
    hidden_N_D = torch.ones(2, HIDDEN)
    moved_N_D = control.residual(batch, layer, hidden_N_D) - hidden_N_D
    assert not moved_N_D[0].any()
    return moved_N_D[1]


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, atol=1e-4)


def test_one_pin_adds_its_direction_and_away_takes_it_off() -> None:
    assert close(added(pinned(towards={"user_age": "child"}, strength=2.0), 0), 2 * CHILD)
    assert close(added(pinned(away={"user_age": "child"}, strength=2.0), 1), -2 * CHILD)
    assert pinned(towards={"user_age": "child"}).layers == {0, 1}
    assert pinned().layers == frozenset()


def test_a_pin_does_not_move_along_the_other_pinned_attribute() -> None:
    """What is added is `(a + b) / sqrt(2)`: `a` moves no belief about gender, and `b` none about age."""
    both = added(pinned(towards={"user_age": "child", "user_gender": "female"}, strength=1.0), 1).double()
    age = torch.stack([CHILD, ADULT]).double()
    gender = torch.stack([MALE, DIRECTIONS["user_gender/female"][1]]).double()

    def apart(own: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        rest = own - torch.linalg.lstsq(others.T, own[:, None]).solution[:, 0] @ others
        scaled: torch.Tensor = rest * own.norm() / rest.norm()
        return scaled

    a, b = apart(CHILD.double(), gender), apart(gender[1], age)
    assert float((gender @ a).abs().max()) < 1e-4
    expected = (a + b) / math.sqrt(2)
    longest = math.sqrt(float(a.norm() ** 2 + b.norm() ** 2) / 2)
    assert torch.allclose(both, expected * min(1.0, longest / float(expected.norm())), atol=1e-3)
    for k, towards in enumerate(({"user_age": "child"}, {"user_age": "child", "user_gender": "male"}), 1):
        norms = [DIRECTIONS[f"{reader}/{label}"][1].norm() ** 2 for reader, label in towards.items()]
        moved = added(pinned(towards=towards, strength=1.0), 1)
        assert float(moved.norm()) <= math.sqrt(float(sum(norms)) / k) * 1.001, "bounded by the length of one"


def test_a_pin_on_the_user_does_not_move_the_same_belief_about_the_model_itself() -> None:
    own, other = CHILD, 0.7 * CHILD + ADULT
    directions = {"user_age/child": {1: own}, "self_age/child": {1: other}, "self_gender/male": {1: MALE}}
    user = added(Belief(directions, towards={"user_age": "child"}), 1)
    assert abs(torch.cosine_similarity(user, other, dim=0)) < 1e-4
    assert torch.cosine_similarity(user, own, dim=0) > 0.5
    assert user.norm() == pytest.approx(float(own.norm()), rel=1e-4)
    itself = added(Belief(directions, away={"self_age": "child"}), 1)
    assert abs(torch.cosine_similarity(itself, own, dim=0)) < 1e-4


def test_a_direction_that_is_the_same_for_both_subjects_stays_as_it_is() -> None:
    directions = {"user_age/child": {1: CHILD}, "self_age/child": {1: 2 * CHILD}}
    assert close(added(Belief(directions, towards={"user_age": "child"}), 1), CHILD)


def test_a_sum_adds_them_as_they_are_and_a_layer_of_one_has_one() -> None:
    naive = pinned(towards={"user_age": "child", "user_gender": "male"}, strength=1.0, combine="sum")
    assert close(added(naive, 1), CHILD + MALE)
    for combine in ("sum", "orthogonal"):
        alone = pinned(towards={"user_age": "child", "user_gender": "male"}, strength=1.0, combine=combine)
        assert close(added(alone, 2), MALE)


def test_two_opposite_pins_of_one_direction_count_once() -> None:
    directions = {"user_gender/male": {1: MALE}, "user_gender/female": {1: -MALE}}
    twice = Belief(directions, towards={"user_gender": "male"}, away={"user_gender": "female"}, strength=1.0)
    assert close(added(twice, 1), MALE)


def test_the_random_twin_is_as_long() -> None:
    control = pinned(towards={"user_age": "child"}, strength=3.0)
    twin = control.random_twin(0)
    assert twin.layers == control.layers
    for own in twin.tensors().values():
        assert own.norm() == pytest.approx(3 * float(CHILD.norm()), rel=1e-4)
        assert abs(torch.cosine_similarity(own, CHILD, dim=0)) < 0.9
    with pytest.raises(ConfigError, match="no random twin"):
        pinned().random_twin(0)


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"towards": {"user_age": "chlid"}}, "user_age has no class 'chlid'; did you mean 'child'"),
        ({"away": {"age": "child"}}, "there are no directions for 'age'; known: user_age"),
        ({"towards": {"user_age": "child"}, "away": {"user_age": "child"}}, "both towards and away"),
        ({"towards": "child"}, "towards is 'child'; expected a class for each reader"),
        ({"away": ["user_age"]}, "away is ['user_age']; expected a class for each reader"),
        ({"combine": "all"}, "combine is 'all'; expected 'orthogonal' or 'sum'"),
        ({"strength": "much"}, "strength is 'much'; expected a number"),
        ({"strength": math.inf}, "strength is inf"),
    ],
)
def test_what_cannot_be_pinned_is_refused(options: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as error:
        pinned(**options)
    assert part in str(error.value)


def test_it_is_saved_and_named_in_a_purpose_file(tmp_path: Path) -> None:
    model = tiny.local("llama")
    whole = Belief(DIRECTIONS, origin=Origin.of(model))
    save_pretrained(whole, tmp_path / "set" / "pins")
    spec = {"name": "belief", "path": str(tmp_path / "set"), "towards": {"user_age": "child"}, "strength": 2.0}
    control = build_control(spec)
    assert isinstance(control, Belief)
    assert close(added(control, 0), 2 * CHILD)
    control.check(model)
    again = build_control(control.spec())
    assert isinstance(again, Belief)
    assert again.spec() == control.spec()
    assert again.key == control.key
    assert build_control({**spec, "layers": [1]}).layers == frozenset({1})
    with pytest.raises(ConfigError, match="not for 'tiny-gpt2'"):
        control.check(tiny.local("gpt2"))
    with pytest.raises(ConfigError, match="they were changed"):
        build_control({**spec, "sha256": "0" * 12})
    with pytest.raises(ConfigError, match="there are no pins at 'nowhere'"):
        build_control({"name": "belief", "path": "nowhere"})
    with pytest.raises(ConfigError, match="unknown option 'toward'; did you mean 'towards'"):
        build_control({**spec, "toward": {}})
    with pytest.raises(ConfigError, match="no direction for layer 9"):
        build_control({**spec, "layers": [9]})
