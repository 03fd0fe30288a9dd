"""Editing a draft in the user's own editor, with the message that it answers below it."""

from __future__ import annotations

import os
import shlex
import subprocess
from contextlib import suppress
from pathlib import Path

from telic.assistants.mail.message import MailMessage
from telic.errors import RunError
from telic.files import write_atomically
from telic.terminal import printable

__all__ = ["edit_text"]

RULE = "# ------ Lines that begin with # are left out. Empty the text to keep the draft as it was. ------"
SHOWN_LINES = 60
"""Lines of the message that are shown."""


def edit_text(text: str, message: MailMessage, path: Path) -> str:
    """Let the user edit a text.

    Args:
        text: the draft.
        message: what it answers; shown as comments.
        path: the file that the editor opens; it is gone afterwards.

    Returns:
        The edited text; the text itself if the editor failed or left nothing.

    Raises:
        RunError: the editor cannot be started, or the file not written.
        KeyboardInterrupt: the user interrupted it. The file stays, and the interruption names it.
    """
    command = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi")
    lines = [f"From: {message.sender}", f"Subject: {message.subject}", "", *message.text.split("\n")[:SHOWN_LINES]]
    shown = "\n".join(f"# {printable(line)}".rstrip() for line in lines)
    try:
        write_atomically(path, f"{text.rstrip()}\n\n{RULE}\n{shown}\n")
        status = subprocess.run([*command, str(path)], check=False).returncode
        edited = path.read_text(encoding="utf-8", errors="replace")
        path.unlink()
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"what you saved of this draft is in {path}") from None
    except OSError as error:
        with suppress(OSError):
            path.unlink()
        raise RunError(f"cannot edit with {command[0]!r}: {error.strerror or error}; set EDITOR") from None
    kept = "\n".join(line for line in edited.split("\n") if not line.startswith("#")).strip()
    return f"{kept}\n" if status == 0 and kept else text
