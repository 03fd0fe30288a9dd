"""Models that run in this process: every causal model of `transformers`, on a batched engine."""

from telic.models.local.model import LocalModel

__all__ = ["LocalModel"]
