"""Playing many episodes at once: batched on this machine, or on Ray."""

from telic.rollouts.play import PlayRun, play
from telic.rollouts.results import GameResult, analyse_games
from telic.rollouts.workers import PlayerFactory, Workers

__all__ = ["GameResult", "PlayRun", "PlayerFactory", "Workers", "analyse_games", "play"]
