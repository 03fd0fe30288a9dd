"""Settings of `train`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from telic.settings import Settings

__all__ = ["ACT_EPOCHS", "ACT_TOKENS", "PROMPTS", "TrainConfig"]

ACT_TOKENS = 6
"""Prefix tokens of a dialogue act; two say little."""
ACT_EPOCHS = 12
"""In which they are distilled."""

PROMPTS = {
    "elicitation": "In each turn, ask one short question about something that you have not been told yet. "
    "Do not greet, do not suggest anything, and never ask the same question twice."
}
"""By game: what a better system prompt says. The planner has to beat it."""


class TrainConfig(Settings):
    """How a planner is trained, and on what it is judged."""

    episodes: int = Field(default=384, ge=4)
    """Episodes of each collection, on the game's training part."""
    rounds_of_cloning: int = Field(default=2, ge=1, le=32)
    """Times that episodes are collected and what paid off in them is cloned; from the second time on the episodes are
    the planner's own."""
    validation: int = Field(default=128, ge=2)
    """Episodes of the training part on which the stages are compared, to choose among them."""
    held_out: int = Field(default=400, ge=2)
    """Episodes of the held-out part on which the choice and the baselines are judged."""
    mapping: Literal["acts", "learned"] = "acts"
    """How an action becomes prefix tokens: a mixture of written dialogue acts, which are tried out; or learned, with
    the policy, from what the unsteered model said well."""
    acts: str | None = None
    """TOML file of the acts, or the name of some that come with Telic; by default those for the game or its domain,
    or for any trade."""
    tokens: int | None = Field(default=None, ge=1)
    """Prefix tokens; by default 6 for acts, and 2 if the mapping is learned."""
    action_size: int = Field(default=64, ge=1)
    """Numbers of an action, if the mapping is learned."""
    width: int | None = Field(default=128, ge=1)
    """Of the layers of the networks over acts, and of TD3+BC's; none for the size of the state."""
    sigma: float = Field(default=0.25, ge=0, allow_inf_nan=False)
    """Noise on the actions of the episodes that TD3+BC learns from, if the mapping is learned."""
    beta: float = Field(default=0.15, gt=0, allow_inf_nan=False)
    """Temperature of advantage-weighted cloning: the smaller, the more only the best counts."""
    cut_after_question: bool = False
    """Learn utterances up to their last question mark, and none without one."""
    act_epochs: int = Field(default=ACT_EPOCHS, ge=1)
    """Epochs in which the acts' prefixes are distilled."""
    clone_epochs: int = Field(default=4, ge=1)
    """Epochs of each cloning."""
    clone_lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    """Learning rate of the up-mapping and of prefix tokens."""
    rl_steps: int = Field(default=2000, ge=0)
    """Updates of TD3+BC; 0 leaves it out."""
    alpha: float = Field(default=2.5, ge=0, allow_inf_nan=False)
    """TD3+BC: weight of the value against staying near the data."""
    bound: float | None = Field(default=0.15, gt=0, allow_inf_nan=False)
    """TD3+BC: what is added to each number of the action stays within this of zero; none for no bound. A bound of 1
    has it overrule what was cloned, over acts."""
    gamma: float = Field(default=0.99, ge=0, le=1)
    """Discount per round."""
    prompt: str | None = None
    """The better system prompt to compare with, added to the purpose's; by default one for the game, if known."""
    baselines: bool = True
    """Also judge the self-clone, a constant prefix and the better prompt."""
    max_new_tokens: int = Field(default=48, ge=1)
    """New tokens of an utterance, at most."""
    temperature: float = Field(default=0.7, ge=0, allow_inf_nan=False)
    """Of all utterances."""
    concurrency: int = Field(default=64, ge=1)
    """Episodes under way at once."""
    seed: int = 0
    """Draws the episodes, the first weights and all that follows."""
    resamples: int = Field(default=2000, ge=100)
    """Bootstrap resamples behind every interval."""

    @property
    def prefix_tokens(self) -> int:
        """Prefix tokens, those by default told apart."""
        return self.tokens or {"acts": ACT_TOKENS, "learned": 2}[self.mapping]
