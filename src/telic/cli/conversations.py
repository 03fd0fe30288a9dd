"""`telic conversations`: the stored conversations of a server, by user."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from telic.cli.output import print_json, print_notice, print_table
from telic.cli.serve import require_server
from telic.cli.usage import UsageError

if TYPE_CHECKING:
    from telic.server import ConversationStore

__all__ = ["Conversations"]

WORDS = 60
"""Characters shown of a conversation's first message."""


@dataclass
class Conversations:
    """List, export or delete the conversations that `telic serve` has stored.

    Examples:
        telic conversations list --find refund
        telic conversations export --out conversations.jsonl
        telic conversations export --user ann/customer-7
        telic conversations delete --user ann/customer-7
        telic conversations delete --older-than 90
    """

    action: tyro.conf.Positional[Literal["list", "export", "delete"]] = "list"
    """`list` the conversations, `export` them as JSON lines, or `delete` everything stored about a user."""
    user: str | None = None
    """Only this user. NAME is the holder of an API key, with all users that its requests name; NAME/USER is one of
    them."""
    store: str = "telic.db"
    """Where conversations are stored: a file (SQLite), or postgresql://..."""
    older_than: int | None = None
    """With delete: only conversations, of all users, that have been idle for this many days."""
    versions: Path = Path("versions")
    """With delete: folder of versions. Versions trained on deleted conversations are marked."""
    find: str = ""
    """List only conversations that contain all of these words."""
    n: Annotated[int, tyro.conf.arg(aliases=["-n"])] = 50
    """Number of conversations to list, latest first; 0 for all."""
    out: Path | None = None
    """File to export to. By default standard output."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Run the action."""
        if self.action == "delete" and (self.user is None) == (self.older_than is None):
            raise UsageError("delete needs --user NAME or --older-than DAYS")
        if self.older_than is not None and (self.action != "delete" or self.older_than < 1):
            raise UsageError(f"--older-than is {self.older_than}; expected 1 or more, with delete")
        if self.find and self.action != "list":
            raise UsageError(f"--find works with list only; {self.action} would include all conversations")
        require_server()
        from telic.server import ConversationStore

        with closing(ConversationStore(self.store, create=False)) as store:
            if self.action == "list":
                self._list(store)
            elif self.action == "export":
                self._export(store)
            else:
                self._delete(store)

    def _list(self, store: ConversationStore) -> None:
        found = store.summaries(self.user, self.find, self.n or None)
        if self.json:
            print_json([asdict(one) for one in found])
            return
        if not found:
            print_notice("No conversation matches." if self.user or self.find else "No conversations yet.")
            return
        print_table(
            ("when", "user", "turns", "feedback", "first words"),
            [
                (f"{datetime.fromtimestamp(one.updated):%Y-%m-%d %H:%M}", one.user, str(one.length),
                 _feedback(one.feedback), _first_words(one.opening))
                for one in found
            ],
        )  # fmt: skip
        total = sum(store.users().values())
        if self.n and len(found) == self.n < total:
            print_notice(f"The latest {self.n} of {total}. For all: -n 0")

    def _export(self, store: ConversationStore) -> None:
        count = 0
        with self.out.open("w", encoding="utf-8") if self.out else nullcontext(sys.stdout) as file:
            for episode in store.episodes(self.user):
                file.write(episode.model_dump_json() + "\n")
                count += 1
        if self.out and self.json:
            print_json({"exported": count, "file": str(self.out)})
        elif self.out:
            print_notice(f"Wrote {count} conversation{'' if count == 1 else 's'} to {self.out}.")

    def _delete(self, store: ConversationStore) -> None:
        from telic.promotion.versions import mark_all_deleted

        if self.user:
            deleted, whose = store.delete(self.user), f"conversations of {self.user}"
        else:
            days = self.older_than or 0
            deleted, whose = store.delete_before(time.time() - 86_400 * days), f"conversations older than {days} days"
        marked = mark_all_deleted(self.versions, deleted)
        if self.json:
            print_json({"deleted": len(deleted), "versions": [one.name for one in marked]})
            return
        print_notice(f"{len(deleted)} {whose} deleted.")
        if marked:
            names = ", ".join(f"{one.name} of {one.purpose}" for one in marked)
            print_notice(f"Trained on deleted conversations: {names}. Train again without them.")


def _feedback(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in counts.items())


def _first_words(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= WORDS else f"{words[: WORDS - 1]}…"
