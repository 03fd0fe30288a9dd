"""The time until which work is started."""

from __future__ import annotations

import math

import pytest

from telic.errors import ConfigError
from telic.progress import Deadline, Shortfall, forecast_sentence
from tests.timed import Clock


def test_a_phase_gets_a_share_of_what_is_left() -> None:
    clock = Clock()
    deadline = Deadline(2, clock)
    assert deadline.remaining == 120
    clock.now += 20
    phase = deadline.part(0.25)
    assert (phase.remaining, phase.minutes, phase.limited) == (25, 2, True)
    clock.now += 150
    assert deadline.remaining == -50
    assert deadline.part(0.5).remaining == 0


def test_without_a_limit_there_is_always_time() -> None:
    assert Deadline().remaining == Deadline().part(0.1).remaining == math.inf
    assert not Deadline().part(0.1).limited


@pytest.mark.parametrize("minutes", [0, -1.5, math.nan, math.inf])
def test_a_limit_is_a_positive_number(minutes: float) -> None:
    with pytest.raises(ConfigError, match=r"minutes is .*; expected a number greater than 0"):
        Deadline(minutes)


def test_a_shortfall_says_what_was_finished() -> None:
    assert str(Shortfall.of(2, dialogues=(14, 32))) == "--minutes 2: finished 14 of 32 dialogues"
    both = Shortfall.of(0.5, tuning_dialogues=(12, 12), dialogues=(3, 24))
    assert str(both) == "--minutes 0.5: finished 12 of 12 tuning dialogues, 3 of 24 dialogues"
    assert both is not None
    assert both.unfinished == "3 of 24 dialogues"
    assert Shortfall.from_dict(both.as_dict()) == both
    assert Shortfall.of(None, dialogues=(14, 32)) is None
    assert Shortfall.of(2, dialogues=(32, 32)) is None


@pytest.mark.parametrize(
    ("seconds", "sentence"),
    [
        (360, "About 6 min for 32 dialogues; --minutes 2 would give about 10."),
        (125, "About 2 min for 32 dialogues; --minutes 1 would give about 15."),
        (30000, "About 8 h 20 min for 32 dialogues; --minutes 240 would give about 15."),
    ],
)
def test_a_forecast_says_what_a_limit_would_give(seconds: float, sentence: str) -> None:
    assert forecast_sentence(seconds, 32, "dialogues") == sentence
