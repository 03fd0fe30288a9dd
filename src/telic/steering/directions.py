"""Where steering vectors come from: activations recorded by the engine itself, and the directions found in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError
from telic.models.control import Control, ControlBatch, ControlPoint
from telic.models.local import LocalModel
from telic.models.request import Request, Sampling
from telic.steering.saving import Origin
from telic.steering.vector import Vector

__all__ = [
    "Activations",
    "Recorder",
    "collect",
    "from_reader",
    "mean_difference",
    "principal_component",
    "purpose_axis",
]

Activations = dict[int, torch.Tensor]
"""Per layer: float32 [dialogues, hidden]."""

At = Literal["replies", "start"]


class Recorder(Control):
    """Sums up the residual stream of one row over some of its tokens, and changes nothing.

    Listed after other controls, it sees what they did.
    """

    name: ClassVar[str] = "recorder"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"residual"})

    def __init__(self, layers: Iterable[int], at: At) -> None:
        self._layers, self.at = frozenset(layers), at
        self.sums: dict[int, torch.Tensor] = {}
        """Per layer: float32 [hidden]."""
        self.counts: dict[int, int] = {}

    @property
    def layers(self) -> frozenset[int]:
        """Layers that are recorded."""
        return self._layers

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Add up the tokens wanted: those of the replies in the prompt, or the one from which the next would start."""
        wanted_N = batch.memo.get("wanted")
        if wanted_N is None:
            start = batch.contexts[0].prompt_length - 1
            is_start_N = batch.position_N == start
            wanted_N = is_start_N if self.at == "start" else batch.reply_N & (batch.position_N < start)
            batch.memo["wanted"] = wanted_N
        picked_M_D = hidden_N_D[wanted_N].float()
        if len(picked_M_D):
            self.sums[layer] = self.sums.get(layer, 0) + picked_M_D.sum(0)
            self.counts[layer] = self.counts.get(layer, 0) + len(picked_M_D)
        return hidden_N_D

    def mean(self, layer: int) -> torch.Tensor | None:
        """float32 [hidden], on the CPU; None if no token was wanted."""
        return (self.sums[layer] / self.counts[layer]).cpu() if layer in self.sums else None


def collect(
    model: LocalModel,
    dialogues: Sequence[Sequence[Message]],
    layers: Iterable[int],
    at: At = "replies",
    controls: Sequence[Control] = (),
) -> Activations:
    """Record the residual stream while the model reads dialogues, all in one batch.

    Args:
        model: a model that runs in this process.
        dialogues: what it reads.
        layers: after which layers; 0 is the first block's output.
        at: `replies` is the mean over the tokens of all replies in a dialogue, each with the token from which it starts
            (those on which a `Vector` acts by default); `start` is the last token of the prompt, from which the next
            reply would start.
        controls: what bends the model meanwhile.

    Returns:
        Per layer: float32 [dialogues, hidden].

    Raises:
        ConfigError: a layer is not there, there are no dialogues, or one has no reply.
        ModelError: a dialogue cannot be read; it may exceed the context.
    """
    wanted = sorted(set(layers))
    if at not in get_args(At):
        raise ConfigError(f"cannot record at {at!r}; expected 'replies' or 'start'")
    if not wanted or wanted[0] < 0 or wanted[-1] >= model.layers:
        raise ConfigError(f"cannot record layers {wanted}: model {model.name!r} has layers 0 to {model.layers - 1}")
    if not dialogues:
        raise ConfigError("cannot record activations: there are no dialogues")
    # One recorder for each: rows with the same prompt would otherwise read it once between them.
    recorders = [Recorder(wanted, at) for _ in dialogues]
    once = Sampling(max_new_tokens=1, temperature=0.0, seed=0)
    replies = model.generate(
        [
            Request(tuple(dialogue), once, (*controls, recorder))
            for dialogue, recorder in zip(dialogues, recorders, strict=True)
        ]
    )
    means: dict[int, list[torch.Tensor]] = {layer: [] for layer in wanted}
    for index, (reply, recorder) in enumerate(zip(replies, recorders, strict=True)):
        if not reply.new_tokens:
            reason = f"its {reply.prompt_tokens} tokens exceed the context of {model.context}"
            if reply.failure is not None and reply.failure.kind != "context_full":
                reason = reply.failure.detail
            raise ModelError(f"cannot record dialogue {index}: {reason}")
        for layer in wanted:
            mean_D = recorder.mean(layer)
            if mean_D is None:
                raise ConfigError(f"cannot record dialogue {index}: nothing is said in it by the assistant")
            means[layer].append(mean_D)
    return {layer: torch.stack(rows) for layer, rows in means.items()}


def mean_difference(
    positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """Mean of the positive activations minus mean of the negative ones (arXiv 2312.06681), per layer [hidden].

    Raises:
        ConfigError: the two were recorded at different layers.
    """
    _check_layers(positive, negative)
    return {layer: positive[layer].float().mean(0) - negative[layer].float().mean(0) for layer in positive}


def principal_component(
    positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """First principal component of pairs, each around its own middle (arXiv 2310.01405), per layer [hidden].

    That is the direction that explains most of the paired differences, their mean not taken away. It points to the
    positive side, and is as long as the differences' root mean square along it.

    Args:
        positive: per layer [pairs, hidden].
        negative: the same, in the same order.

    Raises:
        ConfigError: these are no pairs, or were recorded at different layers.
    """
    _check_layers(positive, negative)
    found = {}
    for layer in positive:
        if positive[layer].shape != negative[layer].shape:
            shapes = f"{list(positive[layer].shape)} and {list(negative[layer].shape)}"
            raise ConfigError(f"principal_component needs pairs, but the activations at layer {layer} are {shapes}")
        difference_N_D = (positive[layer] - negative[layer]).double()
        _, size_K, axis_K_D = torch.linalg.svd(difference_N_D, full_matrices=False)
        sign = -1.0 if (difference_N_D @ axis_K_D[0]).mean() < 0 else 1.0
        found[layer] = (sign * size_K[0] / len(difference_N_D) ** 0.5 * axis_K_D[0]).float()
    return found


def from_reader(
    weights: Mapping[int, Any], activations: Mapping[int, torch.Tensor] | None = None
) -> dict[int, torch.Tensor]:
    """The directions that a linear probe reads: steering along them changes what it believes (arXiv 2406.07882).

    Args:
        weights: per layer [hidden], on activations that were not standardised (else divide by their deviations first).
        activations: per layer [dialogues, hidden]; the direction is then as long as their standard deviation along it,
            since a probe's own weights have no scale in common with the residual stream. Without them it is as given.

    Raises:
        ConfigError: there are no activations for a layer.
    """
    found = {layer: torch.as_tensor(weight).detach().float() for layer, weight in weights.items()}
    if activations is None:
        return found
    missing = sorted(set(found) - set(activations))
    if missing:
        raise ConfigError(f"there are no activations for layer {missing[0]}, of which weights are given")
    units = {layer: weight_D / weight_D.norm() for layer, weight_D in found.items()}
    return {layer: (activations[layer].float() @ unit_D).std() * unit_D for layer, unit_D in units.items()}


def purpose_axis(
    model: LocalModel,
    systems: Sequence[str],
    dialogues: Sequence[Sequence[Message]],
    layers: Iterable[int],
    **options: Any,
) -> Vector:
    """What each system prompt does to the residual stream: mean over replies with it, minus without it.

    Args:
        model: a model that runs in this process.
        systems: the system prompts.
        dialogues: the same for all; a system prompt of their own is left out. Many chat templates put in one of their
            own where there is none, and what the axis leads away from is then that.
        layers: after which layers.
        **options: of `Vector`; such as `mode="cap", floor="first"`, which holds each dialogue at its own first level.

    Returns:
        A vector with a direction for each system prompt, each of which acts on the rows that have that system prompt.

    Raises:
        ConfigError: as `collect`, or a system prompt changes nothing.
    """
    if not systems:
        raise ConfigError("cannot find a purpose axis: there are no system prompts")
    systems, wanted, plain = (
        list(dict.fromkeys(systems)),
        list(layers),
        [Dialogue(dialogue).turns() for dialogue in dialogues],
    )
    told = [dialogue.with_system(system) for system in systems for dialogue in plain]
    activations = collect(model, [*plain, *told], wanted)
    directions: dict[str, dict[int, torch.Tensor]] = {system: {} for system in systems}
    for layer, mean_P_D in activations.items():
        without_D, *means = mean_P_D.view(-1, len(plain), model.hidden_size).mean(1)
        for system, mean_D in zip(systems, means, strict=True):
            directions[system][layer] = mean_D - without_D
    return Vector(directions, by_system=True, origin=Origin.of(model), **options)


def _check_layers(positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]) -> None:
    if set(positive) != set(negative):
        raise ConfigError(f"activations were recorded at layers {sorted(positive)}, and at {sorted(negative)}")
