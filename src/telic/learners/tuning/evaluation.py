"""What an adapter changed on held-out users: log-likelihoods with and without it, rewards, margins."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from telic.learners.tuning.config import TuningConfig
from telic.learners.tuning.examples import Example
from telic.statistics import Interval, bootstrap_sums

__all__ = ["evaluate_adapter", "log_likelihoods"]

AT_ONCE = 4
"""Examples in a batch: logits over the whole vocabulary take much memory."""
Floats = npt.NDArray[np.float64]


def log_likelihoods(
    model: Any, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], on_done: Callable[[int], None] | None = None
) -> Floats:
    """Compute the log-likelihood of completions, in nats, [N].

    Args:
        model: a causal model of `transformers`.
        pairs: prompt and completion of each, as token ids.
        on_done: called with the number of completions of each batch.
    """
    found = np.zeros(len(pairs))
    order = sorted(range(len(pairs)), key=lambda at: len(pairs[at][0]) + len(pairs[at][1]))
    for start in range(0, len(order), AT_ONCE):
        batch = order[start : start + AT_ONCE]
        found[batch] = _batch([pairs[at] for at in batch], model)
        if on_done is not None:
            on_done(len(batch))
    return found


def _batch(pairs: Sequence[tuple[Sequence[int], Sequence[int]]], model: Any) -> Floats:
    width = max(len(prompt) + len(completion) for prompt, completion in pairs)
    ids_R_T = torch.zeros(len(pairs), width, dtype=torch.long)
    mask_R_T = torch.zeros_like(ids_R_T)
    for row, (prompt, completion) in enumerate(pairs):
        tokens = [*prompt, *completion]
        ids_R_T[row, : len(tokens)] = torch.tensor(tokens)
        mask_R_T[row, : len(tokens)] = 1
    with torch.inference_mode():
        device = model.device
        logits = model(input_ids=ids_R_T.to(device), attention_mask=mask_R_T.to(device), use_cache=False).logits
    summed = []
    for row, (prompt, completion) in enumerate(pairs):
        own = logits[row, len(prompt) - 1 : len(prompt) + len(completion) - 1].float().log_softmax(-1)
        summed.append(float(own.gather(1, torch.tensor(completion, device=own.device)[:, None]).sum()))
    return np.array(summed)


def evaluate_adapter(
    model: Any, held_out: Sequence[Example], config: TuningConfig, on_done: Callable[[int], None] | None = None
) -> dict[str, Any]:
    """Compare a model of `peft` with and without its adapter on held-out examples.

    Returns:
        Intervals by what was measured; each resamples users. `reward_margin` is how much more reward the good replies
        have than the bad ones, or the better of a pair than the worse: beta times the difference of log-ratios. It is
        0 without the adapter. `nll` is the negative log-likelihood per token of the good replies.
    """
    model.eval()
    first = [(one.prompt_ids, one.completion_ids) for one in held_out]
    second = [(one.prompt_ids, one.rejected_ids) for one in held_out if one.rejected_ids]
    after = log_likelihoods(model, [*first, *second], on_done)
    with model.disable_adapter():
        before = log_likelihoods(model, [*first, *second], on_done)
    reward = config.beta * (after - before)
    users = [one.user for one in held_out]
    good = np.array([one.good for one in held_out], dtype=float)
    tokens = np.array([len(one.completion_ids) for one in held_out], dtype=float) * good
    count = len(held_out)

    def interval(columns: Sequence[Floats], statistic: Callable[[Floats], Floats]) -> dict[str, Any]:
        rows = np.stack(columns, axis=1)
        grouped = np.stack([rows[[user == own for user in users]].sum(0) for own in sorted(set(users))])
        return _described(bootstrap_sums(grouped, statistic, resamples=config.resamples, seed=config.seed))

    found = {
        "examples": count,
        "users": len(set(users)),
        "nll_before": interval([-before[:count] * good, tokens], lambda sums: sums[..., 0] / sums[..., 1]),
        "nll_after": interval([-after[:count] * good, tokens], lambda sums: sums[..., 0] / sums[..., 1]),
        "nll_change": interval(
            [(before - after)[:count] * good, tokens], lambda sums: np.asarray(sums[..., 0] / sums[..., 1])
        ),
    }
    if config.method == "dpo":
        margin = reward[:count] - reward[count:]
        ones = np.ones(count)
        found["reward_margin"] = interval([margin, ones], lambda sums: sums[..., 0] / sums[..., 1])
        found["accuracy"] = interval([(margin > 0).astype(float), ones], lambda sums: sums[..., 0] / sums[..., 1])
    if config.method == "kto":
        found["reward_margin"] = interval(
            [reward * good, good, reward * (1 - good), 1 - good],
            lambda sums: sums[..., 0] / sums[..., 1] - sums[..., 2] / sums[..., 3],
        )
    return found


def _described(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high, "n": found.n}
