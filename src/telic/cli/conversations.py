"""`telic conversations`: the stored conversations of a server, by user."""

from __future__ import annotations

import sys
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import tyro

from telic.cli.output import print_json, print_notice, print_table
from telic.cli.serve import require_server
from telic.cli.usage import UsageError

if TYPE_CHECKING:
    from telic.server import ConversationStore

__all__ = ["Conversations"]


@dataclass
class Conversations:
    """List, export or delete the conversations that `telic serve` has stored.

    Examples:
        telic conversations list
        telic conversations export --out conversations.jsonl
        telic conversations export --user ann/customer-7
        telic conversations delete --user ann/customer-7
    """

    action: tyro.conf.Positional[Literal["list", "export", "delete"]] = "list"
    """`list` the users, `export` conversations as JSON lines, or `delete` everything stored about a user."""
    user: str | None = None
    """Only this user. NAME is the holder of an API key, with all users in its requests; NAME/USER is one of those."""
    store: str = "telic.db"
    """Where the conversations are stored: a file (SQLite), or postgresql://..."""
    out: Path | None = None
    """File to export to. By default standard output."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Run the action."""
        if self.action == "delete" and not self.user:
            raise UsageError("delete needs --user NAME")
        require_server()
        from telic.server import ConversationStore

        with closing(ConversationStore(self.store, create=False)) as store:
            if self.action == "list":
                self._list(store)
            elif self.action == "export":
                self._export(store)
            elif self.user:
                self._delete(store, self.user)

    def _list(self, store: ConversationStore) -> None:
        users = {name: n for name, n in store.users().items() if self.user in (None, name, name.partition("/")[0])}
        if self.json:
            print_json(users)
        else:
            print_table(("user", "conversations"), [(name, str(count)) for name, count in users.items()])

    def _export(self, store: ConversationStore) -> None:
        count = 0
        with self.out.open("w", encoding="utf-8") if self.out else nullcontext(sys.stdout) as file:
            for episode in store.episodes(self.user):
                file.write(episode.model_dump_json() + "\n")
                count += 1
        if self.out and self.json:
            print_json({"exported": count, "file": str(self.out)})
        elif self.out:
            print_notice(f"{count} conversations in {self.out}.")

    def _delete(self, store: ConversationStore, user: str) -> None:
        count = len(store.delete(user))
        if self.json:
            print_json({"deleted": count})
        else:
            print_notice(f"{count} conversations of {user} deleted.")
