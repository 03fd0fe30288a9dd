"""`telic keys`: API keys for a server."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from telic.cli.output import print_json, print_line, print_notice

__all__ = ["NewKey"]


@dataclass
class NewKey:
    """Make an API key for `telic serve`. It is shown once; the file keeps a hash."""

    name: tyro.conf.Positional[str]
    """Whose key it is; conversations are kept under this name."""
    file: Path = Path("keys.txt")
    """File of keys, to which it is added."""
    json: bool = False
    """Print it as JSON."""

    def run(self) -> None:
        """Make it, add it, print it."""
        from telic.server.keys import add_key

        key = add_key(self.file, self.name)
        if self.json:
            print_json({"name": self.name, "key": key, "file": str(self.file)})
        else:
            print_line(key)
            print_notice(f"Its hash is in {self.file}; the key itself is not shown again.", style="dim")
