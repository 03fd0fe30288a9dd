"""A pair programmer: resolves issues in a repository in dialogue with their author.

Names are imported when they are first used, so that the command line starts fast.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic.lazy import imports

if TYPE_CHECKING:
    from telic.assistants.pairing.asking_player import AskingPlayers
    from telic.assistants.pairing.config import PairConfig
    from telic.assistants.pairing.player import PairPlayer
    from telic.assistants.pairing.programmer import PairProgrammer
    from telic.assistants.pairing.session import PairSession

__all__ = ["AskingPlayers", "PairConfig", "PairPlayer", "PairProgrammer", "PairSession"]

__getattr__ = imports(
    __name__,
    {
        "AskingPlayers": "telic.assistants.pairing.asking_player",
        "PairConfig": "telic.assistants.pairing.config",
        "PairPlayer": "telic.assistants.pairing.player",
        "PairProgrammer": "telic.assistants.pairing.programmer",
        "PairSession": "telic.assistants.pairing.session",
    },
)
