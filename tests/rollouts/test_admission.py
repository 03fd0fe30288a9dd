"""What a deadline admits: as much as fits, whole groups in their order, and nothing that is then left unfinished."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from telic.dialogue import Message
from telic.episodes import Episode
from telic.models import Request
from telic.progress import Deadline
from telic.rollouts.admission import Admission
from telic.rollouts.driver import ModelRequest, RequestGenerator, ask, drive
from tests.timed import Clock, Engine, Load

ROUNDS, WORDS = 8, 5
LOADS = {"parallel": Load(1.0, 0.0), "mixed": Load(0.5, 0.1), "saturated": Load(0.0, 0.5)}


def episode(model: Engine, number: int, rounds: int = ROUNDS) -> RequestGenerator[Episode]:
    for _ in range(rounds):
        said = (Message(role="user", content="word " * WORDS),)
        yield from ask(model, Request(said))
    return Episode(id=f"{number:04d}", kind="test", seed=0, roles={})


def play_for(
    minutes: float, load: Load, rounds: Sequence[int], groups: Sequence[int] | None = None, *, known: bool = True
) -> tuple[list[str], float]:
    """Return the ids of the episodes in the order in which they end, and the minutes that they took."""
    clock, ended = Clock(), list[str]()
    began, model = clock.now, Engine(clock, load)
    admission = Admission(Deadline(minutes, clock), groups or [1] * len(rounds), list(rounds) if known else None)
    drive(
        (episode(model, number, length) for number, length in enumerate(rounds)), [model], concurrency=32,
        on_episode=lambda episode: ended.append(episode.id), admission=admission,
    )  # fmt: skip
    assert len(ended) == admission.started, "what was started is finished"
    return ended, (clock.now - began) / 60


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("known", [True, False])
def test_the_time_is_used_and_hardly_exceeded(load: str, known: bool) -> None:
    ended, minutes = play_for(10, LOADS[load], [ROUNDS] * 2000, known=known)
    assert 0.7 * 10 <= minutes <= 1.1 * 10
    alone = ROUNDS * WORDS * (LOADS[load].fixed + LOADS[load].per_sequence) / 60
    assert len(ended) >= 10 / alone * (1 if load == "saturated" else 3) * 0.7, "a batch is filled where that pays"


@pytest.mark.parametrize("load", LOADS)
@pytest.mark.parametrize("minutes", [1.0, 2.0])
def test_a_short_limit_is_hardly_exceeded(load: str, minutes: float) -> None:
    """One episode takes 40, 24 or 20 s; four of them at once take 40, 36 or 80 s."""
    ended, taken = play_for(minutes, LOADS[load], [ROUNDS] * 2000)
    assert taken <= 1.1 * minutes
    assert len(ended) >= minutes


def test_a_limit_shorter_than_an_episode_plays_one() -> None:
    ended, _ = play_for(0.1, LOADS["mixed"], [ROUNDS] * 40)
    assert ended == ["0000"]


def test_what_starts_is_told_with_its_replies() -> None:
    clock, told = Clock(), list[int]()
    model = Engine(clock, LOADS["mixed"])
    admission = Admission(Deadline(0.1, clock), [2, 1], [ROUNDS, 3, ROUNDS], told.append)
    episodes = (episode(model, number, length) for number, length in enumerate([ROUNDS, 3, ROUNDS]))
    drive(episodes, [model], concurrency=32, on_episode=lambda _: None, admission=admission)
    assert told == [ROUNDS, 3]


def test_without_a_limit_all_are_played() -> None:
    clock = Clock()
    model, ended = Engine(clock, Load()), list[str]()
    admission = Admission(Deadline(None, clock), [1] * 40, [ROUNDS] * 40)
    episodes = (episode(model, number) for number in range(40))
    drive(episodes, [model], concurrency=7, on_episode=lambda one: ended.append(one.id), admission=admission)
    assert len(ended) == 40
    assert model.most == 7


def test_long_episodes_are_not_left_out() -> None:
    """Which are played is their order alone; by length, a deadline would keep the short ones."""
    rounds = [2, 30] * 300
    for known in (True, False):
        ended, _ = play_for(10, LOADS["mixed"], rounds, known=known)
        assert 10 < len(ended) < 600
        assert sorted(ended) == [f"{number:04d}" for number in range(len(ended))]


@pytest.mark.parametrize("minutes", [0.01, 1, 4, 9])
def test_a_group_is_played_as_a_whole(minutes: float) -> None:
    groups = [7] * 40
    ended, _ = play_for(minutes, LOADS["saturated"], [ROUNDS] * 280, groups)
    assert len(ended) % 7 == 0
    assert len(ended) >= 7, "the first group is played whatever the time"
    if minutes == 9:
        assert len(ended) > 7


def test_the_rest_of_a_group_that_a_resumed_run_lacks_is_a_group() -> None:
    ended, _ = play_for(0.01, LOADS["saturated"], [ROUNDS] * 12, [5, 7])
    assert sorted(ended) == [f"{number:04d}" for number in range(5)]


def test_a_machine_that_gets_slower_gets_less_to_do() -> None:
    clock = Clock()
    began, model, ended = clock.now, Engine(clock, Load(0.0, 0.1)), list[str]()
    admission = Admission(Deadline(10, clock), [1] * 2000, [ROUNDS] * 2000)

    def slower(one: Episode) -> None:
        ended.append(one.id)
        if clock.now - began > 200:
            model.load = Load(0.0, 0.3)

    episodes = (episode(model, number) for number in range(2000))
    drive(episodes, [model], concurrency=8, on_episode=slower, admission=admission)
    assert 0.8 * 600 <= clock.now - began <= 1.1 * 600


def test_episodes_of_several_requests_at_a_time_are_counted_by_their_replies() -> None:
    clock, ended = Clock(), list[str]()
    began, model = clock.now, Engine(clock, Load(0.5, 0.1))

    def branching(number: int) -> RequestGenerator[Episode]:
        for _ in range(ROUNDS):
            yield [ModelRequest(model, Request((Message(role="user", content="word " * WORDS),))) for _ in range(3)]
            yield []
            yield []
        return Episode(id=f"{number:04d}", kind="test", seed=0, roles={})

    admission = Admission(Deadline(10, clock), [1] * 2000, [3 * ROUNDS] * 2000)
    episodes = (branching(number) for number in range(2000))
    drive(episodes, [model], concurrency=32, on_episode=lambda one: ended.append(one.id), admission=admission)
    assert 0.6 * 600 <= clock.now - began <= 1.1 * 600
    assert sorted(ended) == [f"{number:04d}" for number in range(len(ended))]
