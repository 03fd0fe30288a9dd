"""Playing many episodes at once: batched on this machine, or on Ray."""

from telic.rollouts.play import Cast, PlayRun, play
from telic.rollouts.results import GameResult, analyse

__all__ = ["Cast", "GameResult", "PlayRun", "analyse", "play"]
