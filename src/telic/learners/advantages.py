"""How much better a decision was than what the served planner would have decided, from few and noisy rewards.

What users say is a noisy reward, and most replies get none. The weights of advantage-weighted cloning are exponentials,
so that single lucky returns would decide. So the returns are regressed on what was done first. With one-hot acts, the
advantage of a decision is that of its act, new or played before in the conversation:

    G_i = u(round_i) + v(version_i) + q(act_i) + b played_i + c(act_i) played_i + noise

u and v are free: the usual return of the turn and of the version. They keep an act from looking good because it comes
late, or because a better version plays it more. q, b and c are shrunk towards zero by ridge regression, whose strength
is chosen by generalised cross-validation (Golub, Heath and Wahba 1979): with few conversations the advantages are close
to zero, and the planner stays what it is.

Shapes: N decisions, K acts, F features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from telic.planner.upmapping import act_shares

__all__ = ["ActAdvantages", "importance_weights", "served_logprobs", "usual_returns"]

STRENGTHS = tuple(10.0**k for k in (-1, -0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3, 4))
"""Strengths of the ridge that are tried, in decisions."""
DECISIONS = 20
"""Decisions from which a version has a usual return of its own."""


@dataclass(frozen=True)
class ActAdvantages:
    """Advantages of acts, estimated from returns."""

    values: torch.Tensor
    """float32 [N, K]: the advantage of every act in the place of every decision, over the served planner's mean."""
    noise: float
    """Standard deviation of what the regression leaves of the returns."""
    strength: float
    """The strength of the ridge that was chosen."""

    @classmethod
    def estimate(
        cls,
        returns_N: torch.Tensor,
        acts_N: torch.Tensor,
        before_N_K: torch.Tensor,
        policy_N_K: torch.Tensor,
        rounds_N: torch.Tensor,
        versions: Sequence[str],
    ) -> ActAdvantages:
        """Estimate them.

        Args:
            returns_N: return to go of each decision.
            acts_N: the act that was played.
            before_N_K: how often each act was played before in the conversation.
            policy_N_K: the probability of each act under the served planner.
            rounds_N: number of earlier decisions in the conversation.
            versions: the version that took each decision.
        """
        again_N_K = (before_N_K > 0).double()
        fixed = torch.cat((_one_hot(rounds_N), _one_hot(_numbers(versions))), dim=1)
        project = torch.linalg.qr(_independent(fixed)).Q
        features = _features(acts_N, again_N_K)
        y_N = _residual(returns_N.double(), project)
        weights_F, noise, strength = _ridge(_residual(features, project), y_N, len(returns_N) - project.shape[1])
        count = before_N_K.shape[1]
        table_N_K = torch.stack(
            [_features(torch.full_like(acts_N, act), again_N_K) @ weights_F for act in range(count)], dim=1
        )
        values_N_K = table_N_K - (policy_N_K.double() * table_N_K).sum(1, keepdim=True)
        return cls(values_N_K.float(), noise, strength)


def usual_returns(returns_N: torch.Tensor, rounds_N: torch.Tensor) -> torch.Tensor:
    """Compute the mean return of the decisions of the same round: float32 [N]."""
    count = torch.bincount(rounds_N)
    means = torch.zeros(len(count)).index_add(0, rounds_N, returns_N.float()) / count.clamp_min(1)
    return means[rounds_N]


def importance_weights(served_N: torch.Tensor, logged_N: torch.Tensor, clip: float) -> torch.Tensor:
    """Compute how much more likely the served planner decides as was decided: float32 [N], clipped.

    Args:
        served_N: log-probability of each decision under the served planner.
        logged_N: under the one that took it; where it was not logged (NaN), the weight is 1.
        clip: maximum of a weight.
    """
    known_N = torch.where(logged_N.isnan(), served_N, logged_N)
    return (served_N - known_N).exp().clamp_max(clip).float()


def served_logprobs(actions_N_K: torch.Tensor, acts_N: torch.Tensor, epsilon: float) -> torch.Tensor:
    """Compute the log-probability of acts under a planner that draws its acts, [N].

    Args:
        actions_N_K: its actions in the places of the decisions.
        acts_N: the acts that were played.
        epsilon: probability of an act drawn uniformly.
    """
    shares_N = act_shares(actions_N_K).gather(1, acts_N[:, None]).squeeze(1)
    return ((1 - epsilon) * shares_N + epsilon / actions_N_K.shape[1]).log()


def _features(acts_N: torch.Tensor, again_N_K: torch.Tensor) -> torch.Tensor:
    """Make the features [N, 2 K + 1]: the act; whether it was played before, for all acts together and for each."""
    acts_N_K = torch.nn.functional.one_hot(acts_N, again_N_K.shape[1]).double()
    again_acts_N_K = acts_N_K * again_N_K
    return torch.cat((acts_N_K, again_acts_N_K.sum(1, keepdim=True), again_acts_N_K), dim=1)


def _numbers(versions: Sequence[str]) -> torch.Tensor:
    """Number the versions; those with few decisions share a number, since each costs a degree of freedom."""
    counts = Counter(versions)
    names = [name if counts[name] >= DECISIONS else None for name in versions]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return torch.tensor([numbers[name] for name in names])


def _one_hot(numbers_N: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.one_hot(numbers_N).double()


def _independent(columns: torch.Tensor) -> torch.Tensor:
    """Leave out columns that depend on the others, such as one of two sets of dummies."""
    kept: list[torch.Tensor] = []
    for column in columns.T:
        rest = column - sum(((column @ other) * other for other in kept), torch.zeros_like(column))
        if float(rest.norm()) > 1e-6 * max(1.0, float(column.norm())):
            kept.append(rest / rest.norm())
    return torch.stack(kept, dim=1)


def _residual(values: torch.Tensor, project: torch.Tensor) -> torch.Tensor:
    return values - project @ (project.T @ values)


def _ridge(x_N_F: torch.Tensor, y_N: torch.Tensor, degrees: int) -> tuple[torch.Tensor, float, float]:
    """Fit by ridge regression; returns weights, the standard deviation of the noise, and the chosen strength."""
    u, s_F, v = torch.linalg.svd(x_N_F, full_matrices=False)
    along_F = u.T @ y_N
    best: tuple[float, torch.Tensor, float, float] | None = None
    for strength in STRENGTHS:
        shrink_F = s_F**2 / (s_F**2 + strength)
        left = max(degrees - float(shrink_F.sum()), 1.0)
        error = float((y_N - u @ (shrink_F * along_F)).square().sum())
        score = error / left**2
        if best is None or score < best[0]:
            best = (score, v.T @ (s_F / (s_F**2 + strength) * along_F), (error / left) ** 0.5, strength)
    assert best is not None
    return best[1:]
