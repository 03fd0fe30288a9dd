"""A pair programmer as a player of the game `issue`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from telic.assistants.pairing.player import PairPlayer
from telic.errors import ConfigError
from telic.games import issue as issue_game
from telic.games.base import build_game
from telic.issues import Verdict
from telic.rollouts import play
from telic.workspaces import SuiteResult, Workspace
from tests.assistants.pairing.conftest import scripted
from tests.games.fake_judge import FakeJudge

SOURCE = "def apply(a):\n    return a\n\n\n\n\nX = 1\n"
ISSUE = """+++
title = "apply is wrong"
must_turn_green = ["tests"]
repository = "code"
+++
`apply` should return 2.
"""


@pytest.fixture
def issues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(Workspace, "_suite", lambda *_: SuiteResult(0))
    monkeypatch.setattr(issue_game, "_judge_of", FakeJudge)
    (tmp_path / "code").mkdir()
    (tmp_path / "code/a.py").write_text(SOURCE)
    (tmp_path / "1-apply.md").write_text(ISSUE)
    return str(tmp_path)


def test_the_patch_arrives_as_git_wrote_it(issues: str, monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[str] = []

    def judge(_: FakeJudge, patch: str) -> Verdict:
        judged.append(patch)
        return Verdict(True)

    monkeypatch.setattr(FakeJudge, "judge", judge)
    programmer = scripted(lambda text: "```python\ndef apply(a):\n    return 2\n```" if "Write all of" in text else "")
    [episode] = play({"name": "issue", "issues": issues}, {"agent": PairPlayer(programmer)}, 1).episodes
    assert episode.failure is None
    assert judged[0].endswith("\n-    return a\n+    return 2\n \n \n \n"), "the blank lines are part of the patch"
    assert episode.metadata["notes"] == {"assistant": {"attempts": 1}}
    assert [message.role for message in episode.turns[-1].steps] == ["assistant", "tool"]


def test_an_answer_reaches_the_next_question_and_the_patch(issues: str) -> None:
    (Path(issues) / "1-apply.md").write_text(ISSUE.replace("`apply` should", "Bad.\n\n## Hidden\n\n`apply` should"))
    programmer = scripted(lambda text: "What should apply return?" if "Ask the author" in text else "")
    [episode] = play({"name": "issue", "issues": issues}, {"agent": PairPlayer(programmer)}, 1).episodes
    assert [(turn.role, turn.act) for turn in episode.turns[:2]] == [("assistant", "ask"), ("user", "")]
    assert episode.turns[1].text == "`apply` should return 2."
    assert "Answer: `apply` should return 2." in str(programmer.model.seen[-1])  # type: ignore[attr-defined]


def test_no_working_tree_is_left_behind(issues: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    play({"name": "issue", "issues": issues}, {"agent": PairPlayer(scripted())}, 1)
    broken = PairPlayer(scripted(lambda _: str(1 / 0)))
    [episode] = play({"name": "issue", "issues": issues}, {"agent": broken}, 1).episodes
    assert episode.failure is not None
    assert list(tmp_path.glob("telic-*")) == []


def test_the_repository_is_tested_once_for_all_episodes(issues: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tests = "from a import apply\n\n\ndef test_apply():\n    assert apply(1) == 2\n"
    (Path(issues) / "code/test_a.py").write_text(tests)
    on_the_base: list[tuple[str, ...]] = []

    def suite(self: Workspace, folder: Path, tests: Sequence[str]) -> SuiteResult:
        if folder == self.tree.base_tree:
            on_the_base.append(tuple(tests))
        return SuiteResult(0)

    monkeypatch.setattr(Workspace, "_suite", suite)
    player = PairPlayer(scripted())
    for seed in (0, 1):
        [episode] = play({"name": "issue", "issues": issues}, {"agent": player}, 1, seed=seed).episodes
        assert episode.failure is None
    assert on_the_base == [("test_a.py",)]


def test_it_plays_no_other_game() -> None:
    with pytest.raises(ConfigError, match="plays the game 'issue', not 'elicitation'"):
        PairPlayer(scripted()).join(build_game({"name": "elicitation"}), "agent", 0)
