"""Caps on the influence of single users, so that a few loud ones do not decide what is learnt.

The influence of a user is the sum of the absolute rewards that were inferred from what the user said and did. A user
with more than a share of all influence has all rewards scaled down to it. A cap bounds what one account can do, not
what many accounts do that agree: those are reported where they contradict the others.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from telic.episodes import Episode, Turn, assistant_role
from telic.errors import ConfigError

__all__ = ["InfluenceOutlier", "InfluenceReport", "cap_influence"]

LEAST_REWARDS = 8
"""Rewards of a user from which its agreement with the others is computed."""
OF_FEW = 3.0
"""Multiple of an equal share that a user may have in any case."""
CONTRARY = -0.2
"""Agreement below which a user contradicts the others."""


@dataclass(frozen=True, slots=True)
class InfluenceOutlier:
    """A user who stands out."""

    user: str
    share: float
    """Share in all influence, before the cap."""
    factor: float
    """What the user's rewards were multiplied by; 1 if the cap did not apply."""
    agreement: float | None
    """Correlation of the user's rewards with the mean rewards that others gave for the same acts, from -1 to 1. None if
    the user gave too few."""


@dataclass(frozen=True)
class InfluenceReport:
    """Labelled episodes in which no user has more than a share of the influence."""

    episodes: tuple[Episode, ...]
    outliers: tuple[InfluenceOutlier, ...]
    """Users whose rewards were scaled down, and users who contradict the others; the loudest first."""

    def as_dicts(self) -> list[dict[str, Any]]:
        """Return the outliers as plain data."""
        return [asdict(one) for one in self.outliers]


def cap_influence(episodes: Iterable[Episode], share: float) -> InfluenceReport:
    """Scale down the rewards of users who have more than a share of the influence.

    Episodes without a user count as one user each. Where few users gave feedback, each may have three times an equal
    share: an equal share for everyone would scale all down to the quietest.

    Args:
        episodes: labelled episodes.
        share: maximum share of one user in all influence, above 0 and at most 1.

    Raises:
        ConfigError: the share is out of range.
    """
    if not 0 < share <= 1:
        raise ConfigError(f"share is {share!r}; expected a number above 0 and at most 1")
    episodes = tuple(episodes)
    influence: defaultdict[str, float] = defaultdict(float)
    for episode in episodes:
        influence[_user(episode)] += sum(map(abs, _rewards(episode).values()))
    loud = {user: amount for user, amount in influence.items() if amount > 0}
    total = sum(loud.values())
    factors = _factors(loud, share)
    agreement = _agreement(episodes)
    outliers = [
        InfluenceOutlier(user, amount / total, factors[user], agreement.get(user))
        for user, amount in sorted(loud.items(), key=lambda item: -item[1])
        if factors[user] < 1 or agreement.get(user, 0.0) < CONTRARY
    ]
    scaled = tuple(_scaled(episode, factors.get(_user(episode), 1.0)) for episode in episodes)
    return InfluenceReport(scaled, tuple(outliers))


def _user(episode: Episode) -> str:
    return str(episode.metadata.get("user") or f"\0{episode.id}")  # a user's own name never begins with NUL


def _rewards(episode: Episode) -> dict[int, float]:
    """The rewards of replies that have one, by index."""
    role = assistant_role(episode)
    return {
        index: turn.reward[role]
        for index, turn in enumerate(episode.turns)
        if turn.role == role and turn.reward.get(role, 0.0)
    }


def _factors(loud: Mapping[str, float], share: float) -> dict[str, float]:
    """Find the factor of each user, so that nobody has more than the share of what is left."""
    if not loud:
        return {}
    share = max(share, OF_FEW / len(loud))
    if share >= 1:
        return dict.fromkeys(loud, 1.0)
    amounts = sorted(loud.values(), reverse=True)
    rest, limit = sum(amounts), math.inf
    for capped, amount in enumerate(amounts):
        # With the `capped` loudest at the limit, the limit is share * (capped * limit + rest).
        limit = share * rest / (1 - share * capped) if share * capped < 1 - 1e-9 else amounts[-1]
        if amount <= limit:
            break
        rest -= amount
    return {user: min(1.0, limit / amount) for user, amount in loud.items()}


def _agreement(episodes: Iterable[Episode]) -> dict[str, float]:
    """Correlate the rewards of each user with what the others gave for the same acts; each of them has one voice."""
    given: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for episode in episodes:
        for index, reward in _rewards(episode).items():
            given[_user(episode)].append((_act(episode.turns[index]), reward))
    means = {user: _means(pairs) for user, pairs in given.items()}
    by_act: defaultdict[str, list[float]] = defaultdict(list)
    for own in means.values():
        for act, value in own.items():
            by_act[act].append(value)
    found = {}
    for user, pairs in given.items():
        others = [
            (reward, (sum(by_act[act]) - means[user][act]) / (len(by_act[act]) - 1))
            for act, reward in pairs
            if len(by_act[act]) > 1
        ]
        if len(others) >= LEAST_REWARDS and (correlation := _correlation(others)) is not None:
            found[user] = correlation
    return found


def _means(pairs: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Compute the mean reward of each act."""
    rewards: defaultdict[str, list[float]] = defaultdict(list)
    for act, reward in pairs:
        rewards[act].append(reward)
    return {act: sum(values) / len(values) for act, values in rewards.items()}


def _act(turn: Turn) -> str:
    """What was done: the planner's act if it is known, else whether something was asked."""
    return str(turn.readings.get("act") or ("asks" if "?" in turn.text else "says"))


def _correlation(pairs: list[tuple[float, float]]) -> float | None:
    n = len(pairs)
    mean_x, mean_y = sum(x for x, _ in pairs) / n, sum(y for _, y in pairs) / n
    xx, yy = sum((x - mean_x) ** 2 for x, _ in pairs), sum((y - mean_y) ** 2 for _, y in pairs)
    if xx < 1e-12 or yy < 1e-12:
        return None
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / math.sqrt(xx * yy)


def _scaled(episode: Episode, factor: float) -> Episode:
    if factor == 1:
        return episode
    role = assistant_role(episode)

    def changed(turn: Turn) -> Turn:
        if turn.role != role or role not in turn.reward:
            return turn
        return_to_go = None if turn.return_to_go is None else factor * turn.return_to_go
        reward = {**turn.reward, role: factor * turn.reward[role]}
        return turn.model_copy(update={"reward": reward, "return_to_go": return_to_go})

    return episode.model_copy(update={"turns": [changed(turn) for turn in episode.turns]})
