"""The gate's off-policy estimate: what users would have thought of the candidate, from logs of the served version.

It needs decisions whose probability is known under both versions: those of a planner that draws its acts, or explores.
The probability of a whole reply would do in principle; but over some fifty tokens the ratio of two models is so extreme
that the effective sample size is one or two, so it is not tried. Without such decisions simulated users decide.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from telic.episodes import Episode, assistant_role
from telic.errors import DataError
from telic.feedback.labelling import SATISFACTION
from telic.feedback.off_policy import OffPolicyData, effective_sample_size, estimate_value
from telic.promotion.contender import Contender
from telic.promotion.gate_config import GateConfig
from telic.promotion.gate_results import ONE_SIDED, GateCheck, verdict_of
from telic.promotion.records import BASE
from telic.statistics import Interval

if TYPE_CHECKING:
    from telic.planner.control import PlannerControl

__all__ = ["check_logs"]

NAME, MEASURE = "logs", "satisfaction with a reply, estimated off-policy from conversations with the served version"
DECIDES = "; simulated users decide"


def check_logs(
    candidate: Contender, served: Contender, served_name: str, labelled: Iterable[Episode], config: GateConfig
) -> GateCheck:
    """Estimate the satisfaction of users with the candidate from logs.

    Args:
        candidate: the version to be promoted.
        served: the version that the logs are of.
        served_name: its name.
        labelled: labelled conversations; those with other versions are left out.
        config: settings.
    """
    old, new = _planner_of(served), _planner_of(candidate)
    if old is None or new is None:
        return _skipped("the versions do not both have a planner, whose decisions have a probability")
    if not old.explores:
        return _skipped("the served planner always takes the same action, so its logs say nothing about any other")
    data = _decisions(old, new, served_name, labelled)
    if not data.rewards:
        return _skipped("the logs have no decisions of the served planner")
    size = effective_sample_size(data)
    if size < config.least_effective:
        return _skipped(
            f"the logs are worth {size:.0f} conversations under the candidate (effective sample size); expected at "
            f"least {config.least_effective:g}"
        )
    return _compared(data, size, config)


def _compared(data: OffPolicyData, size: float, config: GateConfig) -> GateCheck:
    try:
        value = estimate_value(data, "snips", least=config.least_effective)
        logged = OffPolicyData(data.rewards, data.behaviour_logprobs, data.behaviour_logprobs, groups=data.groups)
        served = estimate_value(logged, "snips", least=0)
        apart = estimate_value(_relative(data, served), "snips", least=config.least_effective, confidence=ONE_SIDED)
    except DataError as error:
        return _skipped(str(error))
    return GateCheck(
        name=NAME, verdict=verdict_of(apart, config.reward_margin), measure=MEASURE, candidate=value, served=served,
        difference=apart, margin=config.reward_margin, note=f"effective sample size {size:.0f}",
    )  # fmt: skip


def _relative(data: OffPolicyData, served: Interval) -> OffPolicyData:
    """Return the data with rewards less the mean of the logs: the estimate is then the difference."""
    mean = served.value or 0.0
    rewards = [reward - mean for reward in data.rewards]
    return OffPolicyData(rewards, data.behaviour_logprobs, data.target_logprobs, groups=data.groups)


def _decisions(
    old: PlannerControl, new: PlannerControl, served_name: str, labelled: Iterable[Episode]
) -> OffPolicyData:
    rewards: list[float] = []
    behaviour: list[float] = []
    target: list[float] = []
    users: list[str] = []
    for episode in labelled:
        setups, role = episode.metadata.get("setups") or {}, assistant_role(episode)
        for turn in episode.turns:
            planner, setup = turn.origin.get("planner") or {}, setups.get(turn.origin.get("setup"))
            if turn.role != role or SATISFACTION not in turn.scores or "action" not in planner or setup is None:
                continue
            if setup.get("version", BASE) != served_name:
                continue
            logged = planner.get("logprob")
            before = old.decision_logprob(planner["state"], planner["action"]) if logged is None else float(logged)
            after = new.decision_logprob(planner["state"], planner["action"])
            if before is None or after is None or not np.isfinite(before):
                continue
            rewards.append(turn.scores[SATISFACTION])
            behaviour.append(before)
            target.append(after)
            users.append(str(episode.metadata.get("user") or episode.id))
    groups: Sequence[str] = users
    return OffPolicyData(rewards, behaviour, target, groups=groups)


def _planner_of(one: Contender) -> PlannerControl | None:
    if one.purpose.planner is None:
        return None
    from telic.agents.agent import controls_of
    from telic.planner.control import PlannerControl

    return next((control for control in controls_of(one.purpose) if isinstance(control, PlannerControl)), None)


def _skipped(why: str) -> GateCheck:
    return GateCheck(name=NAME, verdict="skipped", measure=MEASURE, note=f"{why}{DECIDES}")
