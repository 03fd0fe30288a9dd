"""Tuning of the model itself: a low-rank adapter (LoRA), trained with TRL and PEFT on users' feedback."""

from telic.learners.tuning.config import TuningConfig
from telic.learners.tuning.tune import tune

__all__ = ["TuningConfig", "tune"]
