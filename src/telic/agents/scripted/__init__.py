"""Players without a model: chance, those who know everything, the classics."""

from telic.agents.scripted.players import ScriptedPlayer, TalkingPlayer, scripted_names, scripted_player

__all__ = ["ScriptedPlayer", "TalkingPlayer", "scripted_names", "scripted_player"]
