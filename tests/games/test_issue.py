"""The game of issues: an author who answers only what is asked, and a patch that tests judge."""

from __future__ import annotations

from difflib import unified_diff
from pathlib import Path
from typing import Any

import pytest

from telic.errors import ConfigError, DataError
from telic.games import issue as module
from telic.games.base import Outcome, build_game
from telic.games.issue import IssueGame, load_issues
from telic.games.issue_user import DOES_NOT_KNOW, IssueUser
from telic.issues import Issue, Verdict
from telic.workspaces import sandbox_problem
from tests.games.fake_judge import FakeJudge

FULL = """Empty names are accepted
Things break if a blueprint gets an empty name. It should raise a `ValueError`.

```python
Blueprint("")
```

I use version 2.3 on Windows. <!-- a template's comment about errors -->"""
TOLD = "Empty names are accepted. Things break if a blueprint gets an empty name."


@pytest.fixture(autouse=True)
def _fake_judge(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "real_judge" not in request.keywords:
        monkeypatch.setattr(module, "_judge_of", FakeJudge)


def a_game(seed: int = 0, **settings: Any) -> IssueGame:
    game = build_game({"name": "issue", **settings})
    assert isinstance(game, IssueGame)
    game.reset(seed)
    return game


def ended(game: IssueGame, *acts: str) -> Outcome:
    for act in acts:
        assert game.step("assistant", act).accepted
    return game.outcome()


# --- The author ---


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        (
            "What should happen instead: an error, or a default name?",
            "It should raise a `ValueError`.",
        ),
        ("Which error should be raised?", "It should raise a `ValueError`."),
        ("Can you show an example of a call that breaks?", '```python\nBlueprint("")\n```'),
        ("Which version do you use?", "I use version 2.3 on Windows."),
        ("What is your favourite colour?", DOES_NOT_KNOW),
        ("", DOES_NOT_KNOW),
    ],
)
def test_the_author_answers_what_is_asked(question: str, answer: str) -> None:
    assert IssueUser(FULL, TOLD).answer(question) == answer


def test_only_what_was_not_told_is_missing() -> None:
    missing = IssueUser(FULL, TOLD).missing
    assert [part.splitlines()[0] for part in missing] == [
        "It should raise a `ValueError`.", "```python", "I use version 2.3 on Windows.",
    ]  # fmt: skip
    assert IssueUser(FULL, FULL).missing == ()


def test_somebody_who_has_told_everything_does_not_know_more() -> None:
    assert IssueUser(FULL, FULL).answer("Which error should be raised?") == DOES_NOT_KNOW


def test_an_answer_is_short_whatever_the_question_says() -> None:
    full = "\n\n".join(f"The value number {n} should be {n}." for n in range(40))
    assert len(IssueUser(full, "Values are wrong.").answer(full).splitlines()) == 2


def test_a_long_block_is_cut() -> None:
    user = IssueUser("Bug\n\n```\n" + "line of a traceback\n" * 200 + "```\n", "Bug")
    assert len(user.answer("Can you show the traceback?").splitlines()) == 31


# --- The settings ---


def test_each_issue_is_played_once_before_any_is_played_again() -> None:
    played = [a_game(2**20 + seed).issue.id for seed in range(8)]
    assert sorted(played[:4]) == ["1-rounding", "2-discount", "3-average", "4-quantity"]
    assert played[:4] == played[4:]
    assert a_game(3, only=["2-discount"]).issue.id == "2-discount"


def test_what_the_agent_reads_depends_on_the_setting() -> None:
    texts = {
        setting: a_game(0, setting=setting).instructions("assistant") for setting in ("full", "hidden", "interactive")
    }
    assert "0.125 becomes 0.12" in texts["full"]
    assert "0.125" not in texts["hidden"] + texts["interactive"]
    assert "[ask]" not in texts["hidden"]
    assert "[ask]" in texts["interactive"]
    assert "0.125 becomes 0.12" in a_game(0).instructions("user")


def test_in_the_hidden_setting_nothing_can_be_asked() -> None:
    step = a_game(0, setting="hidden").step("assistant", "[ask] How should it be rounded?")
    assert (step.accepted, step.error) == (False, "[ask] is not possible now; possible: patch")


def test_the_number_of_questions_is_limited() -> None:
    game = a_game(0, questions=1)
    game.step("assistant", "[ask] How should amounts between two cents be rounded?")
    assert game.observe("assistant").legal == ("patch",)
    assert "to the even cent" in game.observe("assistant").events[-1].text


# --- The measures ---


def test_questions_that_nobody_needed_are_false_ones() -> None:
    full = ended(a_game(0, setting="full"), "[ask] What should the result be?", "[patch] good").details
    assert (full["missing"], full["questions"], full["false_questions"], full["answered"]) == (False, 1, 1, 0)
    told = ended(a_game(3), "[ask] What should the result be?", "[patch] good").details
    assert told["false_questions"] == 1, "the fourth issue lacks nothing"


def test_not_to_ask_for_what_is_missing_is_a_missed_question() -> None:
    assert ended(a_game(0), "[patch] good").details["missed_question"] is True
    assert ended(a_game(3), "[patch] good").details["missed_question"] is False
    assert ended(a_game(0, setting="hidden"), "[patch] good").details["missed_question"] is False
    asked = ended(a_game(1), "[ask] Which error should a discount above 100 percent raise?", "[patch] good").details
    assert (asked["missed_question"], asked["false_questions"], asked["answered"]) == (False, 0, 1)
    assert asked["user_words"] == 13


def test_the_tests_decide() -> None:
    assert ended(a_game(), "[patch] good").success is True
    assert ended(a_game(), "[patch]").reason == "not resolved"
    broken = ended(a_game(), "[patch] good and bad")
    assert (broken.success, broken.score, broken.details["regressions"]) == (False, 0.0, 1)


def test_a_missing_sandbox_is_not_the_agents_fault() -> None:
    outcome = ended(a_game(), "[patch] sandbox")
    assert (outcome.valid, outcome.fault, outcome.reason) == (False, "environment", "no sandbox here")


def test_the_end_of_a_patch_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def judge(_: FakeJudge, patch: str) -> Verdict:
        seen.append(patch)
        return Verdict(True)

    monkeypatch.setattr(FakeJudge, "judge", judge)
    ended(a_game(), "[patch]\ndiff --git a/x b/x\n good\n \n")
    ended(a_game(), "[patch] diff --git a/x b/x")
    assert seen == ["diff --git a/x b/x\n good\n \n", "diff --git a/x b/x\n"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"setting": "some"}, "expected one of full, hidden, interactive"),
        ({"questions": 0}, "1 or more"),
        ({"only": ["1-roundin"]}, "did you mean '1-rounding'"),
    ],
)
def test_wrong_settings_are_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_game({"name": "issue", **settings})


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    for source in (str(tmp_path / "x"), f"quixbugs:{tmp_path}", f"ambig_swe:{tmp_path}"):
        with pytest.raises(DataError):
            build_game({"name": "issue", "issues": source})


# --- The issues that ship with Telic, judged by their own tests in the sandbox ---


GOLD = {
    "1-rounding": ("shop/prices.py", "int(amount * 100 + 0.5) / 100", "round(amount, 2)"),
    "2-discount": (
        "shop/prices.py",
        "    return round_price(price * (100",
        "    if not 0 <= percent <= 100:\n        raise ValueError(percent)\n    return round_price(price * (100",
    ),
    "3-average": (
        "shop/cart.py",
        "        return round_price(self.total() /",
        "        if not self.lines:\n            return 0.0\n        return round_price(self.total() /",
    ),
    "4-quantity": ("shop/orders.py", "text.strip()", 'text.strip().replace(",", "")'),
}
"""By issue: a change that resolves it."""


@pytest.mark.real_judge
@pytest.mark.skipif(sandbox_problem() is not None, reason=f"no sandbox: {sandbox_problem()}")
@pytest.mark.parametrize("issue", load_issues(""), ids=lambda issue: issue.id)
def test_a_right_patch_resolves_the_issue_and_an_empty_one_does_not(issue: Issue) -> None:
    path, old, new = GOLD[issue.id]
    text = (issue.repository / path).read_text()
    assert text.count(old) == 1
    outcome = ended(a_game(only=[issue.id]), f"[patch]\n{patch_of(path, text, text.replace(old, new))}")
    assert (outcome.success, outcome.reason) == (True, "the issue is resolved")
    assert ended(a_game(only=[issue.id]), "[patch]").success is False


def patch_of(path: str, old: str, new: str) -> str:
    lines = unified_diff(old.splitlines(True), new.splitlines(True), f"a/{path}", f"b/{path}")
    return f"diff --git a/{path} b/{path}\n" + "".join(lines)
