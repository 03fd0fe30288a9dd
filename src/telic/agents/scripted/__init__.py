"""Players without a model: random and perfect play, other scripts, and the classics."""

from telic.agents.scripted.catalog import scripted_names, scripted_player
from telic.agents.scripted.players import ScriptedPlayer, TalkingPlayer

__all__ = ["ScriptedPlayer", "TalkingPlayer", "scripted_names", "scripted_player"]
