"""`telic new`: a purpose file to start from."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from telic.cli.output import print_json, print_line
from telic.errors import ConfigError

if TYPE_CHECKING:
    from telic.purpose_templates import PurposeTemplate

__all__ = ["New"]

OTHER = "other"
"""The answer to "what is it for?" that leads to the general file."""


@dataclass
class New:
    """Write a commented purpose file to start from.

    In a terminal it asks what the chatbot is for; Enter accepts the answer in brackets. With --for it asks nothing.

    Examples:
        telic new travel.toml
        telic new travel.toml --for travel
        telic new desk.toml --for support --force
    """

    path: tyro.conf.Positional[Path] = Path("purpose.toml")
    """The file to write."""
    kind: Annotated[str | None, tyro.conf.arg(name="for")] = None
    """What the chatbot is for: travel, support, intake or assistant. Each comes with its own rules, probes, openers and
    game."""
    force: bool = False
    """Overwrite an existing file."""
    json: bool = False
    """Print the result as JSON, and ask nothing."""

    def run(self) -> None:
        """Write the file."""
        from telic.purpose import Purpose
        from telic.purpose_templates import PurposeTemplate

        if not self.path.name:
            raise ConfigError(f"{str(self.path)!r} is not a file name; expected one such as travel.toml")
        path = self.path if self.path.suffix else self.path.with_suffix(".toml")
        if path.exists() and not self.force:
            raise ConfigError(f"{path} already exists; choose another name, or overwrite it with --force")
        asks = self.kind is None and not self.json and sys.stdin.isatty() and sys.stdout.isatty()
        template = _ask() if asks else PurposeTemplate.load(self.kind)
        text = template.text(path.stem)
        Purpose.from_text(text, str(path))
        try:
            path.write_text(text, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"cannot write {path}: {error.strerror}") from error
        if self.json:
            print_json({"path": str(path), "for": template.kind})
            return
        what = f" for {template.kind}" if template.kind else ""
        print_line(
            f"Wrote {path}{what}. Its comments say what to change. Then: telic chat {path}, telic measure {path}"
        )
        if template.kind is None and not asks:
            print_line(f"With --for, it starts with rules, probes and a game that fit: --for {_kinds(' | ')}")


def _ask() -> PurposeTemplate:
    """Ask in the terminal what the chatbot is for, what it is called, and for whom it works."""
    from rich.prompt import Prompt

    from telic.purpose_templates import KINDS, PurposeTemplate

    try:
        print_line("What is the chatbot for? Enter accepts what stands in brackets.")
        kind = Prompt.ask("It is for", choices=[*KINDS, OTHER], default=next(iter(KINDS)))
        template = PurposeTemplate.load(None if kind == OTHER else kind)
        template = template.called(Prompt.ask("Its name is", default=template.persona))
        if template.organisation:
            return template.working_for(Prompt.ask("It works for", default=template.organisation))
        if kind == OTHER:
            role = Prompt.ask("It is", default=template.role)
            return template.playing(role, Prompt.ask("Users would like", default=template.users_want))
        return template
    except EOFError:
        raise ConfigError(f"no answer; name what it is for instead: --for {_kinds(' | ')}") from None


def _kinds(between: str) -> str:
    from telic.purpose_templates import KINDS

    return between.join(KINDS)
