"""`telic learn` and versions: from a learner's folder to what is served, and back."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.conftest import Run

GATE = ("--gate-settings", "dialogues=30", "rounds=1", "resamples=200", "--quiet")


@pytest.fixture
def learned(tmp_path: Path) -> Path:
    folder = tmp_path / "learned"
    folder.mkdir()
    changes = {"model": "fake", "rules": ["Be kind."]}
    document = {"method": "prompt search", "purpose_changes": changes, "sources": ["c1", "c2"]}
    (folder / "learned.json").write_text(json.dumps(document))
    return folder


def test_a_candidate_is_registered_promoted_listed_and_rolled_back(run: Run, travel: Path, learned: Path) -> None:
    registered = run("learn", str(travel), "--candidate", str(learned))
    assert (registered.status, registered.out.splitlines()[0]) == (
        0,
        f"Registered version v1 in {travel.parent / 'versions' / 'v1'}.",
    )
    refused = run("learn", str(travel), "--promote", "v1")
    assert refused.status == 1
    assert "the gate of v1 was not run" in refused.error
    assert "add --force" in refused.error
    assert run("learn", str(travel), "--promote", "latest", "--force").status == 0
    listed = run("learn", str(travel), "--versions")
    assert "prompt search" in listed.out
    assert "2 conversations" in listed.out
    assert "Served: v1" in listed.out
    document = json.loads(run("learn", str(travel), "--versions", "--json").out)
    assert (document["promoted"], document["versions"][0]["status"]) == ("v1", "promoted")
    assert run("learn", str(travel), "--rollback").out.startswith("base is served from now on")
    assert json.loads(run("learn", str(travel), "--versions", "--json").out)["versions"][0]["status"] == "retired"
    assert "nothing to roll back" in run("learn", str(travel), "--rollback").error


def test_a_gate_passes_or_exits_with_1(run: Run, travel: Path, learned: Path) -> None:
    travel.write_text(travel.read_text().replace("Mia", "the"))  # random words never hold "Mia": both score 0
    run("learn", str(travel), "--candidate", str(learned))
    gated = run("learn", str(travel), "--gate", "v1", *GATE, "--json")
    gate = json.loads(gated.out)["gate"]
    assert gated.status == (0 if gate["passed"] else 1), gated.error
    assert {check["name"] for check in gate["checks"]} >= {"stability", "variety of words", "logs"}
    stability = next(check for check in gate["checks"] if check["name"] == "stability")
    assert stability["difference"]["n"] == 30
    report = (travel.parent / "versions" / "v1" / "report.html").read_text()
    assert "one-sided 95 % bound" in report
    wrong = run("learn", str(travel), "--gate", "v1", "--gate-settings", "dialoges=3")
    assert wrong.status == 2
    assert "did you mean 'dialogues'" in wrong.error


def test_commands_use_the_promoted_version(run: Run, travel: Path, learned: Path, tmp_path: Path) -> None:
    run("learn", str(travel), "--candidate", str(learned))
    run("learn", str(travel), "--promote", "v1", "--force")
    for version, rules in (((), ["Be kind."]), (("--version", "base"), None)):
        measured = run("measure", str(travel), "--rounds", "1", "--dialogues", "2", "--json", "--quiet", *version)
        config = Path(json.loads(measured.out)["folder"], "config.toml").read_text()
        assert ("Be kind." in config) == (rules is not None)
    unknown = run("chat", str(travel), "--version", "v7")
    assert unknown.status == 1
    assert "has no version 'v7'" in unknown.error


def test_deletion_marks_the_versions(run: Run, travel: Path, learned: Path, tmp_path: Path) -> None:
    pytest.importorskip("sqlalchemy")
    from telic.server.store import ConversationStore
    from tests.server.test_store import history, new_turns

    with closing(ConversationStore(str(tmp_path / "telic.db"))) as store:
        store.add(new_turns("c1", history("ann", "Hello"), "Hi!"))
        store.add(new_turns("c2", history("bob", "Hello"), "Hi!"))
    run("learn", str(travel), "--candidate", str(learned))
    deleted = run("conversations", "delete", "--user", "ann")
    assert "Trained on deleted conversations: v1 of travel." in deleted.error
    assert "2 conversations, 1 deleted" in run("learn", str(travel), "--versions").out
    gone = json.loads(run("conversations", "delete", "--older-than", "1", "--versions", "elsewhere", "--json").out)
    assert gone == {"deleted": 1, "versions": []}
    assert "2 conversations, 2 deleted" in run("learn", str(travel), "--versions").out, "the store remembers the ids"
    assert run("conversations", "delete").status == 2
    assert run("conversations", "delete", "--user", "ann", "--older-than", "3").status == 2


def test_what_needs_a_purpose_file_says_so(run: Run, learned: Path) -> None:
    assert "versions belong to a purpose" in run("learn", "--candidate", str(learned)).error
    assert "is not a file" in run("learn", "demo", "--versions").error
