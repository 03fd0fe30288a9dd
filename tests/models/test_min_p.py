"""Min-p: tokens that are much less likely than the most likely one are never drawn."""

from __future__ import annotations

from collections import Counter

import pytest
import torch

from telic.errors import ConfigError
from telic.models import Sampling
from telic.models.local.sampling import RandomStream, sample_tokens


def drawn(probabilities: torch.Tensor, sampling: Sampling, count: int = 400) -> Counter[int]:
    logits_R_V = probabilities.log().repeat(count, 1)
    streams = [RandomStream(seed) for seed in range(count)]
    return Counter(sample_tokens(logits_R_V, [sampling] * count, streams))


def test_tokens_below_the_share_are_left_out() -> None:
    probabilities = torch.tensor([0.1, 0.4, 0.2, 0.25, 0.05])
    assert set(drawn(probabilities, Sampling())) == {0, 1, 2, 3, 4}
    assert set(drawn(probabilities, Sampling(min_p=0.45))) == {1, 2, 3}
    assert set(drawn(probabilities, Sampling(min_p=0.45, top_k=2))) == {1, 3}
    assert set(drawn(probabilities, Sampling(min_p=0.2, top_p=0.5))) == {1, 3}
    assert set(drawn(probabilities, Sampling(min_p=1.0))) == {1}


def test_all_tokens_above_the_share_may_be_drawn() -> None:
    flat = torch.ones(5000)
    flat[4000:] = 0.01
    found = drawn(flat / flat.sum(), Sampling(min_p=0.5))
    assert max(found) < 4000
    assert max(found) > 1024 + 500, "more than the candidates that are sorted first"


def test_a_share_is_between_0_and_1() -> None:
    with pytest.raises(ConfigError, match=r"min_p is 1\.5; expected at least 0 and at most 1"):
        Sampling(min_p=1.5)
