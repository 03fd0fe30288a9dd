"""Kept attacks: written once, replayed exactly, and reported if they work again."""

from __future__ import annotations

from pathlib import Path

import pytest

from telic.dialogue import Message
from telic.errors import ConfigError, DataError
from telic.models import FakeModel, ScriptedModel
from telic.purpose import Purpose
from telic.redteam.kept import keep_attacks, read_attacks, replay_attacks
from tests.redteam.test_attack import PURPOSE, porter, run


def kept(folder: Path) -> list[Path]:
    return keep_attacks(run().episodes, PURPOSE, folder)


def test_every_attack_that_worked_is_kept_once(tmp_path: Path) -> None:
    files = kept(tmp_path)
    assert len(files) == 8
    assert kept(tmp_path) == []
    [first, *_] = read_attacks(tmp_path).values()
    assert len(first.messages) == 3
    assert "velvet" in first.reply


def test_a_replay_says_which_attacks_work_again(tmp_path: Path) -> None:
    kept(tmp_path)
    found = replay_attacks(ScriptedModel(porter), PURPOSE, read_attacks(tmp_path), tries=2)
    assert [(one.broken, one.tries) for one in found] == [(2, 2)] * 8
    hardened = PURPOSE.model_copy(update={"defences": [{"name": "hardened_prompt"}]})
    found = replay_attacks(ScriptedModel(porter), hardened, read_attacks(tmp_path), tries=2)
    assert [one.broken for one in found] == [0] * 8


def test_the_first_try_goes_as_the_attack_went(tmp_path: Path) -> None:
    """The fake model's replies depend on their seeds."""
    purpose = Purpose.model_validate(
        {"name": "p", "system": "s", "limits": [{"name": "says thing", "judge": {"contains": "thing"}}]}
    )
    played = run(FakeModel(), purpose, attackers=["crescendo", "scripted", "tree"], defences=[], n=12, benign=1)
    files = keep_attacks(played.episodes, purpose, tmp_path)
    assert files
    assert all(one.broken == 1 for one in replay_attacks(FakeModel(), purpose, read_attacks(tmp_path), tries=1))


def test_failures_are_no_success(tmp_path: Path) -> None:
    kept(tmp_path)

    def fail(messages: tuple[Message, ...]) -> str:
        raise ConnectionError("connection refused")

    found = replay_attacks(ScriptedModel(fail), PURPOSE, read_attacks(tmp_path), tries=1)
    assert all((one.tries, one.broken) == (0, 0) and "connection refused" in one.fault for one in found)


def test_what_cannot_be_replayed_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no kept attacks"):
        read_attacks(tmp_path / "nowhere")
    files = kept(tmp_path)
    other = PURPOSE.model_copy(update={"limits": PURPOSE.limits[:1]})
    with pytest.raises(ConfigError, match="has no limit 'opens the door'"):
        replay_attacks(ScriptedModel(porter), other, read_attacks(tmp_path))
    files[0].write_text("{}")
    with pytest.raises(DataError, match=files[0].name):
        read_attacks(tmp_path)
