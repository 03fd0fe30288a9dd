"""The verdicts that a judge keeps."""

from __future__ import annotations

from pathlib import Path

import pytest

from telic.issues import Issue, IssueJudge
from telic.issues import judging as module
from telic.workspaces import SuiteResult

TEST = "tests/test_calc.py::test_add"
ISSUE = Issue(
    id="calc", title="t", full_text="f", hidden_text="h", repository=Path("nowhere"), must_turn_green=(TEST,)
)  # fmt: skip


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The patches whose tests were run; those of a slow one are killed."""
    seen: list[str] = []

    def run(_: IssueJudge, patch: str) -> tuple[SuiteResult, bool]:
        seen.append(patch)
        if "slow" in patch:
            return SuiteResult(-9, stopped="time"), True
        return SuiteResult(0, {TEST: "passed" if patch else "failed"}), False

    monkeypatch.setattr(IssueJudge, "_run", run)
    return seen


def test_the_same_patch_is_tested_once(runs: list[str]) -> None:
    judge = IssueJudge(ISSUE)
    assert [judge.judge(patch).resolved for patch in ("a", "a", "b", "a")] == [True] * 4
    assert runs == ["", "a", "b"]


def test_a_killed_run_is_tried_again(runs: list[str]) -> None:
    judge = IssueJudge(ISSUE)
    reasons = {judge.judge("slow").reason for _ in range(2)}
    assert reasons == {"the tests were killed at their limit of time"}
    assert runs == ["", "slow", "slow"]


def test_only_the_latest_verdicts_are_kept(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_VERDICTS", 1)
    judge = IssueJudge(ISSUE)
    for patch in ("a", "b", "a"):
        assert judge.judge(patch).resolved
    assert runs == ["", "a", "b", "a"]
