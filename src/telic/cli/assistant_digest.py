"""`telic assistant digest` and `sources`: the morning digest, and whether its sources can be read."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.output import load_model, print_json, print_line, print_notice, print_table
from telic.cli.usage import UsageError
from telic.errors import RunError

if TYPE_CHECKING:
    from telic.assistants.digest import Desk, Digest
    from telic.models import Model
    from telic.purpose import Purpose

__all__ = ["CheckSources", "MakeDigest"]


@dataclass
class MakeDigest:
    """Read the sources of a purpose, and show what is new and matters to its user, each item with the reason.

    The digest learns from your reactions: `opened`, `more`, `less` and `never`. They are kept in the memory of
    `telic chat`, and `telic memory forget --chats` erases them.

    Examples:
        telic assistant digest news.toml
        telic assistant digest news.toml --html digest.html --markdown digest.md
        telic assistant digest news.toml --react 3 more
        telic assistant digest news.toml --every 7:00 --html digest.html
    """

    purpose: tyro.conf.Positional[str]
    """A purpose file with a [digest] table."""
    user: str = "me"
    """Whose digest it is: the name that was given to `telic chat`."""
    items: int | None = None
    """Maximum number of items in the digest. By default the purpose's `items`."""
    react: tuple[str, ...] = ()
    """Numbers of items in the latest digest (or their ids), then what you think of them: opened, more, less or
    never. No digest is made."""
    preview: bool = False
    """Do not record what was shown, so that the next digest may show it again."""
    every: str | None = None
    """A time such as 7:00. Print the lines for cron or systemd that make the digest at this time every day, and
    stop."""
    runs: Path = Path("runs")
    """Folder of the memory and the cache."""
    html: Path | None = None
    """Also write the digest as an HTML page."""
    markdown: Path | None = None
    """Also write the digest as Markdown."""
    json: bool = False
    """Print the digest as JSON."""

    def run(self) -> None:
        """Make the digest, take a reaction, or print the schedule."""
        if self.items is not None and not 1 <= self.items <= 100:
            raise UsageError(f"--items is {self.items}; expected a number from 1 to 100")
        if self.every is not None:
            self._print_schedule()
            return
        from telic.purpose import Purpose

        purpose = Purpose.load(self.purpose)
        desk = _desk(purpose, self.runs, self.user)
        if self.react:
            self._react(desk)
            return
        for path in filter(None, (self.html, self.markdown)):
            _check_writable(path)
        model = _model(purpose, desk)
        self._show(desk.make(time.time(), model=model, items=self.items, record=not self.preview))

    def _show(self, digest: Digest) -> None:
        from telic.assistants.digest import digest_page, markdown_text, terminal_text

        for path, write in ((self.html, digest_page), (self.markdown, markdown_text)):
            if path is not None:
                _write(path, write(digest))
        if self.json:  # last: what reads the output may have closed it
            print_json(digest.as_dict())
        else:
            print_line(terminal_text(digest))

    def _react(self, desk: Desk) -> None:
        *items, reaction = self.react
        if not items:
            raise UsageError(f"--react is {reaction!r}; expected an item and a reaction, such as: --react 3 more")
        titles = desk.react(items, reaction, time.time())
        if self.json:
            print_json({"reaction": reaction, "items": titles})
            return
        for title in titles:
            print_line(f"Noted: {reaction}: {title}")

    def _print_schedule(self) -> None:
        from telic.assistants.digest import schedule_text

        print_line(
            schedule_text(
                str(self.every), self.purpose, self.runs, self.user, self.html, self.markdown, items=self.items
            )
        )


@dataclass
class CheckSources:
    """Read every source of a digest, and show what it returned or why it cannot be read. Nothing is recorded.

    Examples:
        telic assistant sources news.toml
    """

    purpose: tyro.conf.Positional[str]
    """A purpose file with a [digest] table."""
    runs: Path = Path("runs")
    """Folder of the cache."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Read the sources."""
        from telic.purpose import Purpose

        read = _desk(Purpose.load(self.purpose), self.runs, "me").read(time.time())
        if self.json:
            print_json([{"source": one.source, "items": len(one.items), "error": one.error} for one in read])
        else:
            print_table(
                ("source", "items", "error"), [(one.source, str(len(one.items)), one.error or "") for one in read]
            )
        failed = sum(one.error is not None for one in read)
        if failed:
            raise RunError(f"{failed} of {len(read)} sources could not be read")


def _desk(purpose: Purpose, runs: Path, user: str) -> Desk:
    from telic.assistants.digest import Desk, DigestConfig
    from telic.errors import ConfigError
    from telic.memory import MemoryConfig, MemoryFile

    config = DigestConfig.of_purpose(purpose)
    if config is None:
        raise ConfigError(f"{purpose.name!r} has no [digest] table, so there is nothing to read; see docs/digest.md")
    log = MemoryFile.of_user(runs / "memory", purpose.name, user)
    folder = purpose.file.resolve().parent if purpose.file else Path.cwd()
    return Desk(config, log, MemoryConfig.of_purpose(purpose), folder=folder, state=runs / "digest")


def _model(purpose: Purpose, desk: Desk) -> Model | None:
    return load_model(purpose) if desk.config.summaries == "model" else None


def _check_writable(path: Path) -> None:
    """Refuse a file that cannot be written before the items of a digest count as shown."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror}") from None
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise RunError(f"cannot write {str(path)!r}: {'it is a folder' if path.is_dir() else 'permission denied'}")


def _write(path: Path, text: str) -> None:
    from telic.files import write_atomically

    try:
        write_atomically(path, text)
    except OSError as error:
        raise RunError(f"cannot write {str(path)!r}: {error.strerror or error}") from None
    print_notice(f"Written to {path}.")
