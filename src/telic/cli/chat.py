"""`telic chat`: talk to a purpose in the terminal."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.output import load_model, print_json, say
from telic.errors import ModelError

if TYPE_CHECKING:
    from telic.agents import Agent

__all__ = ["Chat"]

HELP = "/reset starts a new dialogue, /save FILE keeps this one, /quit (or Ctrl-D) ends. Ctrl-C cuts a reply short."


@dataclass
class Chat:
    """Talk to a purpose in the terminal."""

    purpose: tyro.conf.Positional[str] = "demo"
    """The purpose file, or `demo`."""
    model: str | None = None
    """Model to use instead of the purpose's."""
    seed: int | None = None
    """Makes the replies repeatable."""
    json: bool = False
    """Print each reply as a line of JSON; read what the user says line by line from standard input."""

    def run(self) -> None:
        """Talk until the user has enough."""
        from telic.agents import Agent
        from telic.purpose import Purpose

        purpose = Purpose.load(self.purpose)
        options = {} if self.seed is None else {"seed": self.seed}
        agent = Agent(load_model(self.model or purpose.model), purpose, **options)
        interactive = sys.stdin.isatty() and not self.json
        if interactive:
            say(f"{purpose.name} on {agent.model.name}. {HELP}", style="dim")
        while (line := _read(interactive)) is not None:
            if line.startswith("/"):
                if line in ("/quit", "/exit"):
                    break
                _command(agent, line)
            elif line:
                self._answer(agent, line)

    def _answer(self, agent: Agent, line: str) -> None:
        if self.json:
            reply = agent.reply(line)
            print_json({"reply": reply.text, "finish": reply.finish, "tokens": reply.new_tokens, "seed": reply.seed})
            return
        try:
            for piece in agent.stream(line):
                sys.stdout.write(piece)
                sys.stdout.flush()
        except KeyboardInterrupt:
            sys.stdout.write(" [cut short; not kept]")
        except ModelError as error:
            sys.stdout.write(f"[{error}]")
        sys.stdout.write("\n")
        sys.stdout.flush()


def _read(interactive: bool) -> str | None:
    try:
        return (input("> ") if interactive else input()).strip()
    except EOFError:
        return None


def _command(agent: Agent, line: str) -> None:
    name, _, argument = line.partition(" ")
    if name == "/reset":
        agent.forget()
        say("A new dialogue.", style="dim")
    elif name == "/save" and argument:
        from telic.formats import write

        try:
            write(Path(argument), [agent.session.dialogue])
            say(f"Saved to {argument}.", style="dim")
        except OSError as error:
            say(f"Cannot write {argument}: {error.strerror}")
    else:
        say(HELP, style="dim")
