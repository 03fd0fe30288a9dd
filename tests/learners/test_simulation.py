"""A simulated service: what its learner sees, and that it gets better where the words say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest

from telic.episodes import Episode
from telic.errors import ConfigError
from telic.learners.simulation import ServiceDay, SimulatedService, label_conversations
from telic.models.local import LocalModel
from telic.purpose import Purpose
from tests.learners.logged import purpose_with, uniform_planner
from tests.models import tiny


@pytest.fixture(scope="module")
def model() -> LocalModel:
    return tiny.local("llama")


def service(model: LocalModel, folder: Path, **settings: Any) -> SimulatedService:
    purpose = purpose_with(uniform_planner(model), model, folder / "served")
    purpose = purpose.model_copy(update={"game": {"name": "elicitation", "domain": "travel", "rounds": 2}})
    return SimulatedService(model, purpose, folder / "service", options={"least": 2}, **settings)


class Watched(SimulatedService):
    """It keeps what the learner gets."""

    seen: ClassVar[list[list[Episode]]] = []

    def learn(self, evidence: Any, number: int, purpose: Purpose, logged: Any) -> Purpose:
        """Keep the logged conversations."""
        self.seen.append(list(logged))
        return super().learn(evidence, number, purpose, logged)


def test_days_are_served_learnt_from_and_kept(model: LocalModel, tmp_path: Path) -> None:
    plain = service(model, tmp_path, trolls=0.5)
    days: list[ServiceDay] = []
    watched = Watched(**{name: getattr(plain, name) for name in plain.__dataclass_fields__})
    learnt = watched.run("words", 2, 8, days.append)
    assert learnt.planner is not None
    assert learnt.planner["path"] != plain.purpose.planner["path"]  # type: ignore[index]
    assert [len(one) for one in watched.seen] == [8, 16]
    assert len({episode.id for episode in watched.seen[1]}) == 16
    again: list[ServiceDay] = []
    assert plain.run("words", 2, 8, again.append).planner == learnt.planner
    assert [day.played for day in again] == [day.played for day in days], "nothing is played twice"
    scores = plain.evaluate(learnt, "words", 4)
    assert set(scores) == {0, 1, 2, 3}
    for episode in watched.seen[1]:
        assert all(not turn.reward for turn in episode.turns)
        assert not any("private" in role for role in episode.roles.values())
        assert episode.metadata["user"].startswith("user ")
    [labelled] = [one for one in [label_conversations(watched.seen[0], "words")] if one]
    assert all(not episode.outcome and "satisfaction" in str(episode.turns) for episode in labelled)


def test_each_evidence_sees_its_own(model: LocalModel, tmp_path: Path) -> None:
    watched = service(model, tmp_path, trolls=1.0)  # trolls always give thumbs
    watched = Watched(**{name: getattr(watched, name) for name in watched.__dataclass_fields__})
    watched.seen.clear()
    assert watched.run("none", 1, 6) == watched.purpose
    [logged] = watched.seen
    assert label_conversations(logged, "none") is None
    sources = {
        evidence: {one.source for episode in label_conversations(logged, evidence) or () for one in episode.feedback}
        for evidence in ("thumbs", "words")
    }
    assert sources["thumbs"] == {"thumb"}
    assert sources["words"]
    assert "thumb" not in sources["words"]
    truth = label_conversations(logged, "truth")
    assert truth is not None
    rewards = [turn.reward["agent"] for episode in truth for turn in episode.turns if turn.role == "agent"]
    assert min(rewards) == 0.0, "a tiny model asks for nothing"
    with pytest.raises(ConfigError, match="did you mean 'words'"):
        label_conversations(logged, "wordz")  # type: ignore[arg-type]
