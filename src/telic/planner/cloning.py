"""Cloning of utterances: train a planner, through the frozen model's gradient, to make the model say them.

On utterances of the baseline model with equal weights, the planner learns to leave the model unchanged (self-cloning,
Li et al., arXiv 2406.11978), which is where learning from reward starts. With weights from the returns of the
utterances, it learns to say more of what paid off (advantage-weighted regression, arXiv 1910.00177).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from telic.errors import ConfigError, DataError
from telic.files import read_json, read_tensors, write_json, write_tensors
from telic.models.local import LocalModel
from telic.planner.gradient import UtteranceExample, UtteranceLosses
from telic.planner.planner import Planner
from telic.progress import Deadline
from telic.settings import Settings

__all__ = ["CloneConfig", "CloneResult", "advantage_weights", "clone_utterances", "fit_prefixes"]

_DESCRIPTION, _STATE = "cloning.json", "cloning-{:03d}.safetensors"
_ADAM = ("step", "exp_avg", "exp_avg_sq")


class CloneConfig(Settings):
    """Settings of a cloning."""

    epochs: int = Field(default=4, ge=1)
    """Passes over the examples."""
    lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    """AdamW's learning rate for prefix tokens and the up-mapping, which decays linearly to zero. At 3e-2 the language
    of the steered model degenerates."""
    policy_lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """The learning rate for the network that chooses the action."""
    batch: int = Field(default=8, ge=1)
    """Examples per step."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """AdamW's weight decay."""
    clip: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Maximum norm of the gradient, which is clipped."""
    soft: bool = False
    """Learn the baseline model's distribution at each token instead of the token that was said. So the planner learns
    from few examples to leave the model unchanged."""
    seed: int = 0
    """Seed of the order of the examples."""


@dataclass(frozen=True, slots=True)
class CloneResult:
    """Result of a cloning."""

    losses: tuple[float, ...]
    """For each epoch, the weighted mean training loss per token in nats: the negative log-likelihood or, if `soft`, the
    divergence from the baseline model."""
    steps: int
    """Total number of updates."""
    examples: int
    """Number of examples with a weight above zero."""


def advantage_weights(
    returns: Sequence[float] | torch.Tensor, baseline: float | None = None, beta: float = 0.5, most: float = 20.0
) -> torch.Tensor:
    """Compute `min(exp((G - baseline) / (beta * std(G))), most)`, scaled to a mean of 1 (arXiv 1910.00177).

    Args:
        returns: G, the return from each utterance on: [N].
        baseline: the expected return; by default the mean.
        beta: temperature, in standard deviations of the returns; a smaller one puts more weight on the best.
        most: maximum of a weight before the scaling.

    Returns:
        Weights, float32 [N].

    Raises:
        ConfigError: `beta` or `most` is not above 0.
    """
    if beta <= 0 or most <= 0:
        raise ConfigError(f"beta is {beta!r} and most is {most!r}; expected numbers above 0")
    returns_N = torch.as_tensor(returns, dtype=torch.float64)
    advantages_N = returns_N - (returns_N.mean() if baseline is None else baseline)
    scale = beta * returns_N.std(correction=0).clamp_min(1e-8)
    weights_N = (advantages_N / scale).exp().clamp_max(most)
    return (weights_N / weights_N.mean()).float()


def clone_utterances(
    planner: Planner,
    model: LocalModel,
    examples: Sequence[UtteranceExample],
    weights: Sequence[float] | torch.Tensor | None = None,
    config: CloneConfig | None = None,
    *,
    folder: str | Path | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    deadline: Deadline | None = None,
) -> CloneResult:
    """Train a planner, in place, so that the steered model says the utterances of the examples.

    The loss of a step is `sum_i w_i loss_i / sum_i w_i tokens_i` over its batch. It trains the clone network and a
    learned up-mapping; the model stays frozen.

    Args:
        planner: a planner with the placement `end` and without a residual network.
        model: the model that it steers.
        examples: the utterances and the dialogues before them, N.
        weights: weights of the examples, 0 or more: [N]; by default 1 each.
        config: see `CloneConfig`.
        folder: where the state is saved after each epoch. If it holds a state of the same cloning, the training
            continues from there, with the same result as without the interruption.
        on_epoch: called with the number of each epoch, from 1, and its loss.
        deadline: when no epoch is begun any more that would not end in time; one is done in any case.

    Raises:
        ConfigError: an argument is wrong, or the folder holds the state of another cloning.
        DataError: the state in the folder is damaged.
    """
    config = config or CloneConfig()
    _check(planner, model)
    weights_N = _checked_weights(weights, len(examples))
    kept = [number for number, weight in enumerate(weights_N.tolist()) if weight]
    utterances = UtteranceLosses(model, [examples[number] for number in kept])
    states_N_D, weights_N = utterances.states, weights_N[kept]

    def prefixes(index_B: list[int]) -> torch.Tensor:
        prefixes_B_L_D: torch.Tensor = planner(states_N_D[index_B])
        return prefixes_B_L_D

    checkpoint = None
    if folder is not None:
        about = {"config": config.model_dump(mode="json"), "model": model.name, "planner": planner.plain_shape()}
        checkpoint = _Checkpoint(Path(folder), {**about, "examples": _fingerprint(examples, weights_N)})
    parameters = dict(planner.named_parameters())
    losses, steps = fit_prefixes(parameters, prefixes, utterances, weights_N, config, checkpoint, on_epoch, deadline)
    return CloneResult(tuple(losses), steps, len(kept))


def _checked_weights(weights: torch.Tensor | Sequence[float] | None, count: int) -> torch.Tensor:
    """The weight of each example, float32 [N]; 1 by default."""
    weights_N = torch.ones(count) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    if len(weights_N) != count or not (weights_N >= 0).all() or not weights_N.isfinite().all():
        raise ConfigError(f"{len(weights_N)} weights for {count} examples; expected one of 0 or more for each")
    if count and not weights_N.any():
        raise ConfigError(f"the weights of all {count} examples are 0; expected at least one above 0")
    return weights_N


def fit_prefixes(
    parameters: dict[str, torch.nn.Parameter],
    prefixes: Callable[[list[int]], torch.Tensor],
    utterances: UtteranceLosses,
    weights_N: torch.Tensor,
    config: CloneConfig,
    checkpoint: _Checkpoint | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    deadline: Deadline | None = None,
) -> tuple[list[float], int]:
    """Fit parameters by AdamW, so that their prefix tokens make the model say the utterances.

    Args:
        parameters: by name; those whose names start with `policy.` have the learning rate `policy_lr`.
        prefixes: computes the prefix tokens [B, L, D] of some examples from the parameters.
        utterances: the losses of the examples.
        weights_N: weights of the examples.
        config: settings.
        checkpoint: where the state is saved after each epoch, and restored from.
        on_epoch: called with the number of each epoch, from 1, and its loss.
        deadline: when no epoch is begun any more that would not end in time.

    Returns:
        The loss of every epoch, and the number of updates.
    """
    rates = {name: config.policy_lr if name.startswith("policy.") else config.lr for name in parameters}
    groups = [{"params": [parameters[name]], "lr": rate, "initial": rate} for name, rate in rates.items()]
    optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    batches = -(-len(utterances) // config.batch)
    loss_of = utterances.divergence if config.soft else utterances.nll
    losses = checkpoint.restore(parameters, optimiser) if checkpoint else []
    deadline = deadline or Deadline()
    for epoch in range(len(losses), config.epochs):
        total, spoken, began = 0.0, 0.0, deadline.clock()
        for number, index_B in enumerate(_batches(utterances.tokens, config, epoch)):
            _set_rates(optimiser, 1 - (epoch * batches + number) / (config.epochs * batches))
            found = loss_of(index_B, prefixes(index_B))
            weights_B = weights_N[index_B].to(found.loss_B.device)
            loss, tokens = (weights_B * found.loss_B).sum(), (weights_B * found.tokens_B).sum()
            _descend(optimiser, loss / tokens, parameters.values(), config.clip)
            total, spoken = total + float(loss.detach()), spoken + float(tokens)
        losses.append(total / spoken)
        if checkpoint:
            checkpoint.write(parameters, optimiser, losses)
        if on_epoch:
            on_epoch(epoch + 1, losses[-1])
        if deadline.clock() - began > deadline.remaining:
            break
    return losses, batches * len(losses)


def _descend(
    optimiser: torch.optim.Optimizer, loss: torch.Tensor, parameters: Iterable[torch.nn.Parameter], clip: float
) -> None:
    """Take a step down the gradient of a loss, whose norm is clipped."""
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parameters, clip)
    optimiser.step()


def _set_rates(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Set each learning rate to a share of its initial one."""
    for group in optimiser.param_groups:
        group["lr"] = group["initial"] * share


def _check(planner: Planner, model: LocalModel) -> None:
    planner.check(model)
    if planner.shape.placement != "end":
        raise ConfigError(
            f"the planner has the placement {planner.shape.placement!r}, where the tokens after the prefix need a "
            "gradient too; cloning is for placement 'end'"
        )
    if planner.policy.residual is not None:
        raise ConfigError("the planner has a residual network on top of its clone; clone before training that")


def _batches(tokens: Sequence[int], config: CloneConfig, epoch: int) -> list[list[int]]:
    """Draw the batches of an epoch. Examples of similar length share a batch, so that little is padded."""
    drawn = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(len(tokens), generator=drawn).tolist()
    pool = 8 * config.batch  # sorted within a pool only, so that every epoch has other batches
    ordered = [
        n for first in range(0, len(order), pool) for n in sorted(order[first : first + pool], key=tokens.__getitem__)
    ]
    batches = [ordered[first : first + config.batch] for first in range(0, len(ordered), config.batch)]
    return [batches[number] for number in torch.randperm(len(batches), generator=drawn).tolist()]


def _fingerprint(examples: Sequence[UtteranceExample], weights_N: torch.Tensor) -> str:
    content = [[[m.as_dict() for m in e.messages], e.text, e.ends] for e in examples]
    return hashlib.sha256(json.dumps([content, weights_N.tolist()]).encode()).hexdigest()[:16]


class _Checkpoint:
    """The state of a cloning after its last complete epoch, in a folder.

    Raises:
        ConfigError: the folder holds the state of another cloning.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder, self.about = folder, about
        self.found: dict[str, Any] = {}
        if (folder / _DESCRIPTION).exists():
            self.found = read_json(folder / _DESCRIPTION)
            if self.found.get("work") != json.loads(json.dumps(about)):
                raise ConfigError(
                    f"{str(folder)!r} holds the state of a cloning with other settings, examples or another planner; "
                    "use another folder, or delete it to start again"
                )

    def restore(self, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> list[float]:
        """Restore the state; returns the losses of the complete epochs."""
        if not self.found:
            return []
        losses = [float(loss) for loss in self.found["losses"]]
        path = self.folder / _STATE.format(len(losses))
        tensors = read_tensors(path)
        try:
            for name, parameter in parameters.items():
                parameter.data.copy_(tensors[name])
            state = {n: {key: tensors[f"adam/{name}/{key}"] for key in _ADAM} for n, name in enumerate(parameters)}
        except (KeyError, RuntimeError) as error:
            raise DataError(f"{str(path)!r} does not hold the state of this planner: {error}") from None
        optimiser.load_state_dict({"state": state, "param_groups": optimiser.state_dict()["param_groups"]})
        return losses

    def write(
        self, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer, losses: list[float]
    ) -> None:
        """Save the state after an epoch. The description names its file and is written last: a kill loses nothing."""
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in parameters.items():
            tensors[name] = parameter
            tensors |= {f"adam/{name}/{key}": optimiser.state[parameter][key] for key in _ADAM}
        write_tensors(self.folder / _STATE.format(len(losses)), tensors)
        write_json(self.folder / _DESCRIPTION, {"work": self.about, "losses": losses})
        (self.folder / _STATE.format(len(losses) - 1)).unlink(missing_ok=True)
