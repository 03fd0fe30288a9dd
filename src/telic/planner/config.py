"""Settings of `train`."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from telic.errors import ConfigError
from telic.purpose import Purpose
from telic.settings import Settings

__all__ = ["ACT_EPOCHS", "ACT_TOKENS", "PROMPTS", "PlannerTrainingConfig", "game_of"]

ACT_TOKENS = 6
"""Prefix tokens of a dialogue act. Two are too few to make the model say it."""
ACT_EPOCHS = 12
"""Epochs in which the prefixes of dialogue acts are distilled."""

PROMPTS = {
    "elicitation": "In each turn, ask one short question about something that you have not been told yet. "
    "Do not greet, do not suggest anything, and never ask the same question twice."
}
"""A better system prompt for each game, which the planner has to beat."""


class PlannerTrainingConfig(Settings):
    """Settings of the training of a planner and of its evaluation."""

    episodes: int = Field(default=384, ge=4)
    """Number of episodes in each collection, from the game's training part."""
    rounds_of_cloning: int = Field(default=2, ge=1, le=32)
    """Number of rounds. Each collects episodes and clones the actions that paid off in them. From the second round on,
    the planner plays the episodes."""
    validation: int = Field(default=128, ge=2)
    """Number of episodes of the training part on which the best stage is chosen."""
    held_out: int = Field(default=400, ge=2)
    """Number of episodes of the held-out part on which the chosen planner and its rivals are evaluated."""
    mapping: Literal["acts", "learned"] = "acts"
    """How an action becomes prefix tokens: `acts` mixes dialogue acts written in advance, which the planner explores;
    `learned` trains the up-mapping together with the policy on the baseline model's successful utterances."""
    acts: str | None = None
    """TOML file of dialogue acts, or the name of a set that comes with Telic. By default the set for the game or its
    domain, or else the general set."""
    tokens: int | None = Field(default=None, ge=1)
    """Number of prefix tokens. By default 6 for acts, and 2 for a learned mapping."""
    action_size: int = Field(default=64, ge=1)
    """Size of an action vector, for a learned mapping."""
    width: int | None = Field(default=128, ge=1)
    """Width of the layers of the networks over acts and of TD3+BC's networks. None uses the size of the state."""
    sigma: float = Field(default=0.25, ge=0, allow_inf_nan=False)
    """Standard deviation of the exploration noise on actions in the episodes for TD3+BC, for a learned mapping."""
    beta: float = Field(default=0.15, gt=0, allow_inf_nan=False)
    """Temperature of advantage-weighted cloning. A smaller one puts more weight on the best examples."""
    cut_after_question: bool = False
    """Cut utterances after their last question mark, and leave out those without one."""
    act_epochs: int = Field(default=ACT_EPOCHS, ge=1)
    """Number of epochs in which the prefixes of the acts are distilled."""
    clone_epochs: int = Field(default=4, ge=1)
    """Number of epochs of each cloning of utterances."""
    clone_lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    """Learning rate of the up-mapping and the prefix tokens during cloning."""
    rl_steps: int = Field(default=2000, ge=0)
    """Number of updates of TD3+BC; 0 leaves the stage out."""
    alpha: float = Field(default=2.5, ge=0, allow_inf_nan=False)
    """TD3+BC: weight of the estimated value, against staying close to the data."""
    bound: float | None = Field(default=0.15, gt=0, allow_inf_nan=False)
    """TD3+BC: bound on the absolute value of what it adds to each component of the action. None for no bound. With
    acts, a bound of 1 would let it overrule the clone."""
    gamma: float = Field(default=0.99, ge=0, le=1)
    """Discount per round."""
    prompt: str | None = None
    """A better system prompt to compare with, added to the purpose's. By default the game's, if it has one."""
    baselines: bool = True
    """Also evaluate the self-clone, a constant prefix, the better prompt and, with acts, the acts recited at random."""
    max_new_tokens: int = Field(default=48, ge=1)
    """Maximum number of new tokens of an utterance."""
    temperature: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    """Sampling temperature of all utterances."""
    concurrency: int = Field(default=64, ge=1)
    """Number of episodes played at once."""
    seed: int = 0
    """Seed of the episodes, the initial weights and all other draws."""
    resamples: int = Field(default=2000, ge=100)
    """Number of bootstrap resamples behind every interval."""
    minutes: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Divide about this many minutes between the stages and the evaluation; a resumed run does the rest."""

    @property
    def prefix_tokens(self) -> int:
        """Number of prefix tokens, with the default of the mapping filled in."""
        return self.tokens or {"acts": ACT_TOKENS, "learned": 2}[self.mapping]


def game_of(purpose: Purpose) -> dict[str, Any]:
    """Return the game that defines success.

    Raises:
        ConfigError: the purpose has none.
    """
    if purpose.game is None:
        raise ConfigError(
            f"purpose {purpose.name!r} has no game, which defines success; add one, such as: [game] name = "
            '"elicitation"'
        )
    return purpose.game
