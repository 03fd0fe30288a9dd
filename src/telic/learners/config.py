"""Settings of `learn_planner`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["PlannerLearningConfig"]


class PlannerLearningConfig(Settings):
    """Settings of the training of a planner from conversations."""

    least: int = Field(default=30, ge=2)
    """Least number of labelled conversations. With fewer, chance decides which replies look good."""
    weighting: Literal["exponential", "filtered"] = "exponential"
    """How a decision counts in cloning: by the `exponential` of its advantage, or `filtered`: 1 if it earned more than
    usual, else 0."""
    beta: float = Field(default=0.2, gt=0, allow_inf_nan=False)
    """Temperature of cloning, in standard deviations of the returns. A smaller one puts more weight on the best."""
    clip: float = Field(default=5.0, ge=1, allow_inf_nan=False)
    """Maximum of an importance weight: how much more likely the served planner is to decide as another version did."""
    share: float = Field(default=0.05, gt=0, le=1)
    """Maximum share of one user in all rewards; those of a user with more are scaled down."""
    rl_steps: int = Field(default=0, ge=0)
    """Number of updates of TD3+BC on top of what was cloned; 0 leaves it out."""
    alpha: float = Field(default=2.5, ge=0, allow_inf_nan=False)
    """TD3+BC: weight of the estimated value, against staying close to the data."""
    bound: float | None = Field(default=0.15, gt=0, allow_inf_nan=False)
    """TD3+BC: bound on the absolute value of what it adds to each component of the action. None for no bound."""
    gamma: float = Field(default=0.8, ge=0, le=1)
    """Discount per reply: how much of a later reward an earlier reply shares."""
    clone_epochs: int = Field(default=4, ge=1)
    """Without dialogue acts: epochs of cloning utterances."""
    clone_lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    """Without dialogue acts: learning rate of prefix tokens and the up-mapping."""
    width: int | None = Field(default=128, ge=1)
    """Width of the layers of new networks. None uses the size of the state."""
    seed: int = 0
    """Seed of the initial weights and all other draws."""
