"""How well issues are resolved in dialogue: the measures of Ambig-SWE, with intervals over issues."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from telic.episodes import Episode
from telic.statistics import Interval, bootstrap_clustered, bootstrap_sums, mean

__all__ = ["PairMeasures", "measure_pairing", "recovered_gap"]


@dataclass(frozen=True, slots=True)
class PairMeasures:
    """The measures of one agent in one setting. Intervals resample issues."""

    resolved: Interval
    """Share of episodes whose issue is resolved."""
    regressions: Interval
    """Share of episodes that break a test that passed."""
    questions: Interval
    """Questions in an episode."""
    false_questions: Interval
    """Share of episodes without anything missing in which something is asked."""
    missed_questions: Interval
    """Share of episodes with something missing, and a user to ask, in which nothing is asked."""
    answered: Interval
    """Share of questions to which the user knew an answer."""
    user_words: Interval
    """Words that the user reads and writes in an episode."""
    failed: int
    """Episodes without an outcome, which do not count: the model or the environment failed."""

    def as_dict(self) -> dict[str, Any]:
        """Return the measures as JSON."""
        return asdict(self)


def measure_pairing(episodes: Iterable[Episode]) -> PairMeasures:
    """Measure the episodes of one agent in one setting of the game `issue`."""
    episodes = list(episodes)
    valid = [episode for episode in episodes if counts(episode)]
    detailed = [(episode.outcome["details"], episode) for episode in valid]

    def rate(
        value: Callable[[Mapping[str, Any], Episode], float | None], bounds: tuple[float, float] | None = (0.0, 1.0)
    ) -> Interval:
        by_issue: dict[str, list[float | None]] = {}
        for details, episode in detailed:
            by_issue.setdefault(details["issue"], []).append(value(details, episode))
        return bootstrap_clustered(by_issue.values(), bounds=bounds)

    return PairMeasures(
        resolved=rate(lambda _, episode: float(bool(episode.outcome["success"]))),
        regressions=rate(lambda details, _: float(details.get("regressions", 0) > 0)),
        questions=rate(lambda details, _: float(details["questions"]), None),
        false_questions=rate(lambda details, _: None if details["missing"] else float(details["questions"] > 0)),
        missed_questions=rate(lambda details, _: _missed(details)),
        answered=rate(lambda details, _: details["answered"] / details["questions"] if details["questions"] else None),
        user_words=rate(lambda details, _: float(details["user_words"] + details["read_words"]), None),
        failed=len(episodes) - len(valid),
    )


def recovered_gap(full: Iterable[Episode], hidden: Iterable[Episode], interactive: Iterable[Episode]) -> Interval:
    """Return which share of what hiding costs is recovered by asking: (interactive - hidden) / (full - hidden).

    Only issues that were played in all three settings count. Issues are resampled; there is no interval if hiding costs
    nothing in some resample.
    """
    rates = [_resolved_by_issue(episodes) for episodes in (full, hidden, interactive)]
    issues = sorted(set.intersection(*(set(one) for one in rates)))
    rows: npt.NDArray[np.float64] = np.array([[one[issue] for one in rates] for issue in issues]).reshape(-1, 3)
    return bootstrap_sums(rows, lambda sums: (sums[..., 2] - sums[..., 1]) / (sums[..., 0] - sums[..., 1]))


def counts(episode: Episode) -> bool:
    """Return whether an episode has an outcome that is the agent's own."""
    return episode.failure is None and bool(episode.outcome.get("valid")) and episode.outcome.get("success") is not None


def _missed(details: Mapping[str, Any]) -> float | None:
    if not details["missing"] or details["setting"] != "interactive":
        return None
    return float(details["missed_question"])


def _resolved_by_issue(episodes: Iterable[Episode]) -> dict[str, float]:
    found: dict[str, list[float]] = {}
    for episode in episodes:
        if counts(episode):
            found.setdefault(episode.outcome["details"]["issue"], []).append(float(bool(episode.outcome["success"])))
    return {issue: mean(values) or 0.0 for issue, values in found.items()}
