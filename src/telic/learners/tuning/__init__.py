"""Tuning of the model itself: a low-rank adapter (LoRA), trained with TRL and PEFT on what users made of the replies."""

from telic.learners.tuning.config import TuningConfig
from telic.learners.tuning.tune import tune

__all__ = ["TuningConfig", "tune"]
