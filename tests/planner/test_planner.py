"""Planners themselves: up-mappings, policies, and folders."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from telic.agents import Agent
from telic.agents.model_player import ModelPlayer
from telic.errors import ConfigError
from telic.models.control import build_control
from telic.models.local import LocalModel
from telic.planner import load_planner, save_planner
from telic.planner.control import PlannerControl
from telic.planner.upmapping import embeddings_of
from telic.purpose import Purpose
from telic.rollouts import play
from telic.stability import measure
from telic.steering import AttentionHold, save_pretrained
from tests.models import tiny
from tests.models.tiny import MIDDLE, ask
from tests.planner.planners import acts_of, planner_of, trained


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


# Up-mappings


@pytest.mark.parametrize("architecture", ["llama", "gemma3"])
def test_embeddings_are_taken_at_the_scale_at_which_they_enter_the_model(architecture: str) -> None:
    model = tiny.local(architecture)
    embed = model.model.get_input_embeddings()
    rows = embed(torch.arange(len(embed.weight))).detach()
    found = embeddings_of(model)
    assert torch.allclose(found.mean_D, rows.mean(0), atol=1e-4)
    assert found.deviation == pytest.approx(float(rows.var(0, correction=0).mean().sqrt()), rel=1e-3)


def test_a_learned_mapping_starts_at_the_mean_embedding(model: LocalModel) -> None:
    planner = planner_of(model, tokens=3)
    mean_D = embeddings_of(model).mean_D
    assert torch.equal(planner.prefix(torch.zeros(4)), mean_D.expand(3, -1))
    near = planner.prefix(torch.ones(4)) - mean_D
    assert 0 < near.std() < 0.3 * embeddings_of(model).deviation


def test_principal_steps_have_one_length_and_lie_along_the_leading_components(model: LocalModel) -> None:
    planner = planner_of(model, mapping="principal", action_size=6, act_norm=2.5)
    embed = model.model.get_input_embeddings()
    rows = embed(torch.arange(len(embed.weight))).detach().double()
    mean_D = embeddings_of(model).mean_D
    leading = torch.linalg.svd(rows - rows.mean(0), full_matrices=False)[2][:3].float()
    action_A = torch.tensor([0.3, -2.0, 1.0, 5.0, 0.0, 0.1])
    step_L_D = planner.prefix(action_A) - mean_D
    assert step_L_D.norm() == pytest.approx(2.5, rel=1e-4)
    assert (step_L_D @ leading.T @ leading) == pytest.approx(step_L_D, abs=1e-4)
    assert torch.allclose(planner.prefix(torch.zeros(6)), mean_D.expand(2, -1))


def test_acts_are_mixed_by_their_shares(model: LocalModel) -> None:
    acts = acts_of(model)
    planner = planner_of(model, acts=acts)
    assert planner.shape.acts == ("ask", "offer", "close")
    assert torch.allclose(planner.prefix(torch.tensor([0.0, 50.0, 0.0])), acts["offer"], atol=1e-5)
    assert torch.allclose(planner.prefix(torch.zeros(3)), torch.stack(list(acts.values())).mean(0), atol=1e-5)
    name, share = planner.describe([0.0, 50.0, 0.0])[0]
    assert (name, round(share, 6)) == ("offer", 1.0)
    assert planner_of(model).describe([0.1, 0.2, 0.3, 0.4]) == []


# Policies


def test_the_residual_is_added_to_the_clone_on_standardised_states(model: LocalModel) -> None:
    plain = planner_of(model)
    planner = trained(plain)
    state_D = torch.randn(32, generator=torch.Generator().manual_seed(2))
    residual, standardise = planner.policy.residual, planner.policy.standardise
    assert residual is not None
    assert standardise is not None
    expected = plain.act(state_D) + residual(((state_D - standardise.mean) / standardise.std)[None])[0].detach()
    assert torch.allclose(planner.act(state_D), expected, atol=1e-6)
    assert not torch.allclose(planner.act(state_D), plain.act(state_D))
    reply = model.generate([ask(MIDDLE, controls=(PlannerControl(planner=planner),))])[0]
    assert torch.from_numpy(reply.chosen["clone"]) == pytest.approx(
        plain.act(torch.from_numpy(reply.chosen["state"])), abs=1e-5
    )


def test_one_that_reads_nothing_always_does_the_same(model: LocalModel) -> None:
    planner = planner_of(model, reads="nothing")
    one, other = model.generate([ask(text, controls=(PlannerControl(planner=planner),)) for text in (MIDDLE, "Hello!")])
    assert (one.chosen["action"] == other.chosen["action"]).all()
    assert (one.chosen["state"] != other.chosen["state"]).any()


# Folders


def test_the_card_has_the_figures(model: LocalModel, tmp_path: Path) -> None:
    figures: dict[str, str | float] = {"return (n = 96)": "0.258 [0.222, 0.294]", "distinct-1": 0.41234567}
    folder = save_planner(planner_of(model), tmp_path / "p", figures=figures, note="Cloned from 282 utterances.")
    card = (folder / "README.md").read_text()
    assert "| return (n = 96) | 0.258 [0.222, 0.294] |" in card
    assert "| distinct-1 | 0.4123 |" in card
    assert "Cloned from 282 utterances." in card
    assert "`tiny-llama` (3 layers of 32)" in card
    save_planner(planner_of(model), folder)
    assert (folder / "README.md").read_text() == card


def test_a_planner_for_another_model_is_refused(model: LocalModel, tmp_path: Path) -> None:
    folder = save_planner(planner_of(model), tmp_path / "p")
    twin, other = tiny.local("qwen2"), tiny.local("gemma3")
    with pytest.raises(ConfigError, match="made for model 'tiny-llama'"):
        load_planner(folder, model=twin)
    forced = load_planner(folder, model=twin, force=True)
    assert twin.generate([ask(MIDDLE, controls=(PlannerControl(planner=forced),))])[0].finish != "error"
    config = json.loads((folder / "config.json").read_text())
    config["options"]["hidden_size"] = 16
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="tensors do not fit the shape of the planner"):
        load_planner(folder, model=other, force=True)


def test_damaged_folders_are_named(model: LocalModel, tmp_path: Path) -> None:
    folder = save_planner(planner_of(model), tmp_path / "p")
    (folder / "planner.safetensors").unlink()
    with pytest.raises(ConfigError, match=r"there is no .*planner\.safetensors"):
        load_planner(folder)
    with pytest.raises(ConfigError, match="there is no folder"):
        load_planner(tmp_path / "nowhere")
    save_pretrained(AttentionHold(), tmp_path / "attention_hold")
    with pytest.raises(ConfigError, match="kind 'attention_hold', not a planner"):
        load_planner(tmp_path / "attention_hold")


def test_the_control_of_a_purpose_file_is_checked(model: LocalModel, tmp_path: Path) -> None:
    folder = save_planner(planner_of(model), tmp_path / "p")
    control = build_control({"name": "planner", "path": str(folder), "sigma": 0.2})
    assert isinstance(control, PlannerControl)
    assert control.sigma == 0.2
    again = build_control(control.spec())
    assert again.spec() == control.spec()
    tensors = safetensors.torch.load_file(folder / "planner.safetensors")
    tensors["mapping.bias"][0] += 1
    safetensors.torch.save_file(tensors, folder / "planner.safetensors")
    with pytest.raises(ConfigError, match="have the hash"):
        build_control(control.spec())
    for options, said in (({}, "expected path"), ({"path": str(folder), "sgma": 1}, "did you mean 'sigma'")):
        with pytest.raises(ConfigError, match=said):
            build_control({"name": "planner", **options})


# In a purpose


@pytest.fixture
def purpose(model: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Purpose:
    """A purpose whose planner lies beside its file, which is not where the command is given."""
    save_planner(planner_of(model, acts=acts_of(model)), tmp_path / "home" / "planners" / "travel")
    text = """
name = "travel"
system = "You are Mia, a travel agent."

[sampling]
max_new_tokens = 6

[game]
name = "elicitation"
domain = "travel"

[[probes]]
ask = "What is your name?"
judge = { contains = "Mia" }

[planner]
path = "planners/travel"
"""
    (tmp_path / "home" / "travel.toml").write_text(text)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return Purpose.from_file(tmp_path / "home" / "travel.toml")


def test_an_agent_has_its_purposes_planner(purpose: Purpose, model: LocalModel) -> None:
    agent = Agent(model, purpose, seed=1)
    assert [control.name for control in agent.controls] == ["planner"]
    assert agent.reply("Hello!").chosen["act"] in ("ask", "offer", "close")
    assert Agent(model, purpose, controls=()).reply("Hello!").chosen == {}


def test_what_was_decided_is_in_the_record_of_a_game(purpose: Purpose, model: LocalModel) -> None:
    run = play(dict(purpose.game or {}), {"agent": ModelPlayer(model, purpose)}, n=2, references=False)
    assert len(run.episodes) == 2
    for episode in run.episodes:
        assert episode.failure is None, episode.failure
        turns = [turn for turn in episode.turns if turn.role == episode.metadata["agent"]]
        assert turns
        for turn in turns:
            assert len(turn.readings["state"]) == 32
            assert len(turn.readings["action"]) == 3
            assert turn.readings["act"] in ("ask", "offer", "close")
        others = [turn for turn in episode.turns if turn not in turns]
        assert not any("state" in turn.readings for turn in others)


def test_a_measurement_takes_the_planner(purpose: Purpose, model: LocalModel) -> None:
    probed = purpose.model_copy(update={"partner": "You are a customer."})
    said = [
        [
            turn.text
            for turn in measure(model, probed, controls=controls, rounds=2, dialogues=1, samples=1).episodes[0].turns
        ]
        for controls in (None, ())
    ]
    assert said[0] != said[1]


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ('path = "planners/nowhere"', r"travel\.toml, line \d+: planner: .*no folder 'planners/nowhere'"),
        ('path = "planners/travel"\nsgma = 1', "unknown option 'sgma'"),
        ("sigma = 0.1", "expected path"),
    ],
)
def test_a_missing_planner_is_named_with_its_line(
    purpose: Purpose, model: LocalModel, tmp_path: Path, table: str, said: str
) -> None:
    file = tmp_path / "home" / "travel.toml"
    file.write_text(file.read_text().replace('path = "planners/travel"', table))
    with pytest.raises(ConfigError, match=said):
        Agent(model, Purpose.from_file(file))


def test_a_planner_may_be_listed_with_the_controls(purpose: Purpose, model: LocalModel, tmp_path: Path) -> None:
    file = tmp_path / "home" / "travel.toml"
    text = file.read_text().replace(
        "[planner]", '[[controls]]\nname = "attention_hold"\n\n[[controls]]\nname = "planner"'
    )
    file.write_text(text)
    agent: Any = Agent(model, Purpose.from_file(file))
    assert [control.name for control in agent.controls] == ["attention_hold", "planner"]
    assert "act" in agent.reply("Hello!").chosen
