"""Probes of a whole dialogue: each looks for the tokens that tell, and classifies what it finds there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import softmax

from telic.readers.linear_probe import Floats

__all__ = ["TokenProbe"]


@dataclass(frozen=True, slots=True)
class TokenProbe:
    """A linear classifier of tokens' features, pooled by attention.

    Each head scores every token with its query. The features, weighted by the softmax of the scores over the dialogue's
    tokens, are classified linearly, and the heads' logits add up.
    """

    query_H_F: Floats
    weight_H_C_F: Floats
    bias_C: Floats

    @classmethod
    def mean(cls, probes: Sequence[TokenProbe]) -> TokenProbe:
        """Make a probe whose logits are the mean of those of several; it has all their heads."""
        queries, weights, biases = zip(*((one.query_H_F, one.weight_H_C_F, one.bias_C) for one in probes), strict=True)
        return cls(np.concatenate(queries), np.concatenate(weights) / len(probes), np.mean(biases, axis=0))

    def shifted(self, shift: float) -> TokenProbe:
        """Make a probe whose last logit, that of "unknown", is so much larger."""
        bias_C = self.bias_C.copy()
        bias_C[-1] += shift
        return replace(self, bias_C=bias_C)

    def logits(self, features_N: Sequence[Floats]) -> Floats:
        """Compute the logits, [N, C], of dialogues with features [tokens, F] each."""
        return np.stack([self._logits_of(features_T_F.astype(np.float32)) for features_T_F in features_N])

    def _logits_of(self, features_T_F: Floats) -> Floats:
        if not len(features_T_F):
            return self.bias_C
        share_T_H: Floats = softmax(features_T_F @ self.query_H_F.T, axis=0)
        pooled_H_F = share_T_H.T @ features_T_F
        logits_C: Floats = np.einsum("hf,hcf->c", pooled_H_F, self.weight_H_C_F) + self.bias_C
        return logits_C
