"""How far a run has come, and how long the rest takes."""

from __future__ import annotations

import pytest

from telic.progress import Deadline, Phase, ProgressReport, ProgressTracker
from tests.timed import Clock


def tracked(
    clock: Clock, *phases: Phase, deadline: Deadline | None = None
) -> tuple[ProgressTracker, list[ProgressReport]]:
    told: list[ProgressReport] = []
    tracker = ProgressTracker(told.append, clock)
    tracker.start(phases=phases, forecast=lambda seconds: f"{seconds:.0f} seconds in all", deadline=deadline)
    return tracker, told


def spend(tracker: ProgressTracker, clock: Clock, units: int, seconds: float, tokens: int = 0) -> None:
    for _ in range(units):
        clock.now += seconds
        tracker.advance(1, tokens)


def test_the_time_left_includes_the_phases_to_come() -> None:
    clock = Clock()
    tracker, told = tracked(
        clock, Phase("tuning", "replies", 10), Phase("costs", "questions", 20, 0.5), Phase("comparing", "replies", 30)
    )
    tracker.begin("tuning")
    assert told[-1].left is None, "nothing was timed yet"
    spend(tracker, clock, 5, 2, tokens=7)
    assert (told[-1].phase, told[-1].done, told[-1].total, told[-1].tokens) == ("tuning", 5, 10, 35)
    assert told[-1].left == 5 * 2 + 20 * 0.5 * 2 + 30 * 2
    spend(tracker, clock, 5, 2)
    tracker.begin("costs")
    spend(tracker, clock, 10, 4)
    assert told[-1].left == 10 * 4 + 30 * 2, "each unit has the time that was measured for it"
    tracker.begin("comparing", 15)
    assert told[-1].left == 15 * 2, "what was left out is not to come, and the total may be another one"
    spend(tracker, clock, 15, 1)
    assert told[-1].left == 0


def test_the_time_left_is_never_more_than_the_limit_leaves() -> None:
    clock = Clock()
    tracker, told = tracked(clock, Phase("playing", "replies", 1000), deadline=Deadline(1, clock))
    tracker.begin("playing")
    spend(tracker, clock, 10, 3)
    assert told[-1].left == 30
    assert not any(report.notices for report in told)
    spend(tracker, clock, 20, 3)
    assert told[-1].left is None, "nobody knows how long what was started takes"
    said = [sentence for report in told for sentence in report.notices]
    assert said == ["The time limit is reached. Finishing what was started."]


def test_the_first_seconds_give_no_forecast() -> None:
    clock = Clock()
    tracker, told = tracked(clock, Phase("playing", "replies", 1000))
    tracker.begin("playing")
    spend(tracker, clock, 1, 6)
    assert told[-1].left is None, "the first reply waits for the whole first pass"
    spend(tracker, clock, 9, 1)
    assert told[-1].left == 990 * 1.5


def test_what_was_started_is_forecast_beyond_the_limit() -> None:
    clock = Clock()
    tracker, told = tracked(clock, Phase("playing", "replies", 1000), deadline=Deadline(1, clock))
    tracker.begin("playing")
    tracker.expect(15)
    spend(tracker, clock, 10, 3)
    assert told[-1].left == 30, "what fits is bounded by the limit"
    tracker.expect(35)
    spend(tracker, clock, 5, 3)
    assert told[-1].left == 35 * 3, "what was started takes longer than the limit"
    spend(tracker, clock, 5, 3)
    assert told[-1].left == 30 * 3
    said = [sentence for report in told for sentence in report.notices]
    assert said == ["The time limit is reached. Finishing what was started: about 2 min left."]


def test_the_share_of_a_phase_is_that_of_a_whole_run() -> None:
    clock = Clock()
    tracker, _ = tracked(clock, Phase("tuning", "replies", 10), Phase("costs", "questions", 60, 0.5))
    tracker.begin("tuning")
    assert tracker.share() == 10 / (10 + 60 * 0.5)
    spend(tracker, clock, 10, 1)
    tracker.begin("costs")
    assert tracker.share() == 1


@pytest.mark.parametrize(
    ("seconds", "expected"), [(2.0, ["200 seconds in all"]), (1.0, []), (30.0, ["3000 seconds in all"])]
)
def test_a_long_run_is_forecast_once(seconds: float, expected: list[str]) -> None:
    clock = Clock()
    tracker, told = tracked(clock, Phase("playing", "replies", 100))
    tracker.begin("playing")
    spend(tracker, clock, 100, seconds)
    notices = [(report.done, sentence) for report in told for sentence in report.notices]
    assert [sentence for _, sentence in notices] == expected
    assert all(done <= 10 for done, _ in notices), "before most of the time is gone"


def test_a_run_within_a_run_is_its_current_phase() -> None:
    clock = Clock()
    tracker, told = tracked(clock, Phase("natural", "episodes", 50), Phase("td3bc", "steps", 100, 0.1))
    tracker.begin("natural")
    inner = ProgressTracker(tracker.follow, clock)
    inner.start(phases=[Phase("playing", "episodes", 40)], warnings=["from within"])
    inner.begin("playing")
    spend(inner, clock, 4, 5, tokens=3)
    assert (told[-1].phase, told[-1].done, told[-1].total, told[-1].tokens) == ("natural", 4, 40, 12)
    assert told[-1].left == 36 * 5 + 100 * 0.5


def test_without_a_callback_nothing_is_reported() -> None:
    tracker = ProgressTracker()
    tracker.start(phases=[Phase("playing", "replies", 3)])
    tracker.begin("playing")
    tracker.advance()
    tracker.notify("hello")
    assert tracker.share() == 1
