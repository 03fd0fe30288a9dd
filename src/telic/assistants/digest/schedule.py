"""A digest every day: the line for cron, and the units for systemd."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
from pathlib import Path

from telic.errors import ConfigError

__all__ = ["schedule_text"]

_TIME = re.compile(r"([01]?\d|2[0-3]):([0-5]\d)")

_UNITS = """\
# For systemd: ~/.config/systemd/user/telic-digest.service
[Unit]
Description=Morning digest
[Service]
Type=oneshot
ExecStart={command}
StandardOutput=null

# For systemd: ~/.config/systemd/user/telic-digest.timer
# Start it with: systemctl --user enable --now telic-digest.timer
[Unit]
Description=Morning digest, every day
[Timer]
OnCalendar=*-*-* {time}
Persistent=true
[Install]
WantedBy=timers.target"""


def schedule_text(
    every: str, purpose: str, runs: Path, user: str, html: Path | None, markdown: Path | None, items: int | None = None
) -> str:
    """Return what to put where so that the digest is made every day.

    Args:
        every: the time of day, `7:00`.
        purpose: the purpose file.
        runs: the folder of the memory.
        user: whose digest it is.
        html: the page; without both, one beside the purpose file.
        markdown: the file of Markdown.
        items: most items; None for those of the purpose.

    Raises:
        ConfigError: the time is none, the file does not exist, or a path has a line break.
    """
    found = _TIME.fullmatch(every.strip())
    if found is None:
        raise ConfigError(f"--every is {every!r}; expected a time of day such as 7:00")
    file = Path(purpose).resolve()
    if not file.is_file():
        raise ConfigError(f"purpose file {purpose!r} does not exist")
    hour, minute = int(found[1]), int(found[2])
    if html is None and markdown is None:
        html = file.with_name(f"{file.stem}-digest.html")
    command = [*_telic(), "assistant", "digest", str(file), "--runs", str(runs.resolve()), "--user", user]
    command += ["--html", str(html.resolve())] if html else []
    command += ["--markdown", str(markdown.resolve())] if markdown else []
    command += ["--items", str(items)] if items is not None else []
    if any("\n" in part or "\r" in part for part in command):
        raise ConfigError("a path or a name has a line break, which neither cron nor systemd can take")
    line = shlex.join(command).replace("%", r"\%")  # cron ends a command at %
    cron = f"# For cron (add the line with: crontab -e)\n{minute} {hour} * * * {line} >/dev/null\n\n"
    return cron + _UNITS.format(command=" ".join(map(_for_systemd, command)), time=f"{hour:02d}:{minute:02d}:00")


def _telic() -> list[str]:
    found = shutil.which("telic")
    return [str(Path(found).resolve())] if found else [sys.executable, "-m", "telic.cli.main"]


def _for_systemd(part: str) -> str:
    """Quote one word of a command for a unit: systemd.syntax(7), systemd.service(5)."""
    text = part.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return text if re.fullmatch(r"[\w./:%$=-]+", text) else f'"{text}"'
