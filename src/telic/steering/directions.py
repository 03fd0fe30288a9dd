"""Directions for steering vectors, found in activations that the engine records."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError, ModelError
from telic.models.control import Control, ControlBatch, ControlPoint
from telic.models.local import LocalModel
from telic.models.request import Reply, Request, Sampling
from telic.steering.saving import Origin
from telic.steering.vector import Vector

__all__ = [
    "Activations",
    "MeanRecorder",
    "collect_activations",
    "from_reader",
    "mean_difference",
    "principal_component",
    "purpose_axis",
]

Activations = dict[int, torch.Tensor]
"""Per layer: float32 [dialogues, hidden]."""

At = Literal["replies", "start"]


class MeanRecorder(Control):
    """Sums the residual stream of one sequence over some of its tokens, and changes nothing.

    If it is listed after other controls, it records their changes.
    """

    name: ClassVar[str] = "mean_recorder"
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
        """Add up the tokens of the prompt's replies, or the token from which the next reply would start."""
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
        """Compute the mean, float32 [hidden], on the CPU; None if no token was recorded."""
        return (self.sums[layer] / self.counts[layer]).cpu() if layer in self.sums else None


def collect_activations(
    model: LocalModel,
    dialogues: Sequence[Sequence[Message]],
    layers: Iterable[int],
    at: At = "replies",
    controls: Sequence[Control] = (),
) -> Activations:
    """Record the residual stream while the model reads dialogues, all in one batch.

    Args:
        model: a model that runs in this process.
        dialogues: the dialogues to read.
        layers: layers to record; 0 is the first block's output.
        at: `replies` is the mean over the tokens of all replies in a dialogue, each with the token from which it starts
            (the tokens on which a `Vector` acts by default); `start` is the last token of the prompt, from which the
            next reply would start.
        controls: act on the model meanwhile.

    Returns:
        Per layer: float32 [dialogues, hidden].

    Raises:
        ConfigError: the model lacks a layer, there are no dialogues, or one has no reply.
        ModelError: a dialogue cannot be read, for example because it exceeds the context.
    """
    wanted = sorted(set(layers))
    _check_recording(model, dialogues, wanted, at)
    # A recorder for each dialogue: sequences with one prompt and one control would share its reading.
    recorders = [MeanRecorder(wanted, at) for _ in dialogues]
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
            raise ModelError(f"cannot record dialogue {index}: {_reason(model, reply)}")
        for layer in wanted:
            mean_D = recorder.mean(layer)
            if mean_D is None:
                raise ConfigError(f"cannot record dialogue {index}: the assistant says nothing in it")
            means[layer].append(mean_D)
    return {layer: torch.stack(means_D) for layer, means_D in means.items()}


def _check_recording(model: LocalModel, dialogues: Sequence[Sequence[Message]], layers: Sequence[int], at: str) -> None:
    if at not in get_args(At):
        raise ConfigError(f"cannot record at {at!r}; expected 'replies' or 'start'")
    if not layers or layers[0] < 0 or layers[-1] >= model.layers:
        raise ConfigError(f"cannot record layers {layers}: model {model.name!r} has layers 0 to {model.layers - 1}")
    if not dialogues:
        raise ConfigError("cannot record activations: there are no dialogues")


def _reason(model: LocalModel, reply: Reply) -> str:
    if reply.failure is not None and reply.failure.kind != "context_full":
        return reply.failure.detail
    return f"its {reply.prompt_tokens} tokens exceed the context of {model.context_length}"


def mean_difference(
    positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """Compute the mean of the positive activations minus that of the negative ones, per layer [hidden].

    The method is contrastive activation addition (arXiv 2312.06681).

    Raises:
        ConfigError: the two were recorded at different layers.
    """
    _check_layers(positive, negative)
    return {layer: positive[layer].float().mean(0) - negative[layer].float().mean(0) for layer in positive}


def principal_component(
    positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]
) -> dict[int, torch.Tensor]:
    """Compute the first principal component of pairs, each centred on its mean (arXiv 2310.01405), per layer [hidden].

    It is the direction that explains most of the paired differences, without subtracting their mean. It points to the
    positive side, and is as long as the differences' root mean square along it.

    Args:
        positive: per layer [pairs, hidden].
        negative: the same, in the same order.

    Raises:
        ConfigError: the activations are not pairs, or were recorded at different layers.
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
    """Turn the weights of linear probes into directions: steering along them changes the belief (arXiv 2406.07882).

    Args:
        weights: per layer [hidden], on activations that were not standardised (else divide by their deviations first).
        activations: per layer [dialogues, hidden]; the direction is then as long as their standard deviation along it,
            since a probe's weights are not on the residual stream's scale. Without them the length is kept.

    Raises:
        ConfigError: a layer has weights but no activations.
    """
    found = {layer: torch.as_tensor(weight).detach().float() for layer, weight in weights.items()}
    if activations is None:
        return found
    missing = sorted(set(found) - set(activations))
    if missing:
        raise ConfigError(f"layer {missing[0]} has weights but no activations; record it too")
    units = {layer: weight_D / weight_D.norm() for layer, weight_D in found.items()}
    return {layer: (activations[layer].float() @ unit_D).std() * unit_D for layer, unit_D in units.items()}


def purpose_axis(
    model: LocalModel,
    systems: Sequence[str],
    dialogues: Sequence[Sequence[Message]],
    layers: Iterable[int],
    **options: Any,
) -> Vector:
    """Find what each system prompt does to the residual stream: the mean over replies with it, minus without it.

    Args:
        model: a model that runs in this process.
        systems: the system prompts.
        dialogues: the same for all system prompts; those that they have are removed. Many chat templates insert a
            default system prompt where there is none; the axis then leads away from that one.
        layers: layers of the directions.
        **options: of `Vector`; with `mode="cap", floor="first"` each dialogue is held at the level of its first reply.

    Returns:
        A vector with a direction for each system prompt, which acts on the sequences with that system prompt.

    Raises:
        ConfigError: as `collect_activations`, or a system prompt changes nothing.
    """
    if not systems:
        raise ConfigError("cannot find a purpose axis: there are no system prompts")
    systems = list(dict.fromkeys(systems))
    plain = [Dialogue(dialogue).turns() for dialogue in dialogues]
    prompted = [dialogue.with_system(system) for system in systems for dialogue in plain]
    activations = collect_activations(model, [*plain, *prompted], layers)
    directions: dict[str, dict[int, torch.Tensor]] = {system: {} for system in systems}
    for layer, mean_P_D in activations.items():
        without_D, *means = mean_P_D.view(-1, len(plain), model.hidden_size).mean(1)
        for system, mean_D in zip(systems, means, strict=True):
            directions[system][layer] = mean_D - without_D
    return Vector(directions, by_system=True, origin=Origin.of(model), **options)


def _check_layers(positive: Mapping[int, torch.Tensor], negative: Mapping[int, torch.Tensor]) -> None:
    if set(positive) != set(negative):
        raise ConfigError(
            f"the positive activations were recorded at layers {sorted(positive)}, the negative ones at "
            f"{sorted(negative)}; expected the same layers"
        )
