"""Instruction stability: does a chatbot hold to its purpose over many rounds?"""

from telic.stability.analysis import Stability, analyse
from telic.stability.bank import Bank, Triplet
from telic.stability.config import MeasureConfig
from telic.stability.measure import StabilityRun, measure

__all__ = ["Bank", "MeasureConfig", "Stability", "StabilityRun", "Triplet", "analyse", "measure"]
