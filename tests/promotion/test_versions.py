"""Versions on disk: registered, promoted, rolled back, whole after a kill, marked when their sources are deleted."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telic.errors import ConfigError, DataError, RunError
from telic.promotion import load_version
from telic.promotion.candidates import LearnedCandidate, content_digest

PURPOSE = """\
name = "travel"
model = "fake"
system = "You are Mia, a travel agent."
# a comment
[[limits]]
name = "quotes a price"
judge = { contains = "$" }
"""

MakeCandidate = Callable[..., Path]


@pytest.fixture
def travel(tmp_path: Path) -> Path:
    path = tmp_path / "travel.toml"
    path.write_text(PURPOSE)
    return path


@pytest.fixture
def candidate(tmp_path: Path) -> MakeCandidate:
    def make(name: str = "learned", sources: tuple[str, ...] = ("c1", "c2"), **changes: Any) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        document = {
            "method": "test", "purpose_changes": changes or {"system": "You are Mia. Ask first."},
            "metrics": {"loss": 0.5}, "sources": sources,
        }  # fmt: skip
        (folder / "learned.json").write_text(json.dumps(document))
        return folder

    return make


def register(travel: Path, folder: Path) -> str:
    loaded = load_version(travel)
    return loaded.versions.register(LearnedCandidate.read(folder), loaded.written)[0].name


def test_a_candidate_becomes_a_version_that_changes_the_purpose(travel: Path, candidate: MakeCandidate) -> None:
    folder = candidate(planner={"path": "planner"}, system="You are Mia. Ask first.")
    (folder / "planner").mkdir()
    (folder / "planner" / "config.json").write_text("{}")
    assert register(travel, folder) == "v1"
    assert register(travel, folder) == "v1", "the same candidate again is no new version"
    assert load_version(travel).version == "base", "registering promotes nothing"
    versions = load_version(travel).versions
    version = versions.get("latest")
    assert (version.parent, version.method, version.sources, versions.status(version)) == (
        "base",
        "test",
        2,
        "candidate",
    )
    assert versions.sources(version) == ["c1", "c2"]
    versions.promote("v1")
    loaded = load_version(travel)
    assert (loaded.version, loaded.purpose.system) == ("v1", "You are Mia. Ask first.")
    planner = loaded.purpose.planner
    assert planner is not None
    assert (Path(planner["path"]) / "config.json").is_file()
    assert Path(planner["path"]).is_relative_to(versions.path("v1").resolve())
    assert loaded.purpose.limits == loaded.written.limits
    assert load_version(travel, "base").purpose.system == "You are Mia, a travel agent."


def test_the_artefact_may_be_the_folder_itself(
    travel: Path, candidate: MakeCandidate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(travel.parent)
    for number, path in enumerate(("runs/learn-0", str(travel.parent / "runs" / "learn-1"))):
        (travel.parent / "runs").mkdir(exist_ok=True)
        folder = candidate(f"runs/learn-{number}", planner={"path": path})
        (folder / "planner.safetensors").write_text("weights")
        planner = load_version(travel, register(travel, folder)).purpose.planner
        assert planner is not None
        assert (Path(planner["path"]) / "planner.safetensors").is_file()
        assert "versions" in Path(planner["path"]).parts


def test_changes_include_those_of_the_parent(travel: Path, candidate: MakeCandidate) -> None:
    register(travel, candidate("one", system="One."))
    load_version(travel).versions.promote("v1")
    register(travel, candidate("two", rules=["Be brief."]))
    purpose = load_version(travel, "v2").purpose
    assert (purpose.system, purpose.rules) == ("One.", ["Be brief."])


def test_a_path_beside_the_purpose_file_is_copied(travel: Path, candidate: MakeCandidate) -> None:
    planner = travel.parent / "planners"
    planner.mkdir()
    (planner / "weights").write_text("1")
    register(travel, candidate(planner={"path": "planners"}))
    (planner / "weights").write_text("2")
    copied = load_version(travel, "v1").purpose.planner
    assert copied is not None
    assert (Path(copied["path"]) / "weights").read_text() == "1"


def test_rollback_goes_to_what_was_served_before(travel: Path, candidate: MakeCandidate) -> None:
    for name in ("one", "two"):
        register(travel, candidate(name, system=f"{name}."))
    versions = load_version(travel).versions
    versions.promote("v1")
    versions.promote("v2")
    assert [versions.status(one) for one in versions.all()] == ["retired", "promoted"]
    assert versions.rollback("complaints").version == "v1"
    assert versions.rollback().version == "base"
    assert [change.how for change in versions.promotion.log] == ["promoted"] * 2 + ["rolled back"] * 2
    with pytest.raises(RunError, match="nothing to roll back"):
        versions.rollback()


@pytest.mark.parametrize(
    ("learned", "message"),
    [
        ({"method": "m", "purpose_changes": {"limits": []}}, "changes 'limits'; a version may not"),
        ({"method": "m", "purpose_changes": {}}, "purpose_changes is empty"),
        ({"purpose_changes": {"system": "x"}}, "method: Field required"),
        ({"method": "m", "purpose_changes": {"system": "x"}, "sources": ["a\nb"]}, "has a line break"),
        ([], "expected an object"),
    ],
)
def test_a_candidate_that_is_none_is_refused(tmp_path: Path, learned: Any, message: str) -> None:
    (tmp_path / "learned.json").write_text(json.dumps(learned))
    with pytest.raises(DataError, match=message):
        LearnedCandidate.read(tmp_path)


def test_what_does_not_fit_leaves_no_version(travel: Path, candidate: MakeCandidate) -> None:
    with pytest.raises(ConfigError, match="sistem"):
        register(travel, candidate("misspelt", sistem="x"))
    with pytest.raises(DataError, match="'nowhere', which does not exist"):
        register(travel, candidate("lost", planner={"path": "nowhere"}))
    linked = candidate("linked")
    (linked / "secret").symlink_to("/etc/passwd")
    with pytest.raises(DataError, match="is a link"):
        register(travel, linked)
    assert load_version(travel).versions.all() == []
    assert register(travel, candidate("good")) == "v1"


def test_versions_belong_to_one_purpose(travel: Path, candidate: MakeCandidate) -> None:
    register(travel, candidate())
    load_version(travel).versions.promote("v1")
    other = travel.with_name("other.toml")
    other.write_text(PURPOSE.replace('"travel"', '"other"'))
    assert load_version(other).version == "base"
    with pytest.raises(ConfigError, match="has versions of the purpose 'travel'"):
        register(other, candidate("its own"))
    other.write_text(PURPOSE.replace('"travel"', '"other"') + '[serve]\nversions = "others"\n')
    assert register(other, travel.with_name("its own")) == "v1"


def test_deleted_conversations_mark_the_versions_that_were_trained_on_them(
    travel: Path, candidate: MakeCandidate
) -> None:
    register(travel, candidate("one", ("c1", "c2"), system="1."))
    register(travel, candidate("two", ("c3",), system="2."))
    versions = load_version(travel).versions
    assert [one.name for one in versions.mark_deleted(["c1"])] == ["v1"]
    assert [one.name for one in versions.mark_deleted(["c2", "other"])] == ["v1"]
    assert [one.deleted_sources for one in versions.all()] == [2, 0]


def test_what_a_version_keeps_of_its_parent_was_trained_on_the_parents_conversations(
    travel: Path, candidate: MakeCandidate
) -> None:
    register(travel, candidate("one", ("c1",), system="1."))
    versions = load_version(travel).versions
    versions.promote("v1")
    register(travel, candidate("two", ("c2",), rules=["Be brief."]))
    assert versions.sources(versions.get("v2")) == ["c2", "c1"]
    assert [one.name for one in versions.mark_deleted(["c1"])] == ["v1", "v2"]


def test_the_digest_is_that_of_the_copy(travel: Path, candidate: MakeCandidate) -> None:
    (travel.parent / "planners").mkdir()
    (travel.parent / "planners" / "weights").write_text("1")
    folder = candidate(planner={"path": "planners"})
    register(travel, folder)
    versions = load_version(travel).versions
    assert versions.get("v1").content == content_digest(versions.path("v1") / "artefacts")
    assert register(travel, folder) == "v1", "the same candidate is registered once"


KILLED = """
import sys
from telic.promotion import load_version
versions = load_version(sys.argv[1]).versions
print("begun", flush=True)
while True:
    versions.promote("v1")
    versions.promote("v2")
    versions.rollback()
    versions.rollback()
"""


def test_a_kill_leaves_the_old_or_the_new_version(travel: Path, candidate: MakeCandidate) -> None:
    for name in ("one", "two"):
        register(travel, candidate(name, system=f"{name}."))
    seen = set()
    for wait in range(12):
        process = subprocess.Popen([sys.executable, "-c", KILLED, str(travel)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(wait):  # a different moment each time
            load_version(travel)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        loaded = load_version(travel)
        seen.add(loaded.version)
        assert (
            loaded.purpose.system
            == {"base": "You are Mia, a travel agent.", "v1": "one.", "v2": "two."}[loaded.version]
        )
    assert seen <= {"base", "v1", "v2"}
    load_version(travel).versions.promote("v2")
    assert load_version(travel).version == "v2", "a killed process leaves no lock"


def test_a_kill_while_a_version_is_registered_leaves_none(travel: Path, candidate: MakeCandidate) -> None:
    folder = candidate()
    (folder / "weights").write_bytes(bytes(1 << 20))
    program = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom telic.promotion import load_version\n"
        "from telic.promotion.candidates import LearnedCandidate\n"
        "Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "loaded = load_version(sys.argv[1])\n"
        "loaded.versions.register(LearnedCandidate.read(sys.argv[2]), loaded.written)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(travel), str(folder)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert load_version(travel).versions.all() == []
    assert register(travel, folder) == "v1"
    assert [one.name for one in (travel.parent / "versions").iterdir() if one.is_dir()] == ["v1"]
