"""How well the statistics of a promotion keep their promises: off-policy intervals, and the canary's sequential test.

    python -m benchmarks.promotion [--simulations 2000]

Off-policy: the share of 95 % intervals that cover the true mean, over logged policies that are near to the new one or
far from it, with independent decisions and with conversations of several. Canary: how often a candidate that is as good
is rolled back although the test is looked at after every user (the false-alarm rate), how often harm is noticed, and
after how many users. Users come from a beta distribution, with a mean that changes over the day. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import math
from typing import Any

import numpy as np

from telic.errors import DataError
from telic.feedback.off_policy import Estimator, OffPolicyData, effective_sample_size, estimate_value
from telic.promotion.canary import evidence_against, paired_differences
from telic.promotion.sequential import capital_against
from telic.statistics import Floats

ALPHA = 0.05
MEANS = np.array([0.2, 0.5, 0.7])
BEHAVIOUR = np.array([0.5, 0.3, 0.2])
TARGETS = {"near": np.array([0.4, 0.3, 0.3]), "apart": np.array([0.2, 0.3, 0.5]), "far": np.array([0.05, 0.05, 0.9])}
ESTIMATORS: tuple[Estimator, ...] = ("ips", "snips", "doubly_robust")
COLUMNS = ("estimator", "policies", "decisions", "each", "effective", "covered", "refused")


def logged(rng: np.random.Generator, target: Floats, n: int, each: int) -> OffPolicyData:
    """Log decisions, `each` of them in a conversation with a mood of its own; the rewards' model is off by 0.1."""
    actions = rng.choice(3, n, p=BEHAVIOUR)
    conversation = np.arange(n) // each
    moods = rng.normal(0, 0.15 if each > 1 else 0, n // each + 1)[conversation]
    rewards = (rng.random(n) < np.clip(MEANS[actions] + moods, 0, 1)).astype(float)
    model = MEANS + 0.1
    return OffPolicyData(
        rewards.tolist(), np.log(BEHAVIOUR[actions]).tolist(), np.log(target[actions]).tolist(),
        model[actions].tolist(), [float(target @ model)] * n, conversation.tolist(),
    )  # fmt: skip


def coverage(simulations: int) -> list[dict[str, Any]]:
    found = []
    for name, target in TARGETS.items():
        for n, each in ((200, 1), (1000, 1), (1000, 4)):
            for estimator in ESTIMATORS:
                covered = refused = 0
                sizes = []
                for seed in range(simulations):
                    data = logged(np.random.default_rng(seed), target, n, each)
                    sizes.append(effective_sample_size(data))
                    try:
                        one = estimate_value(data, estimator)
                    except DataError:
                        refused += 1
                        continue
                    covered += (one.low or 0) <= float(target @ MEANS) <= (one.high or 0)
                answered = simulations - refused
                share = covered / answered if answered else None
                row = (estimator, name, n, each, round(float(np.mean(sizes))), share, refused / simulations)
                found.append(dict(zip(COLUMNS, row, strict=True)))
                print(*row, flush=True)
    return found


def users(rng: np.random.Generator, n: int, harm: float, share: float) -> list[tuple[bool, float]]:
    candidate = rng.random(n) < share
    means = 0.6 + 0.15 * np.sin(np.arange(n) / 50) - harm * candidate
    return [(bool(a), float(b)) for a, b in zip(candidate, rng.beta(3 * means, 3 * (1 - means)), strict=True)]


def users_until_alarm(seen: list[tuple[bool, float]]) -> int | None:
    """Return after how many users the canary rolls back; None if it does not."""
    differences = paired_differences(seen)
    if evidence_against(differences, 0.0, above=True) < 1 / ALPHA:
        return None
    capital = capital_against([(1 + one) / 2 for one in differences], 0.5, above=True)
    pairs = int(np.argmax(capital >= 1 / ALPHA)) + 1
    low, high = 0, len(seen)
    while low < high:  # the first user with whom there are so many pairs
        middle = (low + high) // 2
        low, high = (low, middle) if len(paired_differences(seen[:middle])) >= pairs else (middle + 1, high)
    return low


def canary(simulations: int) -> list[dict[str, Any]]:
    found = []
    for share, n in ((0.1, 2000), (0.5, 2000)):
        for harm in (0.0, 0.05, 0.1, 0.2):
            rng = np.random.default_rng(0)
            times = [users_until_alarm(users(rng, n, harm, share)) for _ in range(simulations)]
            alarms = [time for time in times if time is not None]
            rate = len(alarms) / simulations
            error = 1.96 * math.sqrt(rate * (1 - rate) / simulations)
            row = {
                "share": share, "users": n, "harm": harm, "rolled_back": rate, "error": error,
                "median_users": float(np.median(alarms)) if alarms else None,
            }  # fmt: skip
            found.append(row)
            print(row, flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--simulations", type=int, default=2000)
    simulations = parser.parse_args().simulations
    print(*COLUMNS)
    document = {"coverage": coverage(simulations), "canary": canary(simulations)}
    print(json.dumps(document))


if __name__ == "__main__":
    main()
