"""Which defence to use: the one with the lowest upper bound on success, among those that benign users hardly notice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from telic.redteam.config import AttackConfig
from telic.redteam.plan import UNDEFENDED
from telic.redteam.results import BenignResult
from telic.statistics import Interval, mean, paired_difference

__all__ = ["recommend", "said_as_percent"]

LEVEL = 0.05
"""Level of the test that the recommended defence is better than none: the sign-flip test over dialogues."""


def recommend(
    rates: Mapping[str, Mapping[int, Sequence[float | None]]],
    mean_success: Mapping[str, Interval],
    benign: Sequence[BenignResult],
    config: AttackConfig,
) -> tuple[str | None, str]:
    """Choose the defence with the least upper end of the interval of mean success, among the affordable ones.

    Args:
        rates: successes of all attackers, by defence and number of the dialogue.
        mean_success: their mean, by defence.
        benign: what each defence costs.
        config: the allowed costs.

    Returns:
        The defence, or None; and the reason.
    """
    costs = {one.defence: one for one in benign}
    refused: list[str] = []
    affordable: list[tuple[float, str]] = []
    for name, success in mean_success.items():
        if name == UNDEFENDED or success.high is None:
            continue
        fault = _too_dear(costs.get(name), config)
        if fault:
            refused.append(f"{name} {fault}")
        else:
            affordable.append((success.high, name))
    if not affordable:
        return None, "; ".join(refused) or "no defence has a result"
    _, best = min(affordable)
    shared = sorted(rates[best].keys() & rates[UNDEFENDED].keys())
    found = paired_difference(
        [mean(rates[UNDEFENDED][number]) for number in shared],
        [mean(rates[best][number]) for number in shared],
        resamples=config.resamples,
        bounds=(-1, 1),
    )
    gain = found.difference
    if gain.value is None or gain.value <= 0 or found.p is None or found.p >= LEVEL:
        change = f"it lowers success by {_points(gain)} points"
        return None, f"the defence {best} is not significantly better than none ({change})"
    cost = costs[best].over_refusal
    told = f", and refuses {_points(cost)} points more of benign replies" if cost else ""
    return best, f"{best} lowers success by {_points(gain)} points{told}"


def _too_dear(cost: BenignResult | None, config: AttackConfig) -> str:
    """Say why a defence costs too much; empty if it does not."""
    if cost is None or cost.over_refusal is None or cost.over_refusal.value is None:
        return "was not tried on benign users"
    if cost.over_refusal.value > config.max_over_refusal:
        return f"refuses {_points(cost.over_refusal)} points more of benign replies"
    loss = cost.game_loss.value if cost.game_loss else None
    if loss is not None and loss > config.max_return_loss:
        return f"costs {100 * loss:.0f} % of the game's score"
    return ""


def said_as_percent(found: Interval) -> str:
    """Write a share and its interval in percent: `12 % [7, 20]`."""
    if found.value is None:
        return "an unknown share"
    text = f"{100 * found.value:.0f} %"
    return text if found.low is None or found.high is None else f"{text} {_range(found)}"


def _points(found: Interval) -> str:
    text = f"{100 * found.value:.1f}" if found.value is not None else "?"
    return f"{text} {_range(found)}" if found.low is not None else text


def _range(found: Interval) -> str:
    return f"[{100 * (found.low or 0):.0f}, {100 * (found.high or 0):.0f}]"
