"""A planner learns from conversations: from what users praise, whoever served it, and never from too little."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from telic.agents.agent import controls_of
from telic.errors import ConfigError, DataError
from telic.learners import Learned, learn_planner
from telic.learners import planning as planning_module
from telic.models import FakeModel
from telic.models.local import LocalModel
from telic.planner import load_planner
from telic.planner.upmapping import act_shares
from telic.runs import RunFolder
from tests.learners.logged import conversations, labelled, purpose_with, uniform_planner
from tests.models import tiny
from tests.planner.planners import ACTS, planner_of


@pytest.fixture
def model() -> LocalModel:
    return tiny.local("llama")


def shares_of(learned: Learned, model: LocalModel) -> dict[str, float]:
    """The mean shares of the acts at the first reply."""
    planner = load_planner(learned.folder, model=model)
    states = torch.cat((torch.randn(200, model.hidden_size), torch.zeros(200, len(ACTS))), dim=1)
    with torch.no_grad():
        return dict(zip(ACTS, act_shares(planner.policy(states)).mean(0).tolist(), strict=True))


def test_what_users_praise_is_done_more(model: LocalModel, tmp_path: Path) -> None:
    purpose = purpose_with(uniform_planner(model), model, tmp_path / "served")
    source = labelled(conversations(model.hidden_size))
    learned = learn_planner(model, purpose, source, folder=tmp_path / "runs")
    shares = shares_of(learned, model)
    assert shares["ask"] > 0.7
    assert learned.method == "planner"
    assert learned.sources == tuple(one.id for one in source)
    assert learned.purpose_changes == {"planner": {"path": str(learned.folder), "epsilon": 0.1}}
    [control] = controls_of(purpose.model_copy(update=learned.purpose_changes))
    control.check(model)
    told = json.loads((learned.folder / "learned.json").read_text())
    assert (told["method"], told["sources"]) == ("planner", list(learned.sources))
    assert told["metrics"]["acts"]["ask"]["advantage"] > 0 > told["metrics"]["acts"]["close"]["advantage"]
    assert told["metrics"]["decisions"] == 160
    assert "160 " in next(RunFolder.open(learned.folder.parent).read_metrics())["headline"]


def test_the_rewards_of_a_game_are_not_learnt_from(model: LocalModel, tmp_path: Path) -> None:
    purpose = purpose_with(uniform_planner(model), model, tmp_path / "served")
    source = list(conversations(model.hidden_size))
    for episode in source:
        for turn in episode.turns:
            turn.reward = {"assistant": 5.0 if turn.text == "Goodbye." else 0.0}
    learned = learn_planner(model, purpose, labelled(iter(source)), folder=tmp_path / "runs")
    assert shares_of(learned, model)["ask"] > 0.7


def test_conversations_of_another_version_count_with_their_own_chances(model: LocalModel, tmp_path: Path) -> None:
    """The other version hardly ever asked; what it did often is not thereby good."""
    purpose = purpose_with(uniform_planner(model), model, tmp_path / "served")
    other = conversations(model.hidden_size, 150, shares=(0.1, 0.8, 0.1), version="v0", seed=1)
    learned = learn_planner(model, purpose, labelled(other), folder=tmp_path / "runs")
    shares = shares_of(learned, model)
    assert shares["ask"] > 0.5
    assert shares["ask"] > shares["offer"]
    assert learned.metrics["effective_decisions"] < learned.metrics["decisions"]


def test_filtered_cloning_and_td3bc_learn_it_too(model: LocalModel, tmp_path: Path) -> None:
    purpose = purpose_with(uniform_planner(model), model, tmp_path / "served")
    source = labelled(conversations(model.hidden_size))
    filtered = learn_planner(model, purpose, source, folder=tmp_path / "a", weighting="filtered")
    assert shares_of(filtered, model)["ask"] > 0.7
    reinforced = learn_planner(model, purpose, source, folder=tmp_path / "b", rl_steps=20, width=8)
    planner = load_planner(reinforced.folder, model=model)
    assert planner.policy.residual is not None
    assert reinforced.metrics["td3bc"]["step"] == 20
    # A planner with such a residual can be served and learnt from in its turn.
    served = purpose.model_copy(update=reinforced.purpose_changes)
    again = learn_planner(model, served, source, folder=tmp_path / "c", width=8)
    assert load_planner(again.folder, model=model).policy.residual is None
    assert shares_of(again, model)["ask"] > 0.6


@pytest.mark.parametrize("served", [False, True])
def test_without_acts_the_praised_replies_are_cloned(served: bool, model: LocalModel, tmp_path: Path) -> None:
    planner = planner_of(model) if served else None
    purpose = purpose_with(planner, model, tmp_path / "served")
    source = labelled(conversations(model.hidden_size, 30))
    learned = learn_planner(model, purpose, source, folder=tmp_path / "runs", clone_epochs=2, width=8)
    metrics = learned.metrics
    assert 0 < metrics["cloned"] < metrics["replies"] == 60
    assert metrics["last_loss"] < metrics["first_loss"]
    assert load_planner(learned.folder, model=model).shape.action_size == (4 if served else 64)


def test_what_cannot_be_learnt_from_is_refused(model: LocalModel, tmp_path: Path) -> None:
    purpose, size = purpose_with(uniform_planner(model), model, tmp_path / "served"), model.hidden_size

    def refuses(match: str, *source: object, error: type[Exception] = DataError) -> None:
        with pytest.raises(error, match=match):
            learn_planner(model, purpose, labelled(*source), folder=tmp_path / "runs")  # type: ignore[arg-type]

    refuses("29 conversations have a labelled reply; expected at least 30", conversations(size, 29))
    refuses("all 80 labelled replies are praised", conversations(size, 40, liked=dict.fromkeys(ACTS, 1.0)))
    refuses("40 with a state size other than", conversations(size + 1, 40))
    refuses("40 with a different model than", conversations(size, 40, model="other"))
    assert not (tmp_path / "runs").exists() or not list((tmp_path / "runs").glob("*/planner"))
    with pytest.raises(ConfigError, match="does not run in this process"):
        learn_planner(FakeModel(), purpose, [], folder=tmp_path / "runs")
    with pytest.raises(ConfigError, match="made for"):
        learn_planner(tiny.local("qwen2"), purpose, labelled(conversations(size)), folder=tmp_path / "runs")


def test_an_interrupted_run_goes_on_with_its_conversations(
    model: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    purpose = purpose_with(uniform_planner(model), model, tmp_path / "served")
    source = labelled(conversations(model.hidden_size))
    whole = learn_planner(model, purpose, source, folder=tmp_path / "whole", rl_steps=4, width=8)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(planning_module, "reinforce", stop)
        with pytest.raises(KeyboardInterrupt):
            learn_planner(model, purpose, source, folder=tmp_path / "cut", rl_steps=4, width=8)
    [folder] = (tmp_path / "cut").iterdir()
    more = [*source, *labelled(conversations(model.hidden_size, 5, version="later"))]
    with monkeypatch.context() as patch:
        patch.setattr(planning_module, "clone_from_acts", stop)  # it is done already
        again = learn_planner(model, purpose, more, resume=folder, rl_steps=4, width=8)
    assert again.sources == whole.sources
    assert again.metrics == whole.metrics
    with pytest.raises(ConfigError, match="1 of the 80 conversations that this run began with are gone"):
        learn_planner(model, purpose, source[1:], resume=folder, rl_steps=4, width=8)
    with pytest.raises(ConfigError, match="beta"):
        learn_planner(model, purpose, source, resume=folder, rl_steps=4, width=8, beta=0.3)
