"""`telic new`: a purpose file to start from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import tyro

from telic.cli.output import print_json, print_line
from telic.errors import ConfigError

__all__ = ["New"]


@dataclass
class New:
    """Write a commented purpose file to start from."""

    path: tyro.conf.Positional[Path] = Path("purpose.toml")
    """The file to write."""
    force: bool = False
    """Overwrite an existing file."""
    json: bool = False
    """Print the result as JSON."""

    def run(self) -> None:
        """Write the file."""
        from telic.purpose import Purpose, purpose_template

        if not self.path.name:
            raise ConfigError(f"{str(self.path)!r} is not a file name; expected one such as travel.toml")
        path = self.path if self.path.suffix else self.path.with_suffix(".toml")
        if path.exists() and not self.force:
            raise ConfigError(f"{path} already exists; choose another name, or overwrite it with --force")
        text = purpose_template(path.stem)
        Purpose.from_text(text, str(path))
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
        if self.json:
            print_json({"path": str(path)})
        else:
            print_line(
                f"Wrote {path}. Say what the chatbot is for in it, then: telic chat {path}, telic measure {path}"
            )
