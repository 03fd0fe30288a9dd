"""Cloning: teach a planner to make the frozen model say given utterances, by the model's own gradient.

With the utterances that the unsteered model said, all weighted alike, the planner learns to leave it as it is
(self-cloning, Li et al., arXiv 2406.11978): the start of learning from reward. With weights that follow from what the
utterances earned, it learns to say more of what paid off (advantage-weighted, as in arXiv 1910.00177).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from telic.errors import ConfigError, DataError
from telic.files import read_json, read_tensors, write_json, write_tensors
from telic.models.local import LocalModel
from telic.planner.gradient import Example, Utterances
from telic.planner.planner import Planner
from telic.settings import Settings

__all__ = ["CloneConfig", "CloneRun", "advantage_weights", "clone", "descend"]

_DESCRIPTION, _STATE = "cloning.json", "cloning-{:03d}.safetensors"
_ADAM = ("step", "exp_avg", "exp_avg_sq")


class CloneConfig(Settings):
    """How a planner is cloned."""

    epochs: int = Field(default=4, ge=1)
    """Times that each example is learnt from."""
    lr: float = Field(default=5e-3, gt=0, allow_inf_nan=False)
    """AdamW's learning rate for prefix tokens and the up-mapping, which falls linearly to zero. At 3e-2 the steered
    model's language breaks."""
    policy_lr: float = Field(default=1e-3, gt=0, allow_inf_nan=False)
    """The same for the network that chooses the action."""
    batch: int = Field(default=8, ge=1)
    """Examples per step."""
    weight_decay: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    """AdamW's."""
    clip: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """The gradient's norm is clipped at this."""
    soft: bool = False
    """Learn what the unsteered model might have said at each token, instead of the token that was said: what leaves it
    as it is, from few examples."""
    seed: int = 0
    """Draws the order of the examples."""


@dataclass(frozen=True, slots=True)
class CloneRun:
    """What came of it."""

    losses: tuple[float, ...]
    """Per epoch: the weighted mean per token, in nats, while it was learnt from; of the negative log-likelihood, or, if
    soft, of the divergence from the unsteered model."""
    steps: int
    """Updates in all."""
    examples: int
    """Examples with a weight above zero."""


def advantage_weights(
    returns: Sequence[float] | torch.Tensor, baseline: float | None = None, beta: float = 0.5, most: float = 20.0
) -> torch.Tensor:
    """`min(exp((G - baseline) / (beta * std(G))), most)`, with a mean of 1 (advantage-weighted regression).

    Args:
        returns: G, what was earned from each utterance on: [N].
        baseline: what is normal; by default their mean.
        beta: temperature, in standard deviations of the returns: the smaller, the more only the best counts.
        most: largest weight, before the mean is brought to 1.

    Returns:
        float32 [N].
    """
    if beta <= 0 or most <= 0:
        raise ConfigError(f"beta is {beta!r} and most is {most!r}; expected numbers above 0")
    returns_N = torch.as_tensor(returns, dtype=torch.float64)
    advantages_N = returns_N - (returns_N.mean() if baseline is None else baseline)
    scale = beta * returns_N.std(correction=0).clamp_min(1e-8)
    weights_N = (advantages_N / scale).exp().clamp_max(most)
    return (weights_N / weights_N.mean()).float()


def clone(
    planner: Planner,
    model: LocalModel,
    examples: Sequence[Example],
    weights: Sequence[float] | torch.Tensor | None = None,
    config: CloneConfig | None = None,
    *,
    folder: str | Path | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> CloneRun:
    """Train a planner, in place, so that the steered model says the examples' utterances.

    The loss of a step is `sum_i w_i loss_i / sum_i w_i tokens_i` over its batch. What is trained is the clone and, if
    it is a learned one, the up-mapping; the model stays frozen.

    Args:
        planner: its prefix tokens go at the end, and nothing was learnt on top of its clone yet.
        model: what it steers.
        examples: what is to be said, and to what.
        weights: of the examples, none below zero; by default 1 each.
        config: see `CloneConfig`.
        folder: where the state is written after each epoch. If it holds one of the same work, that is gone on with,
            and what comes of it is the same as without the break.
        on_epoch: is told of each epoch's number, from 1, and its loss.

    Raises:
        ConfigError: an argument is wrong, or the folder holds the state of other work.
        DataError: the folder's state is damaged.
    """
    config = config or CloneConfig()
    _check(planner, model)
    weights_N = torch.ones(len(examples)) if weights is None else torch.as_tensor(weights, dtype=torch.float32)
    if len(weights_N) != len(examples) or not (weights_N >= 0).all() or not weights_N.isfinite().all():
        raise ConfigError(f"{len(weights_N)} weights for {len(examples)} examples; expected one of 0 or more for each")
    kept = [number for number, weight in enumerate(weights_N.tolist()) if weight]
    utterances = Utterances(model, [examples[number] for number in kept])
    states_N_D, weights_N = utterances.states, weights_N[kept]

    def prefixes(index_B: list[int]) -> torch.Tensor:
        prefixes_B_L_D: torch.Tensor = planner(states_N_D[index_B])
        return prefixes_B_L_D

    keep = None
    if folder is not None:
        work = {"config": config.model_dump(mode="json"), "model": model.name, "planner": planner.plain_shape()}
        keep = _Checkpoint(Path(folder), {**work, "examples": _fingerprint(examples, weights_N)})
    parameters = dict(planner.named_parameters())
    losses, steps = descend(parameters, prefixes, utterances, weights_N, config, keep, on_epoch)
    return CloneRun(tuple(losses), steps, len(kept))


def descend(
    parameters: dict[str, torch.nn.Parameter],
    prefixes: Callable[[list[int]], torch.Tensor],
    utterances: Utterances,
    weights_N: torch.Tensor,
    config: CloneConfig,
    keep: _Checkpoint | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
) -> tuple[list[float], int]:
    """Adapt parameters to the utterances.

    Args:
        parameters: by name; those of `policy.` have a learning rate of their own.
        prefixes: the prefix tokens [B, L, D] of some examples, a function of the parameters.
        utterances: what is to be said.
        weights_N: of the examples.
        config: how.
        keep: where the state is kept.
        on_epoch: is told of each epoch's number, from 1, and its loss.

    Returns:
        The loss of every epoch, and the number of updates.
    """
    rates = {name: config.policy_lr if name.startswith("policy.") else config.lr for name in parameters}
    groups = [{"params": [parameters[name]], "lr": rate, "initial": rate} for name, rate in rates.items()]
    optimiser = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    batches = -(-len(utterances) // config.batch)
    loss_of = utterances.divergence if config.soft else utterances.nll
    losses = keep.restore(parameters, optimiser) if keep else []
    for epoch in range(len(losses), config.epochs):
        total = spoken = 0.0
        for number, index_B in enumerate(_batches(utterances.tokens, config, epoch)):
            for group in optimiser.param_groups:
                group["lr"] = group["initial"] * (1 - (epoch * batches + number) / (config.epochs * batches))
            found = loss_of(index_B, prefixes(index_B))
            weights_B = weights_N[index_B].to(found.loss_B.device)
            loss, tokens = (weights_B * found.loss_B).sum(), (weights_B * found.tokens_B).sum()
            optimiser.zero_grad()
            (loss / tokens).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters.values(), config.clip)
            optimiser.step()
            total, spoken = total + float(loss.detach()), spoken + float(tokens)
        losses.append(total / spoken)
        if keep:
            keep.write(parameters, optimiser, losses)
        if on_epoch:
            on_epoch(epoch + 1, losses[-1])
    return losses, batches * config.epochs


def _check(planner: Planner, model: LocalModel) -> None:
    planner.check(model)
    if planner.shape.placement != "end":
        raise ConfigError(
            f"the planner puts its prefix at {planner.shape.placement!r}, where all that follows it has a gradient as "
            "well; cloning is for placement 'end'"
        )
    if planner.policy.residual is not None:
        raise ConfigError("the planner has learnt on top of its clone already; clone before that")


def _batches(tokens: Sequence[int], config: CloneConfig, epoch: int) -> list[list[int]]:
    """The epoch's batches, in an order of its own; examples of like length are together, so that little is padded."""
    drawn = torch.Generator().manual_seed(config.seed * 1_000_003 + epoch)
    order = torch.randperm(len(tokens), generator=drawn).tolist()
    pool = 8 * config.batch  # sorted within a pool only, so that batches are mixed anew in each epoch
    ordered = [
        n for first in range(0, len(order), pool) for n in sorted(order[first : first + pool], key=tokens.__getitem__)
    ]
    batches = [ordered[first : first + config.batch] for first in range(0, len(ordered), config.batch)]
    return [batches[number] for number in torch.randperm(len(batches), generator=drawn).tolist()]


def _fingerprint(examples: Sequence[Example], weights_N: torch.Tensor) -> str:
    said = [[[m.as_dict() for m in e.messages], e.text, e.ends] for e in examples]
    return hashlib.sha256(json.dumps([said, weights_N.tolist()]).encode()).hexdigest()[:16]


class _Checkpoint:
    """The state after the last whole epoch, in a folder.

    Raises:
        ConfigError: the folder holds the state of other work.
    """

    def __init__(self, folder: Path, work: dict[str, Any]) -> None:
        self.folder, self.work = folder, work
        self.found: dict[str, Any] = {}
        if (folder / _DESCRIPTION).exists():
            self.found = read_json(folder / _DESCRIPTION)
            if self.found.get("work") != json.loads(json.dumps(work)):
                raise ConfigError(
                    f"{str(folder)!r} holds the state of cloning with other settings, examples or another planner; "
                    "take another folder, or delete it to start anew"
                )

    def restore(self, parameters: dict[str, torch.nn.Parameter], optimiser: torch.optim.Optimizer) -> list[float]:
        """Put the state back; returns the losses of the epochs done."""
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
        """Keep the state after an epoch. The description names the file, so that a kill in between leaves the last."""
        tensors: dict[str, torch.Tensor] = {}
        for name, parameter in parameters.items():
            tensors[name] = parameter
            tensors |= {f"adam/{name}/{key}": optimiser.state[parameter][key] for key in _ADAM}
        write_tensors(self.folder / _STATE.format(len(losses)), tensors)
        write_json(self.folder / _DESCRIPTION, {"work": self.work, "losses": losses})
        (self.folder / _STATE.format(len(losses) - 1)).unlink(missing_ok=True)
