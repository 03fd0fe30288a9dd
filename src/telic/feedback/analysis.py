"""The analysis of labelled conversations: satisfaction over time and by version, what was praised, what was blamed."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from telic.errors import ConfigError, DataError
from telic.feedback.clusters import Cluster, cluster_moments
from telic.feedback.influence import UserInfluence, outlying_users, weighted_sums
from telic.feedback.summaries import Conclusion, Moment
from telic.statistics import Interval, bootstrap_grouped, bootstrap_sums

__all__ = ["Analysis", "Estimate", "analyse_conclusions"]

KEPT = 3_000
"""Praised replies, and blamed ones, of which clusters are made: a random sample if there are more."""
TO_READ = 20
"""Replies that are listed to be read first."""
MANY, MANY_SHARE = 3, 0.1
"""Size of the largest group of complaints, and its share of the blamed replies, from which the headline names it."""
DAYS, WEEKS = 45, 300
"""Days up to which satisfaction is given by day, and by week; beyond, by month."""
DRAWS = 20_000_000
"""Draws of a bootstrap, which bounds its time: of many conversations there are fewer resamples."""


class Estimate(BaseModel):
    """Mean satisfaction of some conversations, with a 95 % interval over users."""

    model_config = ConfigDict(frozen=True)

    name: str
    """A period (`2026-11-27`, a week by its Monday, `2026-11`), or a version."""
    value: float | None
    low: float | None
    high: float | None
    conversations: int
    users: int

    @property
    def interval(self) -> Interval:
        """The estimate as an interval."""
        return Interval(self.value, self.low, self.high, self.users)


class Analysis(BaseModel):
    """What labelled conversations say. All quoted texts are data from users."""

    model_config = ConfigDict(frozen=True)

    headline: str
    conversations: int
    replies: int
    users: int
    satisfaction: Estimate
    by_time: list[Estimate]
    """Empty where times are unknown."""
    by_version: list[Estimate]
    """The version with most conversations first."""
    evidence: dict[str, int]
    """Number of pieces of evidence by source and cue."""
    praised: list[dict[str, Any]]
    """Clusters of praised replies (`Cluster.as_dict`)."""
    blamed: list[dict[str, Any]]
    """Clusters of blamed replies."""
    read_first: list[dict[str, Any]]
    """The replies with the clearest blame, one of each conversation (`Moment.as_dict`)."""
    skipped: int = 0
    """Conversations without a reply."""
    influence_cap: float | None = None
    """Largest share of a user in every estimate; None for none."""
    outlying: list[UserInfluence] = []
    """Users whose share or disagreement is outlying."""


def analyse_conclusions(
    conclusions: Iterable[Conclusion | None], resamples: int = 2000, seed: int = 0, influence_cap: float | None = None
) -> Analysis:
    """Analyse the conclusions of labelled conversations.

    Args:
        conclusions: of each conversation; None for one without a reply. They are read once.
        resamples: of each bootstrap, at most.
        seed: of the bootstrap, and of the sample of which clusters are made.
        influence_cap: largest share of a user in every estimate; None for none.

    Raises:
        DataError: no conversation has a reply.
        ConfigError: the cap is no share.
    """
    if influence_cap is not None and not 0 < influence_cap <= 1:
        raise ConfigError(f"influence_cap is {influence_cap!r}; expected a share, such as 0.05")
    found = _Collected(seed)
    for one in conclusions:
        found.add(one)
    rows, blamed = found.rows, cluster_moments(found.blamed.kept)
    if not rows:
        raise DataError("no conversation has a reply of the assistant, so there is nothing to learn from")
    whole = _estimate("all", rows, resamples, seed, influence_cap)
    by_version = [
        _estimate(name, [row for row in rows if row.version == name], resamples, seed, influence_cap)
        for name, _ in Counter(row.version for row in rows).most_common()
    ]
    return Analysis(
        headline=_headline(whole, blamed[0] if blamed else None, len(found.blamed.kept)),
        conversations=len(rows),
        replies=sum(row.replies for row in rows),
        users=whole.users,
        satisfaction=whole,
        by_time=_by_time(rows, resamples, seed, influence_cap),
        by_version=by_version,
        evidence=dict(found.evidence.most_common()),
        praised=[one.as_dict() for one in cluster_moments(found.praised.kept)],
        blamed=[one.as_dict() for one in blamed],
        read_first=[one.as_dict() for one in _worst(found.worst)],
        skipped=found.skipped,
        influence_cap=influence_cap,
        outlying=outlying_users(rows),
    )


class _Collected:
    """What is kept of a stream of conclusions."""

    def __init__(self, seed: int) -> None:
        self.rows: list[Conclusion] = []
        """The numbers alone."""
        self.praised, self.blamed = _Sample(KEPT, seed), _Sample(KEPT, seed + 1)
        self.worst: list[Moment] = []
        self.evidence: Counter[str] = Counter()
        self.skipped = 0

    def add(self, one: Conclusion | None) -> None:
        """Take in a conclusion."""
        if one is None:
            self.skipped += 1
            return
        self.evidence.update(one.counts)
        for moment in one.moments:
            (self.praised if moment.reward > 0 else self.blamed).add(moment)
        bad = [moment for moment in one.moments if moment.reward < 0]
        if bad:
            self.worst.append(min(bad, key=lambda moment: moment.reward))
            if len(self.worst) > 50 * TO_READ:
                self.worst = _worst(self.worst)
        self.rows.append(replace(one, counts={}, moments=()))


class _Sample:
    """A uniform random sample of a stream (reservoir sampling, Vitter 1985)."""

    def __init__(self, size: int, seed: int) -> None:
        self.kept: list[Moment] = []
        self._size, self._random, self._seen = size, random.Random(seed), 0

    def add(self, moment: Moment) -> None:
        self._seen += 1
        if len(self.kept) < self._size:
            self.kept.append(moment)
        elif (place := self._random.randrange(self._seen)) < self._size:
            self.kept[place] = moment


def _worst(moments: Sequence[Moment]) -> list[Moment]:
    return sorted(moments, key=lambda one: (one.reward, one.conversation, one.turn))[:TO_READ]


def _estimate(name: str, rows: Sequence[Conclusion], resamples: int, seed: int, cap: float | None) -> Estimate:
    groups = [row.group for row in rows]
    users = len(set(groups))
    draws = max(200, min(resamples, DRAWS // users))
    how: dict[str, Any] = {"resamples": draws, "seed": seed}
    values = [row.satisfaction for row in rows]
    if cap is None:
        found = bootstrap_grouped(values, groups, bounds=(0.0, 1.0), **how)
    else:
        found = bootstrap_sums(weighted_sums(values, groups, cap), lambda sums: sums[..., 0] / sums[..., 1], **how)
    return Estimate(name=name, value=found.value, low=found.low, high=found.high, conversations=len(rows), users=users)


def _by_time(rows: Sequence[Conclusion], resamples: int, seed: int, cap: float | None) -> list[Estimate]:
    times = [row.time for row in rows if row.time is not None]
    if not times:
        return []
    days = (max(times) - min(times)) / 86_400
    periods: dict[str, list[Conclusion]] = {}
    for row in rows:
        if row.time is not None:
            periods.setdefault(_period(row.time, days), []).append(row)
    return [_estimate(name, periods[name], resamples, seed, cap) for name in sorted(periods)]


def _period(time: float, days: float) -> str:
    when = datetime.fromtimestamp(time, UTC)
    if days > WEEKS:
        return f"{when:%Y-%m}"
    if days > DAYS:
        return f"{datetime.fromtimestamp(time - 86_400 * when.weekday(), UTC):%Y-%m-%d}"
    return f"{when:%Y-%m-%d}"


def _headline(whole: Estimate, largest: Cluster | None, blamed: int) -> str:
    """Say how satisfied users are, and what they complain of if many complaints are about one thing."""
    count = f"{whole.conversations} conversation{'' if whole.conversations == 1 else 's'}"
    headline = f"users are satisfied with a reply with probability {whole.interval} (n = {whole.users}, {count})"
    if largest is not None and largest.size >= max(MANY, MANY_SHARE * blamed):
        headline += f"; {largest.size} of {blamed} blamed replies are about {', '.join(largest.words)}"
    return headline
