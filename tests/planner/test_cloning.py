"""Cloning: a planner learns to make the frozen model say given utterances."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from telic.errors import ConfigError
from telic.models.local import LocalModel
from telic.planner import CloneConfig, Planner, UtteranceExample, clone_utterances
from telic.planner.cloning import advantage_weights
from telic.planner.gradient import UtteranceLosses
from tests.models import tiny
from tests.planner.planners import examples, planner_of, trained


def test_a_soft_clone_changes_the_model_less_than_a_hard_one() -> None:
    model = tiny.local("llama")
    utterances = UtteranceLosses(model, examples())
    away = []
    for soft in (None, False, True):
        planner = planner_of(model)
        if soft is not None:
            clone_utterances(planner, model, examples(), config=FAST.model_copy(update={"soft": soft}))
        with torch.no_grad():
            away.append(float(utterances.divergence(range(4), planner(utterances.states)).loss_B.mean()))
    unlearnt, hard, softly = away
    assert 0 < softly < unlearnt < hard


def nll(model: LocalModel, planner: Planner, given: list[UtteranceExample]) -> list[float]:
    utterances = UtteranceLosses(model, given)
    with torch.no_grad():
        return utterances.nll(range(len(given)), planner(utterances.states)).loss_B.tolist()


FAST = CloneConfig(epochs=12, lr=0.05, policy_lr=0.01, batch=2)


@pytest.mark.parametrize("make", [{}, {"reads": "nothing"}, {"mapping": "principal", "action_size": 16}])
def test_a_clone_learns_to_say_what_it_is_shown(make: dict[str, Any]) -> None:
    model = tiny.local("llama")
    planner = planner_of(model, **make)
    before, frozen = nll(model, planner, examples()), model.model.state_dict()
    frozen = {name: tensor.clone() for name, tensor in frozen.items()}
    told: list[tuple[int, float]] = []
    run = clone_utterances(planner, model, examples(), config=FAST, on_epoch=lambda *news: told.append(news))
    assert sum(nll(model, planner, examples())) < 0.95 * sum(before)
    assert run.losses[-1] < run.losses[0]
    assert (len(run.losses), run.steps, run.examples) == (12, 24, 4)
    assert told == list(enumerate(run.losses, start=1))
    assert all(torch.equal(tensor, frozen[name]) for name, tensor in model.model.state_dict().items())


def test_only_examples_with_weight_are_learnt() -> None:
    model, given = tiny.local("llama"), examples()
    planner = planner_of(model)
    before = nll(model, planner, given)
    run = clone_utterances(planner, model, given, [1.0, 0.0, 0.0, 0.0], replace_config(epochs=20))
    assert run.examples == 1
    after = nll(model, planner, given)
    gains = [one - other for one, other in zip(before, after, strict=True)]
    assert gains[0] == max(gains)
    assert after[0] < 0.7 * before[0]


def replace_config(**options: Any) -> CloneConfig:
    return CloneConfig(**{**FAST.model_dump(), **options})


class _KillError(Exception):
    pass


def test_an_interrupted_clone_continues_with_the_same_result(tmp_path: Path) -> None:
    model, given, config = tiny.local("llama"), examples(), replace_config(epochs=4)
    whole, broken = planner_of(model), planner_of(model)
    expected = clone_utterances(whole, model, given, config=config)

    def kill(epoch: int, loss: float) -> None:
        if epoch == 2:
            raise _KillError

    with pytest.raises(_KillError):
        clone_utterances(broken, model, given, config=config, folder=tmp_path / "c", on_epoch=kill)
    again = planner_of(model)  # as a new process has it
    run = clone_utterances(again, model, given, config=config, folder=tmp_path / "c")
    assert run.losses == pytest.approx(expected.losses, abs=1e-5)
    for one, other in zip(whole.parameters(), again.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["cloning-004.safetensors", "cloning.json"]
    # Once done, it is done; and other work is not mixed up with it.
    assert clone_utterances(planner_of(model), model, given, config=config, folder=tmp_path / "c").losses == run.losses
    with pytest.raises(ConfigError, match="other settings, examples"):
        clone_utterances(planner_of(model), model, given[:3], config=config, folder=tmp_path / "c")


@pytest.mark.parametrize(
    ("change", "weights", "said"),
    [
        (lambda model: planner_of(model, placement="mid"), None, "cloning is for placement 'end'"),
        (lambda model: trained(planner_of(model)), None, "residual network on top of its clone"),
        (planner_of, [1.0, 1.0], "2 weights for 4 examples"),
        (planner_of, [1.0, 1.0, 1.0, -1.0], "of 0 or more"),
        (planner_of, [1.0, 1.0, 1.0, float("nan")], "of 0 or more"),
        (planner_of, [0.0] * 4, "weights of all 4 examples are 0"),
        (lambda model: planner_of(model, tokens=0), None, "no prefix tokens"),
    ],
)
def test_what_cannot_be_cloned(change: Callable[[LocalModel], Planner], weights: Any, said: str) -> None:
    model = tiny.local("llama")
    with pytest.raises(ConfigError, match=said):
        clone_utterances(change(model), model, examples(), weights)


def test_weights_follow_from_advantages() -> None:
    weights = advantage_weights([0.0, 0.0, 1.0, 1.0])
    assert weights.mean() == pytest.approx(1.0)
    # One standard deviation above the mean and one below are four temperatures of 0.5 apart.
    assert weights[2] / weights[0] == pytest.approx(torch.e**4, rel=1e-4)
    # Nine are a third of a standard deviation below the mean, and the best is capped.
    capped = advantage_weights([0.0] * 9 + [1.0], beta=0.1, most=20.0)
    assert capped[-1] / capped[0] == pytest.approx(20 * torch.e ** (10 / 3), rel=1e-4)
    assert advantage_weights([0.3, 0.3]).tolist() == [1.0, 1.0]
    with pytest.raises(ConfigError, match="beta"):
        advantage_weights([1.0], beta=0.0)
