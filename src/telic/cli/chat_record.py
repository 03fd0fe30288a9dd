"""The file in which a chat is saved while it goes on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from itertools import count
from pathlib import Path

from telic.dialogue import Dialogue
from telic.errors import RunError
from telic.formats import write_dialogues

__all__ = ["ChatRecord", "unused_path"]


class ChatRecord:
    """All dialogues of one chat, a line of JSON each. The file appears with the first reply.

    Args:
        folder: folder of all chats; it is created if it does not exist.
        name: name of the purpose.
    """

    def __init__(self, folder: Path, name: str) -> None:
        slug = re.sub(r"[^\w.]+", "-", name).strip("-._").lower()[:60] or "chat"
        self._wanted = folder / f"{slug}-{datetime.now().astimezone():%Y%m%d-%H%M%S}.jsonl"
        self._earlier: Sequence[Dialogue] = ()
        self._current: Dialogue | None = None
        self.path: Path | None = None
        """The file; None before the first reply."""

    def update(self, dialogue: Dialogue) -> None:
        """Save the current dialogue as it is now.

        Raises:
            RunError: the folder cannot be created.
            DataError: the file cannot be written.
        """
        if not any(message.role == "assistant" for message in dialogue):
            return
        if self.path is None:
            try:
                self._wanted.parent.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise RunError(
                    f"cannot save the chat in {str(self._wanted.parent)!r}: {error.strerror}. Choose another folder "
                    "with --runs, or save nothing with --no-keep"
                ) from None
            self.path = unused_path(self._wanted)
        self._current = dialogue
        write_dialogues(self.path, [*self._earlier, dialogue])

    def begin(self) -> None:
        """Begin a new dialogue."""
        if self._current is not None:
            self._earlier, self._current = (*self._earlier, self._current), None


def unused_path(wanted: Path) -> Path:
    """Return a path that does not exist yet: the wanted one, or else a numbered one."""
    numbered = (wanted.with_stem(f"{wanted.stem}-{number}") for number in count(2))
    return wanted if not wanted.exists() else next(path for path in numbered if not path.exists())
