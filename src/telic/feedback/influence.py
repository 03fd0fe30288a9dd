"""Whose words decide what is learnt: the share of each user, how far a user disagrees with the others, and a cap.

A few users with many conversations may decide an average, and trolls may want to (Ju et al. 2022, "Learning from data
in the mixed adversarial non-adversarial case: Finding the helpers and ignoring the trolls", arXiv 2208.03295). The
report names users whose share or disagreement is far from that of the others. It does not say that they are wrong: a
user may have good reasons to complain. So nobody is left out; with a cap, nobody counts for more than a share.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict

from telic.feedback.summaries import Conclusion
from telic.statistics import Floats

__all__ = ["UserInfluence", "capped_weights", "outlying_users", "weighted_sums"]

LISTED = 20
"""Outlying users that are listed."""
LEAST_USERS, LEAST_CONVERSATIONS = 5, 3
"""Users without whom nobody can be outlying, and conversations of a user who disagrees."""
LARGE_SHARE, TIMES_FAIR = 0.05, 5.0
"""A share is outlying if it is larger than both: this, and so many times an equal share."""
FAR = 3.5
"""Robust z-score from which a user's satisfaction is outlying (Iglewicz and Hoaglin 1993)."""
MAD_TO_DEVIATION = 1.4826
LEAST_DEVIATION = 0.05
"""Least standard deviation between users: where nearly all are the same, a small difference is no disagreement."""


class UserInfluence(BaseModel):
    """A user whose influence or disagreement is outlying."""

    model_config = ConfigDict(frozen=True)

    user: str
    conversations: int
    share: float
    """Of all conversations."""
    satisfaction: float
    """Mean over the user's conversations."""
    others: float
    """Mean over the conversations of all others."""
    disagreement: float
    """Robust z-score of the user's satisfaction among all users: how many standard deviations from the median."""
    effect: float
    """By how much the mean satisfaction would change without this user."""
    why: str
    """`share`, `disagreement`, or both."""


def outlying_users(rows: Sequence[Conclusion]) -> list[UserInfluence]:
    """Find the users whose share of the conversations, or whose satisfaction, is far from that of the others.

    Returns:
        At most 20, the largest effect on the mean first. None if there are fewer than five users.
    """
    by_user: dict[str, list[float]] = {}
    for row in rows:
        by_user.setdefault(row.group, []).append(row.satisfaction)
    if len(by_user) < LEAST_USERS:
        return []
    means = {user: float(np.mean(values)) for user, values in by_user.items()}
    middle = float(np.median(list(means.values())))
    apart = float(np.median([abs(one - middle) for one in means.values()]))
    deviation = max(LEAST_DEVIATION, MAD_TO_DEVIATION * apart)
    total, count = float(sum(row.satisfaction for row in rows)), len(rows)
    found = []
    for user, values in by_user.items():
        share, disagreement = len(values) / count, (means[user] - middle) / deviation
        reasons = ["share"] if share > max(LARGE_SHARE, TIMES_FAIR / len(by_user)) else []
        if abs(disagreement) > FAR and len(values) >= LEAST_CONVERSATIONS:
            reasons.append("disagreement")
        if not reasons:
            continue
        others = (total - sum(values)) / (count - len(values))
        found.append(
            UserInfluence(
                user=user, conversations=len(values), share=share, satisfaction=means[user], others=others,
                disagreement=disagreement, effect=others - total / count, why=" and ".join(reasons),
            )
        )  # fmt: skip
    return sorted(found, key=lambda one: (-abs(one.effect), one.user))[:LISTED]


def capped_weights(groups: Sequence[str], cap: float | None) -> Mapping[str, float]:
    """Return the weight of a conversation of each user, so that no user has more than a share of all weight.

    Args:
        groups: the user of each conversation.
        cap: the largest share. With fewer than 1 / cap users, all get the same share. None: every weight is 1.
    """
    users, counts = np.unique(np.asarray(groups, dtype=object).astype(str), return_counts=True)
    counts_U: Floats = counts.astype(float)
    if cap is None or counts_U.max() <= cap * counts_U.sum():
        return dict.fromkeys(users.tolist(), 1.0)
    largest = _largest_count(counts_U, cap)
    weights: npt.NDArray[np.float64] = np.minimum(1.0, largest / counts_U)
    return dict(zip(users.tolist(), weights.tolist(), strict=True))


def weighted_sums(values: Sequence[float], groups: Sequence[str], cap: float) -> Floats:
    """Return for each user the weighted sum of its values, and its weight: [users, 2]."""
    weights = capped_weights(groups, cap)
    sums: dict[str, list[float]] = {}
    for value, group in zip(values, groups, strict=True):
        own = sums.setdefault(group, [0.0, 0.0])
        own[0] += weights[group] * value
        own[1] += weights[group]
    return np.array(list(sums.values()), dtype=np.float64).reshape(-1, 2)


def _largest_count(counts_U: Floats, cap: float) -> float:
    """Find the largest t with t <= cap * sum(min(count, t)); the smallest count if there is none."""
    ordered_U = np.sort(counts_U)
    smaller_U = np.concatenate([[0.0], np.cumsum(ordered_U)[:-1]])
    for index in range(len(ordered_U) - 1, -1, -1):
        above = len(ordered_U) - index  # users whose count is cut to t
        if cap * above < 1:
            t = cap * smaller_U[index] / (1 - cap * above)
            if t <= ordered_U[index] and (index == 0 or t >= ordered_U[index - 1]):
                return float(max(t, ordered_U[0]))
    return float(ordered_U[0])
