"""The store of episodes: nothing that was written is lost, and damage is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from telic.episodes import SCHEMA_VERSION, Answer, Branch, Episode, EpisodeStore, Turn
from telic.errors import DataError, Failure, RunError
from telic.runs import RunFolder

text = st.text(st.characters(codec="utf-8"))
episodes = st.builds(
    Episode,
    id=text,
    kind=text,
    seed=st.integers(0, 2**63),
    roles=st.dictionaries(text, st.fixed_dictionaries({"system": text}), max_size=2),
    turns=st.lists(st.builds(Turn, role=text, round=st.integers(1, 9), text=text), max_size=3),
    branches=st.lists(
        st.builds(
            Branch,
            role=text,
            round=st.integers(0, 9),
            probe=text,
            family=text,
            question=text,
            prompt_tokens=st.integers(0, 9999),
            answers=st.lists(
                st.builds(Answer, text=text, finish=text, score=st.none() | st.floats(0, 1), reason=text), max_size=2
            ),
        ),
        max_size=2,
    ),
    failure=st.none() | st.builds(Failure, st.just("model"), st.just("timeout"), text),
)


def episode(name: str, **fields: Any) -> Episode:
    return Episode(id=name, kind="selfchat", seed=1, roles={}, **fields)


def store(tmp_path: Path, *names: str) -> EpisodeStore:
    found = EpisodeStore(tmp_path / "episodes.jsonl")
    for name in names:
        found.append(episode(name))
    return found


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(st.lists(episodes, min_size=1, max_size=3))
def test_what_is_appended_is_read_back(tmp_path: Path, played: list[Episode]) -> None:
    found = store(tmp_path)
    found.path.unlink(missing_ok=True)
    for one in played:
        found.append(one)
    assert found.recover() is None
    assert list(found) == played


def test_a_store_without_a_file_says_so(tmp_path: Path) -> None:
    assert store(tmp_path).recover() is None
    with pytest.raises(RunError, match="the run has no episodes yet"):
        list(store(tmp_path))


def test_a_line_cut_short_anywhere_costs_that_episode_alone(tmp_path: Path) -> None:
    found = store(tmp_path, "a", "b", "ü")
    data = found.path.read_bytes()
    start = data.rstrip(b"\n").rindex(b"\n") + 1
    for cut in range(start + 1, len(data) - 1):
        found.path.write_bytes(data[:cut])
        note = found.recover()
        assert note is not None
        assert "cut short" in note
        assert [one.id for one in found] == ["a", "b"]
        assert found.path.read_bytes() == data[:start]
    found.append(episode("c"))
    assert [one.id for one in found] == ["a", "b", "c"]


def test_what_was_cut_is_kept_aside(tmp_path: Path) -> None:
    found = store(tmp_path, "a", "b")
    data = found.path.read_bytes()
    found.path.write_bytes(data[:-5])
    found.recover()
    broken = tmp_path / "episodes.jsonl.broken"
    assert broken.read_bytes() == data.splitlines(keepends=True)[1][:-5] + b"\n"


def test_a_whole_last_line_without_its_newline_is_kept(tmp_path: Path) -> None:
    found = store(tmp_path, "a", "b")
    found.path.write_bytes(found.path.read_bytes()[:-1])
    assert found.recover() is None
    found.append(episode("c"))
    assert [one.id for one in found] == ["a", "b", "c"]


def test_a_first_line_cut_short_leaves_an_empty_store(tmp_path: Path) -> None:
    found = store(tmp_path, "a")
    found.path.write_bytes(found.path.read_bytes()[:-9])
    assert found.recover() is not None
    assert list(found) == []


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"{\n", "line 2: line: Invalid JSON"),
        (b'{"id": "x"}\n', "line 2: kind: Field required"),
        (b"[]\n", "line 2: line: Input should be an object"),
    ],
)
def test_damage_within_the_file_is_named_and_not_repaired(tmp_path: Path, line: bytes, expected: str) -> None:
    found = store(tmp_path, "a", "b")
    first, second = found.path.read_bytes().splitlines(keepends=True)
    damaged = first + line + second
    found.path.write_bytes(damaged)
    reader = iter(found)
    assert next(reader).id == "a"
    with pytest.raises(DataError) as caught:
        next(reader)
    assert expected in str(caught.value)
    assert "Delete the line to go on without this episode" in str(caught.value)
    assert found.path.read_bytes() == damaged


def test_bytes_that_are_not_utf8_are_named_with_their_line(tmp_path: Path) -> None:
    found = store(tmp_path, "a", "b")
    first, second = found.path.read_bytes().splitlines(keepends=True)
    found.path.write_bytes(first + b'{"id": "\xff"}\n' + second)
    with pytest.raises(DataError, match="line 2"):
        list(found)


def test_an_older_version_asks_for_a_new_run(tmp_path: Path) -> None:
    found = store(tmp_path, "a")
    older = episode("b").model_dump(exclude={"failure"}) | {"version": 1, "error": "model: the context was full"}
    with found.path.open("a") as file:
        file.write(json.dumps(older) + "\n" + json.dumps(older) + "\n")
    with pytest.raises(DataError, match=r"line 2: schema version 1.*Start a new run\.$"):
        list(found)


@pytest.mark.parametrize("fields", [{}, {"mood": "cheerful"}], ids=["same fields", "a new field"])
def test_a_newer_version_asks_for_an_update(tmp_path: Path, fields: dict[str, str]) -> None:
    found = store(tmp_path, "a")
    newer = episode("b").model_dump() | {"version": SCHEMA_VERSION + 1} | fields
    with found.path.open("a") as file:
        file.write(json.dumps(newer) + "\n")
    with pytest.raises(DataError, match=rf"line 2: schema version {SCHEMA_VERSION + 1}.*Update Telic"):
        list(found)


def test_a_misspelt_field_is_refused() -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        Turn.model_validate({"role": "a", "round": 1, "text": "x", "finnish": "stop"})


def test_an_episode_that_failed_by_the_models_fault_is_played_again(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "measure", "x", {})
    run.episodes.append(Episode(id="1", kind="selfchat", seed=0, roles={}))
    run.episodes.append(
        Episode(
            id="0", kind="selfchat", seed=0, roles={}, failure=Failure("model", "unreachable", "connection refused")
        )
    )
    assert run.done() == {"1"}
    run.episodes.append(Episode(id="0", kind="selfchat", seed=0, roles={}))
    assert run.done() == {"0", "1"}
    assert [(episode.id, episode.failure) for episode in run.episodes.latest()] == [("0", None), ("1", None)]
    run.close()
