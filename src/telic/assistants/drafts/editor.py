"""Editing a draft in the user's own editor, with the message that it answers below it."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from telic.assistants.mail.message import MailMessage
from telic.errors import ConfigError, RunError
from telic.files import write_atomically
from telic.terminal import printable

__all__ = ["edit_text"]

RULE = "# ------ From here on all is left out. Empty the text above to keep the draft as it was. ------"
SHOWN_LINES = 60
"""Lines of the message that are shown."""


def edit_text(text: str, message: MailMessage, path: Path) -> str:
    """Let the user edit a text.

    Args:
        text: the draft.
        message: what it answers; shown as comments.
        path: the file that the editor opens. One that an interrupted edit left is opened again. The caller deletes it
            when the text is safe.

    Returns:
        The edited text; the text itself if the editor failed or left nothing.

    Raises:
        ConfigError: `VISUAL` or `EDITOR` is no command.
        RunError: the editor cannot be started, or the file not written.
        KeyboardInterrupt: the user interrupted it. The file stays, and the interruption names it.
    """
    command = _command()
    left = path.exists()
    lines = [f"From: {message.sender}", f"Subject: {message.subject}", "", *message.text.split("\n")[:SHOWN_LINES]]
    shown = "\n".join(f"# {printable(line)}".rstrip() for line in lines)
    try:
        if not left:
            write_atomically(path, f"{text.rstrip()}\n\n{RULE}\n{shown}\n")
        status = subprocess.run([*command, str(path)], check=False).returncode
        edited = path.read_text(encoding="utf-8", errors="replace").split("\n")
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what you saved of this draft is in {path}; the next --edit opens it again") from None
    except OSError as error:
        if not left:
            with suppress(OSError):
                path.unlink()
        raise RunError(f"cannot edit with {command[0]!r}: {error.strerror or error}; set EDITOR") from None
    own = edited[: edited.index(RULE)] if RULE in edited else [line for line in edited if not line.startswith("#")]
    kept = "\n".join(own).strip()
    return f"{kept}\n" if status == 0 and kept else text


def _command() -> list[str]:
    written = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    try:
        return shlex.split(written) or ["vi"]
    except ValueError as error:
        raise ConfigError(f"the editor is {written!r}: {error}; set EDITOR to a command") from None
