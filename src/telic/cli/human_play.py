"""What a person has typed in a game, kept in the run folder so that an interrupted dialogue can be continued."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from telic.agents.human import HumanPlayer
from telic.errors import RunError
from telic.files import write_atomically

if TYPE_CHECKING:
    from telic.agents.player import Player

__all__ = ["TYPED", "keep_typed", "restore_typed"]

TYPED = "typed.json"
"""The file in the run folder."""


def keep_typed(folder: Path | None, players: Mapping[str, Player] | None) -> None:
    """Write what people have typed into a run folder, if there is one."""
    typed = {side: player.lines for side, player in (players or {}).items() if isinstance(player, HumanPlayer)}
    if folder is not None and typed:
        write_atomically(folder / TYPED, json.dumps(typed, ensure_ascii=False))


def restore_typed(folder: Path | None, players: Mapping[str, Player] | None) -> None:
    """Give people what they typed before a run was interrupted. An episode that is played again begins with it.

    Raises:
        RunError: the file was damaged.
    """
    if folder is None or not (folder / TYPED).is_file():
        return
    try:
        typed = json.loads((folder / TYPED).read_text(encoding="utf-8"))
        for side, player in (players or {}).items():
            if isinstance(player, HumanPlayer):
                player.lines = dict(typed.get(side, {}))
    except (ValueError, TypeError, AttributeError) as error:
        raise RunError(f"{folder / TYPED}: {error}. Delete the file to start the dialogue over") from None
