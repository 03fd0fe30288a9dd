"""The measures of issues resolved in dialogue, on episodes whose figures can be worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from telic.assistants.pairing.measures import measure_pairing, recovered_gap
from telic.episodes import Episode
from telic.errors import Failure


def played(issue: str, resolved: bool, setting: str = "interactive", **details: Any) -> Episode:
    counted = {
        "issue": issue, "setting": setting, "missing": setting != "full", "questions": 0, "answered": 0,
        "missed_question": False, "user_words": 0, "read_words": 0, "regressions": 0, **details,
    }  # fmt: skip
    outcome = {"valid": True, "success": resolved, "details": counted}
    return Episode(id=issue, kind="issue", seed=0, roles={}, outcome=outcome)


def rates(setting: str, *resolved: bool) -> list[Episode]:
    return [played(f"issue-{number}", one, setting) for number, one in enumerate(resolved)]


def test_each_measure_counts_the_episodes_that_it_is_about() -> None:
    measured = measure_pairing(
        [
            played("a", True, questions=2, answered=1, user_words=10, read_words=20),
            played("b", False, missed_question=True, regressions=3),
            played("c", True, "full", questions=1),
            played("d", True, "full"),
        ]
    )
    assert measured.resolved.value == 0.75
    assert measured.regressions.value == 0.25
    assert measured.questions.value == 0.75
    assert (measured.false_questions.value, measured.false_questions.n) == (0.5, 2)
    assert (measured.missed_questions.value, measured.missed_questions.n) == (0.5, 2)
    assert (measured.answered.value, measured.answered.n) == (0.25, 2)
    assert measured.user_words.value == 7.5


def test_trials_of_one_issue_are_one_unit() -> None:
    measured = measure_pairing([played("a", True), played("a", True), played("a", False), played("b", False)])
    assert measured.resolved.value == pytest.approx(1 / 3)
    assert measured.resolved.n == 2


def test_what_failed_for_other_reasons_is_counted_and_left_out() -> None:
    broken = played("b", False).model_copy(update={"failure": Failure("model", "unreachable", "gone")})
    invalid = Episode(id="c", kind="issue", seed=0, roles={}, outcome={"valid": False, "fault": "environment"})
    measured = measure_pairing([played("a", True), broken, invalid])
    assert (measured.resolved.value, measured.resolved.n, measured.failed) == (1.0, 1, 2)


def test_the_recovered_gap_is_the_share_that_asking_brings_back() -> None:
    full = rates("full", *[True] * 8, False, False)
    hidden = rates("hidden", *[True] * 4, *[False] * 6)
    interactive = rates("interactive", *[True] * 7, *[False] * 3)
    gap = recovered_gap(full, hidden, interactive)
    assert gap.value == pytest.approx(0.75)
    assert gap.n == 10


def test_without_a_gap_nothing_can_be_recovered() -> None:
    same = [rates(setting, True, False) for setting in ("full", "hidden", "interactive")]
    assert recovered_gap(*same).value is None
    assert recovered_gap([], [], []).value is None
