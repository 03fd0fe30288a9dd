"""Training of token probes: all readers of a model at once, by gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import torch
from torch.nn.functional import cross_entropy

from telic.readers.linear_probe import LEAST_DEVIATION, LEFT_OUT
from telic.readers.recording import CONTEXT_FEATURES, ROLES, Halves
from telic.readers.token_probe import TokenProbe

__all__ = ["EPOCHS", "LabelledFeatures", "fit_token_probes"]

EPOCHS = 10
HEADS = 2
BATCH = 64
"""Dialogues in a batch; fewer, where they are long."""
BATCH_TOKENS = 6000
RATE = 4e-3
"""Highest learning rate."""
DECAY = 0.05
DROPPED = 0.1
"""Share of the features that are left out of a dialogue in a step of the training."""
NOTHING = 1000.0
"""Fall of a score that leaves a token no share."""
_OTHERS = [index - CONTEXT_FEATURES for index, role in enumerate(ROLES) if role != "user"]
"""The features that say that a token is not the user's."""

OnEpoch = Callable[[int, int], None]


@dataclass(frozen=True)
class LabelledFeatures:
    """Dialogues and their labels."""

    features_N: Sequence[Halves]
    """By dialogue: [tokens, F]."""
    labels_N_R: npt.NDArray[np.intp]
    """Index of the class by reader; the number of classes for unknown, or LEFT_OUT."""

    @property
    def lengths(self) -> npt.NDArray[np.intp]:
        """Number of tokens of each dialogue."""
        return np.array([len(features_T_F) for features_T_F in self.features_N])

    def batches(self, rng: np.random.Generator | None = None) -> Iterator[npt.NDArray[np.intp]]:
        """Group dialogues of similar length; with `rng`, in a random order."""
        lengths = self.lengths
        order = np.argsort(lengths + (rng.random(len(lengths)) * 12 if rng else 0))
        starts, count = [0], 0
        for place, length in enumerate(lengths[order].tolist()):
            if count and (count >= BATCH or (count + 1) * length > BATCH_TOKENS):
                starts.append(place)
                count = 0
            count += 1
        batches = [order[start:end] for start, end in pairwise([*starts, len(order)])]
        if rng:
            rng.shuffle(batches)
        yield from batches

    def padded(self, batch: npt.NDArray[np.intp]) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the features of some dialogues, [B, T, F], and which tokens there are, [B, T]."""
        own = [torch.from_numpy(self.features_N[index]) for index in batch]
        features_B_T_F = torch.nn.utils.rnn.pad_sequence(own, batch_first=True).float()
        lengths_B = torch.tensor([len(one) for one in own])
        return features_B_T_F, torch.arange(features_B_T_F.shape[1])[None] < lengths_B[:, None]


class _Probes(torch.nn.Module):
    """Token probes of several readers on standardised features."""

    def __init__(self, width: int, classes: Sequence[int], of_user: Sequence[bool]) -> None:
        super().__init__()
        self.classes = list(classes)
        self.deaf_R_F = torch.zeros(len(self.classes), width)
        for reader, only in enumerate(of_user):
            for feature in _OTHERS if only else ():
                self.deaf_R_F[reader, feature] = -NOTHING
        self.query = torch.nn.Linear(width, HEADS * len(classes), bias=False)
        self.weight = torch.nn.Linear(width, HEADS * sum(classes), bias=False)
        self.bias = torch.nn.Parameter(torch.zeros(sum(classes)))
        torch.nn.init.normal_(self.query.weight, std=0.01)
        torch.nn.init.zeros_(self.weight.weight)

    def forward(
        self, features_B_T_F: torch.Tensor, plain_B_T_F: torch.Tensor, there_B_T: torch.Tensor
    ) -> list[torch.Tensor]:
        """Compute the logits of each reader, [B, classes], from standardised and from plain features."""
        size, tokens, _ = features_B_T_F.shape
        scores = self.query(features_B_T_F).view(size, tokens, HEADS, len(self.classes))
        scores = scores + (plain_B_T_F @ self.deaf_R_F.T)[:, :, None]
        shares = scores.masked_fill(~there_B_T[..., None, None], -2 * NOTHING).softmax(1)
        votes = torch.split(self.weight(features_B_T_F).view(size, tokens, HEADS, -1), self.classes, dim=-1)
        return [
            (shares[..., reader, None] * own).sum((1, 2)) + bias
            for reader, (own, bias) in enumerate(zip(votes, torch.split(self.bias, self.classes), strict=True))
        ]

    def export(self, mean_F: torch.Tensor, deviation_F: torch.Tensor) -> list[TokenProbe]:
        """Return the probes on features that are not standardised; a query needs no constant, as softmax drops it."""
        queries = (self.query.weight / deviation_F).view(HEADS, len(self.classes), -1).detach() + self.deaf_R_F
        weights = (self.weight.weight / deviation_F).view(HEADS, sum(self.classes), -1).detach()
        biases = self.bias.detach() - (weights @ mean_F).sum(0)
        parts = zip(torch.split(weights, self.classes, dim=1), torch.split(biases, self.classes), strict=True)
        return [
            TokenProbe(queries[:, reader].numpy(), weight.contiguous().numpy(), bias.numpy())
            for reader, (weight, bias) in enumerate(parts)
        ]


def fit_token_probes(
    training: LabelledFeatures,
    classes: Sequence[int],
    of_user: Sequence[bool],
    seed: int = 0,
    on_epoch: OnEpoch | None = None,
) -> list[TokenProbe]:
    """Fit a probe for each reader by AdamW, with a learning rate that rises and falls to nothing.

    A class weighs the root of what would give all classes of a reader the same weight. No epoch is chosen on validation
    dialogues: the loss there rises from the second epoch on, since the probes get too sure of themselves, while they
    still get better; a temperature makes good for that.

    Args:
        training: dialogues to fit on.
        classes: number of classes of each reader, unknown among them.
        of_user: for each reader, whether it listens to the user's words only.
        seed: of the first weights and of the order of the dialogues.
        on_epoch: called with the number of epochs done, and of all.
    """
    mean_F, deviation_F = _scale(training.features_N)
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        probes = _Probes(len(mean_F), classes, of_user)
        optimizer = torch.optim.AdamW(probes.parameters(), lr=RATE, weight_decay=DECAY)
        steps = sum(1 for _ in training.batches()) * (EPOCHS + 1)  # a random order may have more batches
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.15)
        weights = [_class_weights(labels_N, own) for labels_N, own in zip(training.labels_N_R.T, classes, strict=True)]
        for epoch in range(EPOCHS):
            for batch in training.batches(rng):
                features_B_T_F, there_B_T = training.padded(batch)
                dropped_B_T_F = _dropped((features_B_T_F - mean_F) / deviation_F)
                losses = _losses(probes(dropped_B_T_F, features_B_T_F, there_B_T), training.labels_N_R[batch], weights)
                optimizer.zero_grad()
                torch.stack([own.mean() for own in losses if len(own)]).sum().backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                schedule.step()
            if on_epoch is not None:
                on_epoch(epoch + 1, EPOCHS)
    return probes.export(mean_F, deviation_F)


def _scale(features_N: Sequence[Halves]) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the mean of each feature over all tokens, and by what it is divided."""
    count = sum(map(len, features_N))
    sums = [(own.sum(0), (own**2).sum(0)) for one in features_N for own in [one.astype(np.float64)]]
    mean_F = np.sum([own for own, _ in sums], axis=0) / count
    spread_F = np.sqrt(np.maximum(np.sum([own for _, own in sums], axis=0) / count - mean_F**2, 0))
    deviation_F = np.maximum(np.maximum(spread_F, LEAST_DEVIATION * np.abs(mean_F)), 1e-3)
    return torch.from_numpy(mean_F).float(), torch.from_numpy(deviation_F).float()


def _dropped(features_B_T_F: torch.Tensor) -> torch.Tensor:
    kept_B_1_F = torch.rand(len(features_B_T_F), 1, features_B_T_F.shape[2]) >= DROPPED
    return features_B_T_F * kept_B_1_F / (1 - DROPPED)


def _class_weights(labels_N: npt.NDArray[np.intp], classes: int) -> torch.Tensor:
    counts_C = np.maximum(np.bincount(labels_N[labels_N != LEFT_OUT], minlength=classes), 1)
    return torch.from_numpy(np.sqrt(counts_C.sum() / counts_C / classes)).float()


def _losses(
    logits_R: Sequence[torch.Tensor], labels_N_R: npt.NDArray[np.intp], weights_R: Sequence[torch.Tensor]
) -> list[torch.Tensor]:
    """Compute the weighted loss of each dialogue that has a label, by reader."""
    found = []
    for logits_N_C, labels_N, weights_C in zip(logits_R, torch.from_numpy(labels_N_R).T, weights_R, strict=True):
        used_N = labels_N != LEFT_OUT
        found.append(cross_entropy(logits_N_C[used_N], labels_N[used_N], weight=weights_C, reduction="none"))
    return found
