"""Sampling the next token of many sequences, each with its own settings and its own random numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from telic.models.request import Sampling

__all__ = ["RandomStream", "invert_on_device", "sample_tokens"]

Array = NDArray[np.float64]

CANDIDATES = 1024
"""Most likely tokens that are sorted first: the nucleus is nearly always among them, and a whole sort is slow."""
COLDEST = 1e-6
"""Lowest temperature: already greedy but for ties, and logits divided by it stay finite."""


class RandomStream:
    """The uniform random numbers of one reply: they depend on its seed and the step only, not on the batch."""

    def __init__(self, seed: int) -> None:
        self._generator = np.random.Generator(np.random.Philox(key=seed & (2**64 - 1)))

    def next(self) -> float:
        """Return the next number in [0, 1)."""
        return float(self._generator.random())


def sample_tokens(logits_R_V: torch.Tensor, settings: Sequence[Sampling], streams: Sequence[RandomStream]) -> list[int]:
    """Sample one token per row.

    Args:
        logits_R_V: float32.
        settings: one per row.
        streams: one per row; greedy rows do not use theirs.
    """
    tokens: list[int] = logits_R_V.argmax(-1).tolist()
    warm = [r for r, setting in enumerate(settings) if setting.temperature > 0]
    if not warm:
        return tokens
    index = torch.tensor(warm, device=logits_R_V.device)
    temperature = torch.tensor([max(settings[r].temperature, COLDEST) for r in warm], device=logits_R_V.device)
    probabilities = torch.softmax(logits_R_V[index] / temperature[:, None], dim=-1)
    top = torch.topk(probabilities, min(CANDIDATES, probabilities.shape[-1]), dim=-1)
    top_values, top_tokens = top.values.double().cpu().numpy(), top.indices.cpu().numpy()
    uniforms = [streams[row].next() for row in warm]
    on_cpu = probabilities.device.type == "cpu"
    free = [place for place, row in enumerate(warm) if _is_free(settings[row])]
    if free and not on_cpu:
        drawn = invert_on_device(probabilities[free], [uniforms[place] for place in free])
        for place, token in zip(free, drawn, strict=True):
            tokens[warm[place]] = token
    for place, row in enumerate(warm):
        setting, uniform = settings[row], uniforms[place]
        if _is_free(setting):
            if on_cpu:
                tokens[row] = _invert(np.cumsum(probabilities[place].double().numpy()), uniform)
            continue
        values, ids = top_values[place], top_tokens[place]
        if not _enough(values, setting):
            order = torch.sort(probabilities[place], descending=True, stable=True)
            values, ids = order.values.double().cpu().numpy(), order.indices.cpu().numpy()
        tokens[row] = int(ids[_invert(_truncated(values, setting), uniform)])
    return tokens


def invert_on_device(probabilities_F_V: torch.Tensor, uniforms: Sequence[float]) -> list[int]:
    """Draw from whole distributions where they are: on a GPU, all rows at once, and only the tokens leave it."""
    cumulative_F_V = probabilities_F_V.double().cumsum(-1)
    wanted_F_1 = torch.tensor(uniforms, dtype=torch.float64, device=cumulative_F_V.device)[:, None]
    found_F_1 = torch.searchsorted(cumulative_F_V, wanted_F_1 * cumulative_F_V[:, -1:], right=True)
    tokens: list[int] = found_F_1.clamp_max(cumulative_F_V.shape[1] - 1).flatten().tolist()
    return tokens


def _is_free(setting: Sampling) -> bool:
    """Whether every token may be drawn."""
    return setting.top_p == 1 and not setting.top_k and not setting.min_p


def _enough(values: Array, setting: Sampling) -> bool:
    """Whether the candidates include every token that may be sampled."""
    if setting.top_k:
        return setting.top_k <= len(values)
    return float(values.sum()) >= setting.top_p or bool(values[-1] < setting.min_p * values[0])


def _truncated(values: Array, setting: Sampling) -> Array:
    """Cumulative probabilities, in falling order, of what is left after top-k, the nucleus of that, and min-p."""
    if setting.top_k:
        values = values[: setting.top_k]
    cumulative: Array = np.cumsum(values)
    whole = cumulative[-1] if setting.top_k else 1.0
    last = min(int(np.searchsorted(cumulative, setting.top_p * whole)), len(cumulative) - 1)
    likely = int(np.count_nonzero(values >= setting.min_p * values[0]))
    return cumulative[: min(last + 1, likely)]


def _invert(cumulative: Array, uniform: float) -> int:
    """The index at which the cumulative mass passes a uniform number."""
    return min(int(np.searchsorted(cumulative, uniform * cumulative[-1], side="right")), len(cumulative) - 1)
