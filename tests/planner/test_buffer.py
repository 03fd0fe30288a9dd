"""The buffer: from arrays and episodes, and its returns."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from telic.episodes import Episode, Turn
from telic.errors import ConfigError, DataError, Failure
from telic.planner.buffer import TENSORS, Transitions


def buffer(lengths: tuple[int, ...] = (3, 2), name: str = "e", **over: Any) -> Transitions:
    """Episodes of some lengths; every number in it tells where it stands."""
    n = sum(lengths)
    ends = np.cumsum(lengths) - 1
    fields: dict[str, Any] = {
        "states": np.arange(n * 4, dtype=np.float32).reshape(n, 4),
        "actions": np.arange(n * 2, dtype=np.float32).reshape(n, 2) / 10,
        "rewards": np.arange(1, n + 1, dtype=np.float32),
        "next_states": np.arange(n * 4, dtype=np.float32).reshape(n, 4) + 4,
        "terminals": np.isin(np.arange(n), ends),
        "episodes": [f"{name}{e}" for e, length in enumerate(lengths) for _ in range(length)],
    }
    return Transitions.from_arrays(**{**fields, **over})


def same(a: Transitions, b: Transitions) -> bool:
    return a.episodes == b.episodes and all(torch.equal(getattr(a, name), getattr(b, name)) for name in TENSORS)


def test_defaults_are_no_clone_and_equal_weights() -> None:
    data = buffer()
    assert data.sizes == (4, 2)
    assert not data.clones.any()
    assert data.weights.tolist() == data.steps.tolist() == [1] * 5
    assert buffer(episodes=None).episodes == ("0", "0", "0", "1", "1")


def test_the_clones_next_action_is_that_of_the_next_transition() -> None:
    clones = np.arange(10, dtype=np.float32).reshape(5, 2)
    data = buffer(clones=clones)
    live = ~data.terminals
    assert torch.equal(data.next_clones[live], data.clones[1:][live[:-1]])
    with pytest.raises(DataError, match="'e1' ends without a terminal transition"):
        buffer(clones=clones, terminals=np.array([0, 0, 1, 0, 0]))


@pytest.mark.parametrize(
    ("over", "message"),
    [
        ({"states": np.full((5, 4), np.nan)}, "states of transition 0 are not finite"),
        ({"rewards": [1.0, 2.0, float("inf"), 0.0, 0.0]}, "rewards of transition 2 are not finite"),
        ({"actions": np.zeros((4, 2))}, r"actions have the shape \[4, 2\]; expected \[5, 2\]"),
        ({"rewards": np.zeros((5, 1))}, r"rewards have the shape \[5, 1\]; expected \[5\]"),
        ({"next_states": np.zeros((5, 3))}, r"next_states have the shape \[5, 3\]"),
        ({"clones": np.zeros((5, 3))}, r"clones have the shape \[5, 3\]"),
        ({"states": np.zeros(5)}, r"states have the shape \[5\]"),
        ({"states": [["a"]] * 5}, "states are not numbers"),
        ({"episodes": ["a", "b", "a", "b", "b"]}, "episode 'a' are not consecutive"),
        ({"episodes": ["a"] * 4}, "4 episode ids for 5 transitions"),
        ({"terminals": [1, 0, 1, 0, 1]}, "transition 0 is terminal, but its episode continues"),
        ({"weights": [1, 1, -1, 1, 1]}, "a weight is below 0"),
    ],
)
def test_wrong_arrays_are_refused(over: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        buffer(**over)


def test_returns_to_go_stop_at_the_end_of_an_episode() -> None:
    data = buffer((3, 2))  # rewards 1 2 3, 4 5
    assert data.return_to_go(1.0).tolist() == [6, 5, 3, 9, 5]
    torch.testing.assert_close(data.return_to_go(0.5), torch.tensor([2.75, 3.5, 3.0, 6.5, 5.0]))


def test_advantages_are_over_the_same_round() -> None:
    data = buffer((3, 2))
    advantages = data.advantages(1.0)
    assert advantages.tolist() == [-1.5, 0.0, 0.0, 1.5, 0.0]


def test_n_step_transitions_reach_over_several_rounds() -> None:
    data = buffer((3, 2), clones=np.arange(10).reshape(5, 2))
    two = data.n_step(2, gamma=0.5)
    assert two.rewards.tolist() == [2.0, 3.5, 3.0, 6.5, 5.0]
    assert two.steps.tolist() == [2, 2, 1, 2, 1]
    assert two.terminals.tolist() == [False, True, True, True, True]
    assert torch.equal(two.next_states[0], data.next_states[1])
    assert torch.equal(two.next_clones[0], data.clones[2])
    assert same(data.n_step(1, gamma=0.5), data)
    with pytest.raises(ConfigError, match="n-step"):
        two.return_to_go(1.0)
    with pytest.raises(ConfigError, match="n is 0"):
        data.n_step(0, 0.5)


def test_samples_follow_from_the_seed() -> None:
    data = buffer((3, 2, 4))

    def draw(seed: int) -> list[float]:
        return data.sample(64, torch.Generator().manual_seed(seed)).rewards.tolist()

    assert draw(0) == draw(0) != draw(1)
    assert set(draw(0)) == set(range(1, 10))  # all are drawn
    batch = data.sample(32, torch.Generator().manual_seed(2))
    torch.testing.assert_close(batch.states[:, 0], 4 * (batch.rewards - 1))  # rows stay together


def test_a_frozen_clone_is_asked_once_for_all_states() -> None:
    data = buffer().with_clone(lambda states: states[:, :2] * 2)
    assert torch.equal(data.clones, data.states[:, :2] * 2)
    assert torch.equal(data.next_clones, data.next_states[:, :2] * 2)


def played(name: str, rewards: list[float], *, size: int = 4, clone: bool = True) -> Episode:
    """An episode in which the agent's turns carry states and actions, and the customer earns it something as well."""
    turns = []
    for number, reward in enumerate(rewards):
        readings: dict[str, Any] = {"state": [float(number)] * size, "action": [0.5, -float(number)]}
        readings |= {"clone": [0.25, float(number)]} if clone else {}
        turns += [
            Turn(role="agent", round=number + 1, text="Where to?", reward={"agent": reward}, readings=readings),
            Turn(role="customer", round=number + 1, text="Rome.", reward={"agent": 0.5, "customer": 9.0}),
        ]
    roles: dict[str, dict[str, Any]] = {"agent": {}, "customer": {}}
    return Episode(id=name, kind="game", seed=0, roles=roles, turns=turns, metadata={"agent": "agent"})


def test_from_episodes() -> None:
    broken = played("b", [1.0])
    broken.failure = Failure("model", "unreachable", "gone")
    data = Transitions.from_episodes([played("a", [1.0, 2.0]), broken, played("c", [3.0])])
    assert data.episodes == ("a", "a", "c")
    assert data.rewards.tolist() == [1.5, 2.5, 3.5]  # with what the partner's turn earned it
    assert data.terminals.tolist() == [False, True, True]
    assert data.states[:, 0].tolist() == [0, 1, 0]
    assert data.next_states[0, 0] == 1
    assert data.actions[1].tolist() == [0.5, -1.0]
    assert data.clones[1].tolist() == data.next_clones[0].tolist() == [0.25, 1.0]


def test_what_an_episodes_end_is_worth_goes_to_its_last_reward() -> None:
    data = Transitions.from_episodes([played("a", [0.0, 0.0])], final=lambda episode: len(episode.turns))
    assert data.rewards.tolist() == [0.5, 4.5]
    assert Transitions.from_episodes([played("a", [1.0])], role="agent").rewards.tolist() == [1.5]


def test_wrong_episodes_are_named() -> None:
    with pytest.raises(DataError, match="nothing to learn from"):
        Transitions.from_episodes([played("a", [1.0])], role="customer")
    with pytest.raises(DataError, match="'b' has states and actions of sizes"):
        Transitions.from_episodes([played("a", [1.0]), played("b", [1.0], size=5)])
    odd = played("odd", [1.0, 1.0])
    odd.turns[2].readings["state"] = [1.0, float("nan"), 0.0, 0.0]
    with pytest.raises(DataError, match="state of turn 2 of episode 'odd'"):
        Transitions.from_episodes([odd])
    odd.turns[2].readings["state"] = [1.0]
    with pytest.raises(DataError, match="'odd': states or actions of its turns differ in length"):
        Transitions.from_episodes([odd])
    odd.turns[2].readings["state"] = "words"
    with pytest.raises(DataError, match="is not a list of numbers"):
        Transitions.from_episodes([odd])


def test_some_turns_without_a_clones_action_are_refused() -> None:
    episode = played("a", [1.0, 1.0])
    del episode.turns[0].readings["clone"]
    with pytest.raises(DataError, match="some turns have a clone's action"):
        Transitions.from_episodes([episode])


def test_the_fingerprint_tells_buffers_apart() -> None:
    data = buffer()
    changed = buffer(rewards=[1, 2, 3, 4, 5.001])
    assert data.fingerprint == buffer().fingerprint
    assert len({data.fingerprint, changed.fingerprint, buffer(name="x").fingerprint}) == 3
