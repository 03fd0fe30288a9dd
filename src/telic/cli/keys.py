"""`telic keys`: API keys of a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from telic.cli.output import print_json, print_line, print_notice
from telic.cli.usage import UsageError

__all__ = ["ManageKeys"]


@dataclass
class ManageKeys:
    """Make, list or revoke API keys for `telic serve`. A running server notices at once.

    `telic keys NAME` makes a key and prints it once; the file holds its hash. `telic keys list` lists the holders.
    `telic keys revoke NAME` removes the key of a holder.

    Examples:
        telic keys ann
        telic keys list
        telic keys revoke ann
        telic keys shop --file shop-keys.txt
    """

    action: tyro.conf.Positional[str]
    """Name of the new key's holder, under which its conversations are stored; or `list`, or `revoke`."""
    name: tyro.conf.Positional[str | None] = None
    """With `revoke`: the holder."""
    file: Path = Path("keys.txt")
    """File of keys."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Run the action."""
        if (self.name is None) == (self.action == "revoke"):
            raise UsageError("expected `telic keys NAME`, `telic keys list` or `telic keys revoke NAME`")
        if self.action == "list":
            self._list()
        elif self.name is not None:
            self._revoke(self.name)
        else:
            self._make()

    def _make(self) -> None:
        from telic.server.keys import add_key

        key = add_key(self.file, self.action)
        if self.json:
            print_json({"name": self.action, "key": key, "file": str(self.file)})
        else:
            print_line(key)
            print_notice(f"Its hash is in {self.file}; the key is not shown again.", style="dim")

    def _list(self) -> None:
        from telic.server.keys import key_names

        names = key_names(self.file)
        if self.json:
            print_json({"names": names, "file": str(self.file)})
        else:
            for name in names:
                print_line(name)

    def _revoke(self, name: str) -> None:
        from telic.server.keys import revoke_key

        revoke_key(self.file, name)
        if self.json:
            print_json({"revoked": name, "file": str(self.file)})
        else:
            print_notice(f"The key of {name} in {self.file} is revoked. Its conversations are kept.")
