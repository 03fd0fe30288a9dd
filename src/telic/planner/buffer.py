"""The replay buffer: transitions of played episodes. `store` keeps them in a folder.

Shapes: N transitions, B batch, D state, A action. Transitions of an episode are consecutive, in order of play.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import groupby, pairwise
from typing import Any

import numpy as np
import torch

from telic.episodes import Episode
from telic.errors import ConfigError, DataError

__all__ = ["TENSORS", "Batch", "Transitions"]

BLOCK = 4096
"""States that a clone reads at once."""


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of transitions for one update. Tensors are float32 unless stated otherwise."""

    states: torch.Tensor
    """[B, D]: the last hidden state of the history, before the utterance."""
    actions: torch.Tensor
    """[B, A]: the action that was taken."""
    rewards: torch.Tensor
    """[B]: the reward until the next state."""
    next_states: torch.Tensor
    """[B, D]; ignored where the transition is terminal."""
    terminals: torch.Tensor
    """bool [B]: whether the episode ended with the transition."""
    clones: torch.Tensor
    """[B, A]: the action of the frozen clone in the state; 0 without a clone."""
    next_clones: torch.Tensor
    """[B, A]: the action of the clone in the next state."""
    weights: torch.Tensor
    """[B]: weights of the critic's errors."""
    steps: torch.Tensor
    """[B]: rounds from the state to the next state; above 1 only after `Transitions.n_step`."""

    def __len__(self) -> int:
        return len(self.rewards)


TENSORS = tuple(f.name for f in fields(Batch))
"""Names of the tensors of a batch."""
_PER_STATE, _PER_ACTION = frozenset({"states", "next_states"}), frozenset({"actions", "clones", "next_clones"})


@dataclass(frozen=True, slots=True)
class Transitions(Batch):
    """All transitions of a buffer, validated.

    Raises:
        DataError: shapes do not fit each other, a number is not finite, the transitions of an episode are not
            consecutive, or one before the last is terminal.
    """

    episodes: tuple[str, ...]
    """The id of the episode of each transition, N in all."""

    def __post_init__(self) -> None:
        if self.states.ndim != 2 or self.actions.ndim != 2 or not len(self.states):
            raise DataError(
                f"states have the shape {_shape(self.states)} and actions {_shape(self.actions)}; expected [N, D] and "
                "[N, A] with at least one transition"
            )
        n, (state_size, action_size) = len(self.states), (self.states.shape[1], self.actions.shape[1])
        for name in TENSORS:
            tensor = getattr(self, name)
            width = (state_size,) if name in _PER_STATE else (action_size,) if name in _PER_ACTION else ()
            if tensor.shape != (n, *width):
                raise DataError(f"{name} have the shape {_shape(tensor)}; expected {[n, *width]}")
            finite = tensor.isfinite().reshape(n, -1).all(dim=1)
            if not finite.all():
                first = int((~finite).nonzero()[0])
                raise DataError(f"{name} of transition {first} are not finite; expected numbers, no NaN or infinity")
        self._check_episodes()

    def _check_episodes(self) -> None:
        if len(self.episodes) != len(self):
            raise DataError(
                f"there are {len(self.episodes)} episode ids for {len(self)} transitions; expected one for each"
            )
        runs = [name for name, _ in groupby(self.episodes)]
        if len(runs) > len(set(runs)):
            torn = next(name for name in runs if runs.count(name) > 1)
            raise DataError(f"the transitions of episode {torn!r} are not consecutive; sort them by episode and round")
        if (self.weights < 0).any() or (self.steps < 1).any():
            raise DataError("a weight is below 0, or a number of steps is below 1")
        first, last = torch.arange(len(self), device=self.steps.device), self._last()
        early = (self.terminals & (first + self.steps.long() <= last)).nonzero()
        if len(early):
            raise DataError(f"transition {int(early[0])} is terminal, but its episode continues after it")

    @classmethod
    def from_arrays(
        cls,
        states: Any,
        actions: Any,
        rewards: Any,
        next_states: Any,
        terminals: Any,
        *,
        clones: Any = None,
        next_clones: Any = None,
        weights: Any = None,
        steps: Any = None,
        episodes: Sequence[str] | None = None,
    ) -> Transitions:
        """Make a buffer from arrays (anything that numpy or torch takes).

        Defaults: no clone (zeros), weights and steps of 1, and a new episode after each terminal transition. By default
        `next_clones` is the clone's action in the next transition of the same episode.

        Raises:
            DataError: see the class; or an episode ends without a terminal transition and `next_clones` is missing.
        """
        given = {"states": states, "actions": actions, "rewards": rewards, "next_states": next_states}
        given |= {"clones": clones, "next_clones": next_clones, "weights": weights, "steps": steps}
        made = {name: _float(value, name) for name, value in given.items() if value is not None}
        made["terminals"] = torch.as_tensor(terminals).bool()
        made.setdefault("weights", torch.ones_like(made["rewards"]))
        made.setdefault("steps", torch.ones_like(made["rewards"]))
        made.setdefault("clones", torch.zeros_like(made["actions"]))
        if episodes is None:
            ended = made["terminals"].flatten().cumsum(0) - made["terminals"].flatten().long()
            episodes = [str(number) for number in ended.tolist()]
        derived = "next_clones" not in made
        made.setdefault("next_clones", made["clones"].roll(-1, 0))
        data = cls(**made, episodes=tuple(episodes))
        broken = data._ends() & ~data.terminals
        if derived and clones is not None and broken.any():
            raise DataError(
                f"episode {data.episodes[int(broken.nonzero()[0])]!r} ends without a terminal transition, so the "
                "clone's action in its last next state is unknown; pass next_clones"
            )
        return data

    @classmethod
    def from_episodes(
        cls, episodes: Iterable[Episode], *, role: str | None = None, final: Callable[[Episode], float] | None = None
    ) -> Transitions:
        """Make a buffer from played episodes whose turns carry the planner's state and action.

        A turn of the role counts if its `readings` have `state` and `action` (and optionally `clone`). Its reward is
        what the role earned from this turn until its next one that counts. Failed episodes and episodes without such a
        turn are left out. All others count as terminated after their last turn.

        Args:
            episodes: the episodes.
            role: the role whose turns count; by default the role under test.
            final: computes a reward for the end of an episode, such as a judge's score, which is added to the last one.

        Raises:
            DataError: no episode is left, or a turn does not fit the others; the message names it.
        """
        parts = [part for e in episodes if e.failure is None and (part := _of_episode(e, role, final)) is not None]
        if not parts:
            raise DataError(
                "no episode has a turn with a state and an action in its readings, so there is nothing to learn from"
            )
        return cls.concat(parts)

    @classmethod
    def concat(cls, parts: Sequence[Transitions]) -> Transitions:
        """Concatenate buffers.

        Raises:
            DataError: their sizes differ, or they share an episode.
        """
        for part in parts[1:]:
            if part.sizes != parts[0].sizes:
                raise DataError(
                    f"episode {part.episodes[0]!r} has states and actions of sizes {part.sizes}; those before it have "
                    f"{parts[0].sizes}"
                )
        tensors = {name: torch.cat([getattr(part, name) for part in parts]) for name in TENSORS}
        return cls(**tensors, episodes=tuple(name for part in parts for name in part.episodes))

    @property
    def sizes(self) -> tuple[int, int]:
        """D and A."""
        return self.states.shape[1], self.actions.shape[1]

    def batch(self, index_B: torch.Tensor) -> Batch:
        """Select the transitions at these indices."""
        return Batch(*(getattr(self, name)[index_B] for name in TENSORS))

    def sample(self, size: int, generator: torch.Generator) -> Batch:
        """Draw transitions uniformly, with replacement."""
        return self.batch(torch.randint(len(self), (size,), generator=generator, device=generator.device))

    def to(self, device: str | torch.device) -> Transitions:
        """Copy the buffer to another device."""
        return replace(self, **{name: getattr(self, name).to(device) for name in TENSORS})

    def with_clone(self, clone: Callable[[torch.Tensor], torch.Tensor]) -> Transitions:
        """Store the actions of a frozen clone in every state.

        Args:
            clone: maps states [B, D] to actions [B, A].
        """

        @torch.no_grad()
        def actions_of(states_N_D: torch.Tensor) -> torch.Tensor:
            return torch.cat([clone(block_B_D).float() for block_B_D in torch.split(states_N_D, BLOCK)])

        return replace(self, clones=actions_of(self.states), next_clones=actions_of(self.next_states))

    def return_to_go(self, gamma: float) -> torch.Tensor:
        """Compute the discounted return from each transition to the end of its episode: float32 [N].

        Raises:
            ConfigError: the transitions are n-step transitions.
        """
        if (self.steps != 1).any():
            raise ConfigError("these are n-step transitions, whose rewards overlap; compute the returns before n_step")
        returns, ends = self.rewards.double().tolist(), self._ends().tolist()
        for i in range(len(returns) - 2, -1, -1):
            returns[i] += 0.0 if ends[i] else gamma * returns[i + 1]
        return torch.tensor(returns, dtype=torch.float32, device=self.rewards.device)

    def advantages(self, gamma: float) -> torch.Tensor:
        """Compute the return to go minus its mean over all transitions of the same round: float32 [N]."""
        returns_N, place_N = self.return_to_go(gamma), self._places()
        count = torch.bincount(place_N)
        mean = torch.zeros(len(count), device=returns_N.device).index_add(0, place_N, returns_N) / count
        return returns_N - mean[place_N]

    def n_step(self, n: int, gamma: float) -> Transitions:
        """Make transitions over up to n rounds, with their discounted reward and the state after them."""
        if n < 1:
            raise ConfigError(f"n is {n!r}; expected 1 or more")
        if (self.steps != 1).any():
            raise ConfigError("these are n-step transitions already")
        first = torch.arange(len(self), device=self.rewards.device)
        last = torch.minimum(first + n - 1, self._last())
        rewards = torch.zeros_like(self.rewards)
        for k in range(n):
            there = first + k <= last
            rewards[there] += gamma**k * self.rewards[first[there] + k]
        later = {name: getattr(self, name)[last] for name in ("next_states", "terminals", "next_clones")}
        return replace(self, rewards=rewards, steps=(last - first + 1).float(), **later)

    @property
    def fingerprint(self) -> str:
        """The first 16 digits of a hash of all tensors and episode ids."""
        digest = hashlib.sha256(json.dumps(self.episodes).encode())
        for name in TENSORS:
            tensor = getattr(self, name).cpu().contiguous()
            digest.update(f"{name} {_shape(tensor)}".encode() + memoryview(tensor.numpy()).cast("B"))
        return digest.hexdigest()[:16]

    def _ends(self) -> torch.Tensor:
        """Whether each transition is the last of its episode: bool [N]."""
        ends = [a != b for a, b in pairwise(self.episodes)]
        return torch.tensor([*ends, True], device=self.rewards.device)

    def _last(self) -> torch.Tensor:
        """Index of the last transition of each transition's episode: int64 [N]."""
        ends = self._ends().nonzero().squeeze(1)
        return ends[torch.searchsorted(ends, torch.arange(len(self), device=ends.device))]

    def _places(self) -> torch.Tensor:
        """Index of each transition within its episode, from 0: int64 [N]."""
        places = [place for _, run in groupby(self.episodes) for place, _ in enumerate(run)]
        return torch.tensor(places, device=self.rewards.device)


def _of_episode(episode: Episode, role: str | None, final: Callable[[Episode], float] | None) -> Transitions | None:
    """Make the transitions of one episode; None if no turn counts."""
    role = role or str(episode.metadata.get("agent", next(iter(episode.roles), "")))
    rows: dict[str, list[Any]] = {"state": [], "action": [], "clone": []}
    rewards: list[float] = []
    for number, turn in enumerate(episode.turns):
        if turn.role == role and {"state", "action"} <= turn.readings.keys():
            for name, values in rows.items():
                if name in turn.readings:
                    values.append(_vector(turn.readings[name], f"{name} of turn {number} of episode {episode.id!r}"))
            rewards.append(0.0)
        if rewards:
            rewards[-1] += turn.reward.get(role, 0.0)
    if not rewards:
        return None
    if final is not None:
        rewards[-1] += final(episode)
    if 0 < len(rows["clone"]) < len(rewards):
        raise DataError(f"episode {episode.id!r}: some turns have a clone's action and others do not")
    try:
        states, actions = np.stack(rows["state"]), np.stack(rows["action"])
        clones = np.stack(rows["clone"]) if rows["clone"] else None
    except ValueError:
        raise DataError(f"episode {episode.id!r}: states or actions of its turns differ in length") from None
    terminals = np.arange(len(rewards)) == len(rewards) - 1
    next_states = np.roll(states, -1, axis=0)
    return Transitions.from_arrays(
        states, actions, rewards, next_states, terminals, clones=clones, episodes=[episode.id] * len(rewards)
    )


def _vector(value: Any, what: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    try:
        vector = np.asarray(value, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise DataError(f"the {what} is not a list of numbers: {error}") from None
    if vector.ndim != 1 or not np.isfinite(vector).all():
        raise DataError(f"the {what} has the shape {list(vector.shape)} or is not finite; expected a finite vector")
    return vector


def _float(value: Any, name: str) -> torch.Tensor:
    try:
        return torch.as_tensor(value).to(torch.float32)
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{name} are not numbers: {error}") from None


def _shape(tensor: torch.Tensor) -> list[int]:
    return list(tensor.shape)
