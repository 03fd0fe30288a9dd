"""The files that `telic new` writes: each is a purpose that every command can start with."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from telic.agents.agent import Agent
from telic.agents.model_player import ModelPlayer
from telic.errors import ConfigError
from telic.games import build_game
from telic.judges import build_judge
from telic.models import FakeModel
from telic.planner import train
from telic.progress import ProgressReport
from telic.purpose import Purpose
from telic.purpose_templates import KINDS, PurposeTemplate
from telic.rollouts import play
from telic.runs import RunFolder
from telic.stability import measure
from tests.models import tiny

QUICK: dict[str, Any] = {"rounds": 1, "dialogues": 2, "samples": 1, "resamples": 100}


def purpose(kind: str | None) -> Purpose:
    return Purpose.from_text(PurposeTemplate.load(kind).text("mine"), f"{kind}.toml")


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_has_all_that_a_purpose_needs(kind: str) -> None:
    found = purpose(kind)
    found.check(build_judge)
    assert found.name == "mine"
    assert found.users_want
    assert len(found.openers) >= 4
    assert 5 <= len(found.probes) <= 6
    assert any(probe.every_reply for probe in found.probes) or kind == "support"
    assert found.game is not None
    game = build_game(found.game)
    assert getattr(game, "domain", None) == kind
    names = [value for value in KINDS[kind] if value]
    assert [found.probes[index].judge for index in range(len(names))] == [{"contains": name} for name in names]
    assert all(name in found.system_prompt for name in names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_measured_played_and_talked_to(kind: str) -> None:
    found = purpose(kind)
    run = measure(FakeModel(drift=0.0), found, **QUICK)
    identity = [start for start in run.stability.starts if start.family == "identity"]
    assert identity
    assert sum(start.followed for start in identity) > 0, "the fake model recites its system prompt"
    assert found.game is not None
    [result] = play([found.game], {"agent": ModelPlayer(FakeModel(), found)}, n=2).results
    assert result.game == "elicitation"
    assert Agent(FakeModel(), found).reply("Hello.")


@pytest.mark.parametrize("kind", KINDS)
def test_a_planner_can_be_trained_for_a_kind(kind: str, tmp_path: Path) -> None:
    class Started(Exception):  # noqa: N818
        pass

    def stop(report: ProgressReport) -> None:
        raise Started

    with pytest.raises(Started):
        train(tiny.local("llama"), purpose(kind), folder=tmp_path, progress=stop)
    [run] = RunFolder.list(tmp_path)
    assert run.document["name"] == "mine"
    assert run.config["acts"]


@pytest.mark.parametrize("kind", [None, *KINDS])
def test_a_name_and_an_organisation_of_ones_own_are_everywhere(kind: str | None) -> None:
    template = PurposeTemplate.load(kind)
    mine = template.called('Zoë "Zed"')
    if template.organisation:
        mine = mine.working_for("Nine \\ Lives")
    found = Purpose.from_text(mine.text("mine"))
    assert 'Zoë "Zed"' in found.system
    assert found.probes[0].judge == {"contains": 'Zoë "Zed"'}
    assert template.persona not in found.system_prompt.split()
    if template.organisation:
        assert found.probes[1].judge == {"contains": "Nine \\ Lives"}
        assert template.organisation not in mine.source


def test_the_general_file_takes_any_role() -> None:
    template = PurposeTemplate.load().called("Quill").playing("a librarian", "to find a book")
    found = Purpose.from_text(template.text("library"))
    assert found.system.startswith("You are Quill, a librarian.")
    assert found.users_want == "to find a book"


def test_an_unknown_kind_and_an_empty_answer_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unknown kind 'travle'; did you mean 'travel'\?"):
        PurposeTemplate.load("travle")
    with pytest.raises(ConfigError, match="found an empty answer, expected some words such as 'Mia'"):
        PurposeTemplate.load("travel").called(" ")
