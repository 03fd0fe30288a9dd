r"""TD3+BC for a residual network: learn from a buffer of episodes what to add to the actions of a frozen clone.

Twin Delayed DDPG (Fujimoto et al., arXiv 1802.09477) with a behaviour cloning term (Fujimoto & Gu, arXiv 2106.06860),
trained as in Dialogue Action Tokens (Li et al., arXiv 2406.11978). For a transition (s, a, r, s', d) and n its steps:

    policy      pi(s) = clone(s) + f((s - mu) / sigma)
    target      y = r + (1 - d) gamma^n min_i Q'_i(s', clone(s') + f'(s') + e),   e = clip(noise N(0, 1), +-noise_clip)
    critics     L_Q = sum_i mean w (Q_i(s, a) - y)^2
    actor       L_pi = -lambda mean Q_1(s, pi(s)) + mean (pi(s) - a)^2,           lambda = alpha / mean |Q_1(s, pi(s))|

f is the actor, whose last layer starts at zero. f and the targets Q', f' (which follow at rate tau) are updated on
every `policy_every`-th step only. Without a clone (zeros in the buffer) this is TD3+BC itself.

Four things save time without changing a result: the layers of the critics are stacked; the actor's loss computes the
gradient of its action alone; targets are only computed for transitions that are not terminal (two thirds, in a game of
three rounds); Adam is one fused kernel. Matrix products remain. `precision` halves their time at the cost of rounding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self

import torch
from pydantic import Field
from torch import nn
from torch.nn import functional

from telic.errors import ConfigError, DataError
from telic.files import read_json, read_tensors, write_json, write_tensors
from telic.planner.buffer import Batch, Transitions
from telic.planner.networks import Actor, TwinCritics
from telic.planner.standardise import Standardise
from telic.planner.upmapping import act_shares
from telic.settings import Settings

__all__ = ["TD3BC", "TD3BCConfig"]

_DESCRIPTION, _STATE = "td3bc.json", "td3bc.safetensors"
TINY = 1e-8
"""Minimum of the mean |Q| that lambda divides by: without any reward in the buffer, the values come close to 0."""
_ADAM = ("step", "exp_avg", "exp_avg_sq")


class TD3BCConfig(Settings):
    """Settings of TD3+BC."""

    alpha: float = Field(default=2.5, ge=0, allow_inf_nan=False)
    """Weight of the value relative to staying near the data; 0 only clones the buffer's actions."""
    gamma: float = Field(default=0.99, ge=0, le=1)
    """Discount per round."""
    tau: float = Field(default=0.005, gt=0, le=1)
    """Rate at which the target networks follow the networks."""
    noise: float = Field(default=0.2, ge=0, allow_inf_nan=False)
    """Standard deviation of the noise on target actions, in units of the action."""
    noise_clip: float = Field(default=0.5, ge=0, allow_inf_nan=False)
    """Bound at which that noise is clipped."""
    policy_every: int = Field(default=2, ge=1)
    """Steps between updates of the policy and the targets."""
    bound: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Bound on the absolute value of each component that is added to the clone's action, by tanh; None for no bound."""
    batch: int = Field(default=256, ge=1)
    """Transitions per update."""
    actor_lr: float = Field(default=3e-4, gt=0, allow_inf_nan=False)
    """Adam's learning rate for the actor."""
    critic_lr: float = Field(default=3e-4, gt=0, allow_inf_nan=False)
    """Adam's learning rate for the critics."""
    hidden: int | None = Field(default=None, ge=1)
    """Width of the actor's layers and of the critics' first; by default the size of the state."""
    critic_hidden: int = Field(default=256, ge=1)
    """Width of the critics' second layer."""
    zero_start: bool = True
    """Start the actor at zero, so that the policy starts as the clone."""
    mixtures: bool = False
    """Actions are mixtures of dialogue acts. Critics read the shares of the acts, and the behaviour cloning term
    compares them, because only the shares reach the model: a constant added to all components changes nothing."""
    remembered: int = Field(default=0, ge=0)
    """For mixtures: number of features at the end of the state that count how often each act was played. Critics get
    one more input: how much of an action was played before."""
    standardise: bool = True
    """Standardise the states that the networks read to mean 0 and standard deviation 1 over the buffer."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Precision of matrix products: bfloat16 takes half the time on hardware that supports it, and rounds values to
    three digits. Weights, losses and targets are float32 in both cases."""
    seed: int = 0
    """Seed of the initial weights, the batches and the noise."""


class TD3BC:
    """A learner of a residual network from a buffer.

    Args:
        data: the buffer. With a frozen clone, it holds the clone's actions (`Transitions.with_clone`).
        config: see `TD3BCConfig`.
        device: device of the computation; the buffer is moved there.
    """

    def __init__(
        self, data: Transitions, config: TD3BCConfig | None = None, device: str | torch.device = "cpu"
    ) -> None:
        self.config = config = config or TD3BCConfig()
        self.device = torch.device(device)
        self.fingerprint = data.fingerprint
        self.data = data.to(self.device)
        sizes = data.sizes
        drawn = torch.Generator().manual_seed(config.seed)

        def actor() -> Actor:
            return Actor(
                *sizes, config.hidden, zero_last=config.zero_start, bound=config.bound, remembered=config.remembered,
                generator=drawn,
            )  # fmt: skip

        def critics() -> TwinCritics:
            inputs = sizes[1] + bool(config.remembered)
            return TwinCritics(sizes[0], inputs, config.hidden, config.critic_hidden, generator=drawn)

        self.standardise = (
            Standardise.fit(data.states, config.remembered) if config.standardise else Standardise.identity(sizes[0])
        )
        self.actor, self.target_actor = actor(), actor().requires_grad_(False)
        self.critics, self.target_critics = critics(), critics().requires_grad_(False)
        self.target_actor.load_state_dict(self.actor.state_dict())
        self.target_critics.load_state_dict(self.critics.state_dict())
        self.networks = nn.ModuleDict(
            {
                "standardise": self.standardise,
                "actor": self.actor,
                "critics": self.critics,
                "target_actor": self.target_actor,
                "target_critics": self.target_critics,
            }
        ).to(self.device)
        self.optimisers = {
            "actor": torch.optim.Adam(self.actor.parameters(), lr=config.actor_lr, fused=True),
            "critics": torch.optim.Adam(self.critics.parameters(), lr=config.critic_lr, fused=True),
        }
        self.generator = torch.Generator(self.device).manual_seed(config.seed)
        self.step = 0
        """Number of updates so far."""

    @torch.no_grad()
    def act(self, states_B_D: torch.Tensor, clones_B_A: torch.Tensor | float = 0.0) -> torch.Tensor:
        """Compute the policy's actions [B, A] in states [B, D], given the actions of the clone."""
        actions_B_A: torch.Tensor = clones_B_A + self.actor(self.standardise(states_B_D))
        return actions_B_A

    def learn(self, steps: int, every: int = 100) -> Iterator[dict[str, float]]:
        """Update on batches drawn from the buffer. The updates do not depend on `every`.

        Args:
            steps: number of updates.
            every: updates between metrics.

        Yields:
            After `every` updates and after the last: `step`, and means since the last time of `critic_loss`, `q` (of
            the first critic, on the data), `target`, `actor_loss`, `policy_q`, `bc` (the behaviour cloning term),
            `action_norm` (of the residual) and `lambda`.

        Raises:
            ConfigError: `steps` is below 0, or `every` below 1.
        """
        if steps < 0 or every < 1:
            raise ConfigError(f"steps is {steps!r} and every is {every!r}; expected 0 or more and 1 or more")
        metrics: dict[str, list[torch.Tensor]] = {}
        for number in range(1, steps + 1):
            for name, value in self.update(self.data.sample(self.config.batch, self.generator)).items():
                metrics.setdefault(name, []).append(value)
            if number % every == 0 or number == steps:
                yield {"step": self.step, **{name: float(torch.stack(metrics[name]).mean()) for name in metrics}}
                metrics = {}

    def update(self, batch: Batch, noise_B_A: torch.Tensor | None = None) -> dict[str, torch.Tensor]:
        """Do one update on a given batch.

        Args:
            batch: some transitions.
            noise_B_A: standard normal noise for the target actions; drawn by default.

        Returns:
            The metrics of `learn` as scalars; those of the actor on every `policy_every`-th step only.
        """
        if noise_B_A is None:
            noise_B_A = torch.randn(batch.actions.shape, generator=self.generator, device=self.device)
        states_B_D = self.standardise(batch.states)
        metrics = self._update_critics(states_B_D, batch, self._targets(batch, noise_B_A))
        self.step += 1
        if self.step % self.config.policy_every == 0:
            metrics |= self._update_actor(states_B_D, batch)
            self._update_targets()
        return metrics

    @torch.no_grad()
    def _targets(self, batch: Batch, noise_B_A: torch.Tensor) -> torch.Tensor:
        """Compute `y` [B]. Where the episode ended, it is the reward, and no network is evaluated."""
        config = self.config
        live_L = (~batch.terminals).nonzero().squeeze(1)
        next_states_L_D = self.standardise(batch.next_states[live_L])
        smoothing_L_A = (config.noise * noise_B_A[live_L]).clamp_(-config.noise_clip, config.noise_clip)
        with self._autocast():
            added_L_A = self.target_actor(next_states_L_D).float() + smoothing_L_A
            if config.bound is not None:
                added_L_A.clamp_(-config.bound, config.bound)
            effective_L_A = self._effective(batch.next_clones[live_L] + added_L_A)
            values_2_L = self.target_critics(
                next_states_L_D, self._critic_input(next_states_L_D, effective_L_A)
            ).float()
        discounted_L = config.gamma ** batch.steps[live_L] * values_2_L.amin(0)
        return batch.rewards.index_add(0, live_L, discounted_L)

    def _update_critics(self, states_B_D: torch.Tensor, batch: Batch, y_B: torch.Tensor) -> dict[str, torch.Tensor]:
        with self._autocast():
            q_2_B = self.critics(states_B_D, self._critic_input(states_B_D, self._effective(batch.actions))).float()
        loss = (batch.weights * (q_2_B - y_B).square()).mean(1).sum()
        self._step_optimiser("critics", loss)
        return {"critic_loss": loss.detach(), "q": q_2_B[0].detach().mean(), "target": y_B.mean()}

    def _update_actor(self, states_B_D: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        with self._autocast():
            added_B_A = self.actor(states_B_D).float()
            policy_B_A = self._effective(batch.clones + added_B_A)
            q_B = self.critics.first(states_B_D, self._critic_input(states_B_D, policy_B_A)).float()
        weight = self.config.alpha / q_B.detach().abs().mean().clamp_min(TINY)
        bc = functional.mse_loss(policy_B_A, self._effective(batch.actions))
        loss = bc - weight * q_B.mean()
        self._step_optimiser("actor", loss)
        return {
            "actor_loss": loss.detach(),
            "policy_q": q_B.detach().mean(),
            "bc": bc.detach(),
            "action_norm": added_B_A.detach().norm(dim=1).mean(),
            "lambda": weight,
        }

    def _effective(self, actions_B_A: torch.Tensor) -> torch.Tensor:
        """Convert actions [B, A] to what reaches the model: the shares of acts, or the actions themselves."""
        return act_shares(actions_B_A) if self.config.mixtures else actions_B_A

    def _critic_input(self, states_B_D: torch.Tensor, effective_B_A: torch.Tensor) -> torch.Tensor:
        """Make the action input: the effective action and, if acts are counted, how often it was played before."""
        if not self.config.remembered:
            return effective_B_A
        before_B_A = states_B_D[:, -self.config.remembered :]
        return torch.cat((effective_B_A, (before_B_A * effective_B_A).sum(1, keepdim=True)), dim=1)

    def _autocast(self) -> torch.autocast:
        """Make the context in which matrix products have the configured precision."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.config.precision == "bfloat16")

    def _step_optimiser(self, name: str, loss: torch.Tensor) -> None:
        optimiser = self.optimisers[name]
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()

    @torch.no_grad()
    def _update_targets(self) -> None:
        """Move the target networks towards the networks."""
        for target, source in ((self.target_actor, self.actor), (self.target_critics, self.critics)):
            torch._foreach_lerp_(list(target.parameters()), list(source.parameters()), self.config.tau)

    def save(self, folder: str | Path) -> None:
        """Save the networks, the optimisers, the generator and the step. An earlier save is replaced.

        Raises:
            RunError: the folder cannot be written.
        """
        folder = Path(folder)
        tensors = dict(self.networks.state_dict())
        for name, optimiser in self.optimisers.items():
            for number, moments in optimiser.state_dict()["state"].items():
                tensors |= {f"adam.{name}.{number}.{key}": moments[key] for key in _ADAM}
        tensors |= {"generator": self.generator.get_state(), "step": torch.tensor(self.step)}
        write_json(folder / _DESCRIPTION, self._description())
        write_tensors(folder / _STATE, tensors)

    @classmethod
    def load(cls, folder: str | Path, data: Transitions, device: str | torch.device = "cpu") -> Self:
        """Load a saved learner. On the same machine, its updates are bit for bit those of an uninterrupted one.

        Raises:
            ConfigError: the saved learner learnt from another buffer.
            DataError: the folder holds no saved learner, or it is damaged.
        """
        folder = Path(folder)
        description = read_json(folder / _DESCRIPTION)
        learner = cls(data, TD3BCConfig.of(**description.get("config", {})), device)
        if description.get("data") != learner.fingerprint:
            raise ConfigError(
                f"the learner in {str(folder)!r} learnt from another buffer (fingerprint {description.get('data')}) "
                f"than this one ({learner.fingerprint}); pass the same buffer, or start again"
            )
        try:
            learner._restore(read_tensors(folder / _STATE))
        except (KeyError, RuntimeError, ValueError) as error:
            raise DataError(f"{str(folder / _STATE)!r} does not hold the state of this learner: {error}") from None
        return learner

    def _restore(self, tensors: Mapping[str, torch.Tensor]) -> None:
        self.networks.load_state_dict({name: tensors[name] for name in self.networks.state_dict()})
        self.step = int(tensors["step"])
        self.generator.set_state(tensors["generator"])
        for name, optimiser in self.optimisers.items():
            state: dict[int, dict[str, torch.Tensor]] = {}
            for number in range(len(optimiser.param_groups[0]["params"])):
                key = f"adam.{name}.{number}"
                if f"{key}.step" in tensors:
                    state[number] = {part: tensors[f"{key}.{part}"] for part in _ADAM}
            optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})

    def _description(self) -> dict[str, Any]:
        return {"config": self.config.model_dump(mode="json"), "data": self.fingerprint, "sizes": self.data.sizes}
