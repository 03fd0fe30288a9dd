"""`train`, from a game to a judged planner, on a tiny model that is paid for what it says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from telic.agents.model_player import ModelPlayer
from telic.errors import ConfigError
from telic.games.base import Act, Game, Outcome, registry
from telic.models import FakeModel
from telic.planner import load_planner
from telic.planner.context import Stage
from telic.planner.control import PlannerControl
from telic.planner.experience import Experience, utterance_examples
from telic.planner.planner import Planner
from telic.planner.report import write_train_report
from telic.planner.training import train
from telic.progress import ProgressReport
from telic.purpose import Purpose
from telic.rollouts import play
from telic.runs import RunFolder, versions
from tests.models import tiny

TEXT = 'name = "vowels"\nsystem = "You are Mia."\n[game]\nname = "vowels"\n'
QUICK: dict[str, Any] = {
    "episodes": 12, "validation": 4, "held_out": 6, "rl_steps": 6, "clone_epochs": 1, "max_new_tokens": 6,
    "action_size": 4, "resamples": 100, "temperature": 1.0, "act_epochs": 1, "width": 8,
}  # fmt: skip


@dataclass
class Vowels(Game):
    """Pays the share of vowels in what one says."""

    name: ClassVar[str] = "vowels"
    roles: ClassVar[tuple[str, ...]] = ("speaker",)
    max_turns: int = 3

    def instructions(self, role: str) -> str:
        return f"Say something about {self.seed}."

    def private(self, role: str) -> Mapping[str, Any]:
        return {}

    def _reset(self, seed: int) -> None:
        self.turn = "speaker"

    def _legal(self, role: str) -> tuple[str, ...]:
        return ("message",)

    def _apply(self, role: str, act: Act) -> dict[str, float]:
        if self.turns + 1 == self.max_turns:
            self.end("done")
        return {role: sum(letter in "aeiou" for letter in act.content) / max(len(act.content), 1)}

    def _outcome(self) -> Outcome:
        return Outcome(True)


@pytest.fixture(autouse=True)
def vowels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._factories, "vowels", Vowels)


def purpose() -> Purpose:
    return Purpose.from_text(TEXT, "vowels.toml")


CURRICULA: dict[str, tuple[dict[str, Any], set[str]]] = {
    "acts": ({}, {"acts", "episodes/explored-1", "advantage-1", "episodes/explored-2", "advantage-2"}),
    "utterances": ({"mapping": "learned"}, {"advantage-1", "episodes/advantage-1", "advantage-2", "episodes/explored"}),
}


@pytest.fixture
def acts(tmp_path: Path) -> str:
    """Two acts, of which one pays."""
    path = tmp_path / "acts.toml"
    path.write_text(
        '[[acts]]\nname = "vowels"\nsays = ["aeiou", "eau"]\n[[acts]]\nname = "consonants"\nsays = ["xyz", "pst"]\n'
        '[[contexts]]\nsaid = ["Hello!"]\n'
    )
    return str(path)


@pytest.mark.parametrize("curriculum", CURRICULA)
def test_a_planner_is_trained_chosen_judged_and_saved(curriculum: str, acts: str, tmp_path: Path) -> None:
    settings, expected = CURRICULA[curriculum]
    model, stages = tiny.local("llama"), list[Stage]()
    run = train(model, purpose(), folder=tmp_path / "runs", on_stage=stages.append, acts=acts, **QUICK, **settings)
    names = [stage.name for stage in stages]
    assert names[:2] == ["episodes/natural", "self-clone"]
    assert {"td3bc", "constant", *expected} <= set(names)
    rivals = ["self-clone", "constant prefix", *(["acts recited"] if curriculum == "acts" else [])]
    assert [arm.name for arm in run.arms] == ["baseline", "planner", *rivals]
    assert all(arm.returns.n == 6 for arm in run.arms)
    assert run.stage == max((s for s in run.validation if s != "self-clone"), key=lambda s: run.validation[s])
    constant = next(arm for arm in run.arms if arm.name == "constant prefix")
    assert constant.behaviour.turning is not None
    assert constant.behaviour.turning.value == pytest.approx(1.0)
    saved = load_planner(run.path, model=model)
    assert saved.plain_shape() == run.planner.plain_shape()
    assert "baseline" in (run.path / "README.md").read_text()
    assert run.headline.startswith(f"The planner ({run.stage}) returns")
    page = write_train_report(RunFolder.open(run.folder)).read_text()
    for part in (
        "Held-out scenarios",
        "What each stage adds",
        f"{run.stage} (chosen)",
        "Scenario 0",
        run.headline[:40],
    ):
        assert part in page
    assert ("What the planner does" in page) == (curriculum == "acts")
    assert (run.folder / "returns.png").is_file()


@pytest.mark.parametrize("curriculum", CURRICULA)
def test_a_resumed_run_ends_as_one_that_was_not_interrupted(curriculum: str, acts: str, tmp_path: Path) -> None:
    model, settings = tiny.local("llama"), {"acts": acts, **QUICK, **CURRICULA[curriculum][0]}
    whole = train(model, purpose(), folder=tmp_path / "whole", **settings)

    def stop(stage: Stage) -> None:
        if stage.name == "advantage-1":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(model, purpose(), folder=tmp_path / "cut", on_stage=stop, **settings)
    [folder] = (tmp_path / "cut").iterdir()
    config, starts = folder / "config.toml", list[ProgressReport]()
    config.write_text(config.read_text().replace(f'python = "{versions()["python"]}"', 'python = "3.0.0"'))
    again = train(model, purpose(), resume=folder, progress=starts.append, **settings)
    assert starts[0].folder == folder
    assert "python was 3.0.0" in starts[0].notices[0]
    assert (again.stage, again.validation, again.arms) == (whole.stage, whole.validation, whole.arms)
    with pytest.raises(ConfigError, match="episodes"):
        train(model, purpose(), resume=folder, **{**settings, "episodes": 13})


def test_examples_are_replayed_from_the_record() -> None:
    model = tiny.local("llama")
    control = PlannerControl(planner=Planner.new(model, tokens=0, action_size=1))
    player = ModelPlayer(model, purpose(), [control], max_new_tokens=6)
    episodes = play({"name": "vowels"}, {"agent": player}, 3, references=False).episodes
    found = Experience.of(episodes, {"name": "vowels"}, player)
    assert len(found.examples) == len(found.transitions) == 9
    said = [turn.text for episode in episodes for turn in episode.turns]
    assert [example.text for example in found.examples] == said
    first = next(iter(utterance_examples(episodes[0], {"name": "vowels"}, player)))
    assert first.messages[0].content == f"You are Mia.\n\nSay something about {episodes[0].seed}."
    better, weights = found.advantage_weighted(1.0, 0.5)
    assert 0 < len(better) < 9
    assert (weights > 0).all()


def test_a_wrong_training_is_refused() -> None:
    with pytest.raises(ConfigError, match="no game"):
        train(tiny.local("llama"), Purpose.from_text('name = "a"\nsystem = "b"'))
    with pytest.raises(ConfigError, match="only Telic's own engine gives"):
        train(FakeModel(), purpose())
    with pytest.raises(ConfigError, match="sigma is -1"):
        train(tiny.local("llama"), purpose(), sigma=-1)
