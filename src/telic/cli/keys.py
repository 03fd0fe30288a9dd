"""`telic keys`: API keys of a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from telic.cli.output import print_json, print_line, print_notice

__all__ = ["NewKey"]


@dataclass
class NewKey:
    """Make an API key for `telic serve`. The key is printed once; the file holds its hash."""

    name: tyro.conf.Positional[str]
    """Name of the key's holder; conversations are stored under it."""
    file: Path = Path("keys.txt")
    """File of keys to append to."""
    json: bool = False
    """Print it as JSON."""

    def run(self) -> None:
        """Make and print the key."""
        from telic.server.keys import add_key

        key = add_key(self.file, self.name)
        if self.json:
            print_json({"name": self.name, "key": key, "file": str(self.file)})
        else:
            print_line(key)
            print_notice(f"Its hash is in {self.file}; the key is not shown again.", style="dim")
