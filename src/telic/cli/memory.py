"""`telic memory`: what is believed of a user, why, and forgetting it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import tyro

from telic.cli.output import print_json, print_line, print_notice, print_table
from telic.cli.serve import require_server
from telic.cli.usage import UsageError
from telic.errors import ConfigError, RunError

if TYPE_CHECKING:
    from telic.memory import ForgetPlan, Memory, MemoryConfig, MemoryEvent
    from telic.purpose import Purpose

__all__ = ["ManageMemory"]

QUOTED = 100
"""Characters of a message that are shown."""


@dataclass
class ManageMemory:
    """Show what a purpose remembers about a user, explain why, export it, or forget it.

    `telic memory list travel.toml` lists the users in the server's store. With `--chats`, it reads the memory that
    `telic chat` keeps on this machine.

    Examples:
        telic memory show travel.toml --user ann
        telic memory why travel.toml diet --user ann
        telic memory forget travel.toml "jazz" --user ann
        telic memory export travel.toml --user ann --out ann.jsonl
        telic memory show travel.toml --chats
    """

    action: tyro.conf.Positional[Literal["list", "show", "why", "forget", "export"]]
    """`list` the users, `show` what is remembered, explain `why`, `forget` it, or `export` the evidence as JSON
    lines."""
    purpose: tyro.conf.Positional[str]
    """The purpose file, which names the store and what is remembered."""
    about: tyro.conf.Positional[str] = ""
    """With `why` and `forget`: words of what is remembered, such as `diet` or `jazz`."""
    user: str | None = None
    """The user: NAME is the holder of an API key, NAME/USER a user that the holder's requests name. Without keys, they
    are `local` and `local/USER`. With `--chats`, the name that was given to `telic chat`; by default `me`."""
    store: str | None = None
    """The store of `telic serve`: a file (SQLite), or postgresql://... By default the purpose's own."""
    chats: bool = False
    """Use the memory of `telic chat` instead of a store."""
    runs: Path = Path("runs")
    """With `--chats`: the --runs folder of `telic chat`."""
    all: bool = False
    """With `forget`: forget everything about the user."""
    out: Path | None = None
    """File to export to. By default standard output."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Run the action."""
        from telic.memory import MemoryConfig
        from telic.purpose import Purpose

        if self.action == "forget" and bool(self.about.strip()) == self.all:
            raise UsageError("forget needs some words such as `diet`, or --all for everything about the user")
        if self.about and self.action not in ("why", "forget"):
            raise UsageError(f"{self.action} takes no words, found {self.about!r}; only why and forget do")
        purpose = Purpose.load(self.purpose)
        config = MemoryConfig.of_purpose(purpose)
        if config is None:
            raise ConfigError(f"{self.purpose} has no [memory] table, so nothing is remembered; add one to begin")
        if self.chats:
            self._of_chats(purpose, config)
        else:
            self._of_store(purpose, config)

    def _of_chats(self, purpose: Purpose, config: MemoryConfig) -> None:
        from telic.memory import Memory, MemoryFile

        if self.store is not None or self.action == "list":
            raise UsageError(
                "--chats reads the memory of one user on this machine; remove `list` and --store, or --chats"
            )
        file = MemoryFile.of_user(self.runs / "memory", purpose.name, self.user or "me")
        if not file.path.is_file():
            raise RunError(f"`telic chat` has no memory of {self.user or 'me'!r} in {str(file.path.parent)!r}")
        self._act(Memory(config, file.read()), file.forget)

    def _of_store(self, purpose: Purpose, config: MemoryConfig) -> None:
        require_server()
        from telic.memory import Memory
        from telic.server.config import ServeConfig
        from telic.server.memory_log import MemoryLogs
        from telic.server.store import ConversationStore

        if self.user is None and self.action != "list":
            raise UsageError(f"{self.action} needs --user NAME. The users: telic memory list {self.purpose}")
        location = self.store or ServeConfig.of_purpose(purpose).store
        with closing(ConversationStore(location, create=False)) as store:
            logs = MemoryLogs(store.engine)
            if self.action == "list":
                self._list(logs.users(purpose.name))
                return
            user = str(self.user)
            events = logs.read(user, purpose.name).events
            if not events:
                raise RunError(
                    f"nothing is remembered about {user!r}. "
                    f"The users: telic memory list {self.purpose} --store {store.location}"
                )

            def forget(plan: ForgetPlan, tombstone: MemoryEvent) -> None:
                logs.forget(user, purpose.name, plan, tombstone)
                store.empty_write_ahead_log()

            self._act(Memory(config, events), forget)

    def _act(self, memory: Memory, forget: Callable[[ForgetPlan, MemoryEvent], None]) -> None:
        if self.action == "show":
            self._show(memory)
        elif self.action == "why":
            self._why(memory)
        elif self.action == "export":
            self._export(memory)
        else:
            self._forget(memory, forget)

    def _list(self, known: dict[str, int]) -> None:
        if self.json:
            print_json([{"user": user, "events": count} for user, count in known.items()])
        elif known:
            print_table(("user", "events"), [(user, str(count)) for user, count in known.items()])
        else:
            print_notice("No user is remembered.")

    def _show(self, memory: Memory) -> None:
        described = memory.describe()
        if self.json:
            print_json(described)
            return
        rows = [(_label(fact), fact["value"], fact["context"], _day(fact["valid_from"])) for fact in described["facts"]]
        if rows:
            print_table(("what", "value", "when it holds", "since"), rows)
        else:
            print_notice("Nothing is believed about this user.")
        for one in described["questions"]:
            print_line(f"In question: {one['slot']} was {one['known']!r}, but the user said {one['said']!r}.")
        for failure in described["failures"]:
            print_line(f"Failed: {failure['extractor']} on {failure['event']}: {failure['reason']}", style="red")

    def _why(self, memory: Memory) -> None:
        reasons = memory.why(self.about)
        if self.json:
            print_json([reason.as_dict() for reason in reasons])
            return
        if not reasons:
            print_notice(
                f"Nothing is believed about {self.about!r}." if self.about else "Nothing is believed about this user."
            )
        for reason in reasons:
            one = reason.as_dict()
            ended = "" if reason.holds else " (no longer)"
            print_line(f"{_label(one)}: {reason.claim.value}{ended}", style="bold")
            said = " ".join(one["said"].split())
            shown = said if len(said) <= QUOTED else f"{said[: QUOTED - 1]}…"
            print_line(f"  {_day(one['said_at'])}, {one['source']}, by {one['extractor']}: {shown!r}")

    def _export(self, memory: Memory) -> None:
        with self.out.open("w", encoding="utf-8") if self.out else nullcontext(sys.stdout) as file:
            for event in memory.events:
                file.write(json.dumps(event.as_dict(), ensure_ascii=False) + "\n")
        if self.out and self.json:
            print_json({"exported": len(memory), "file": str(self.out)})
        elif self.out:
            print_notice(f"Wrote {len(memory)} events to {self.out}.")

    def _forget(self, memory: Memory, forget: Callable[[ForgetPlan, MemoryEvent], None]) -> None:
        from telic.memory import new_event

        plan = memory.plan_forgetting("" if self.all else self.about)
        count = len(plan.events) + len(plan.rewritten)
        if plan:
            forget(plan, new_event("forget", "", "command line", events=list(plan.events)))
        if self.json:
            print_json({"removed": count})
        elif count:
            print_notice(f"Forgotten: {count} messages or parts of them were removed.")
        else:
            print_notice(f"Nothing is remembered about {self.about!r}.")


def _label(fact: dict[str, Any]) -> str:
    if fact["slot"] == "taste":
        return "likes" if fact["polarity"] > 0 else "dislikes"
    return str(fact["slot"]) if fact["polarity"] > 0 else f"{fact['slot']}: not"


def _day(time: float) -> str:
    return f"{datetime.fromtimestamp(time, UTC):%Y-%m-%d}"
