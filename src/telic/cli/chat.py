"""`telic chat`: talk to a purpose in the terminal."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.controls import parse_controls
from telic.cli.output import load_model, print_json, print_notice
from telic.cli.thread_options import ThreadOptions
from telic.errors import ConfigError, DataError, ModelError

if TYPE_CHECKING:
    from telic.agents import Agent

__all__ = ["Chat"]

HELP = "/reset starts a new dialogue, /save FILE saves this one, /quit (or Ctrl-D) ends. Ctrl-C cuts a reply short."


@dataclass
class Chat(ThreadOptions):
    """Talk to a purpose in the terminal."""

    purpose: tyro.conf.Positional[str] = "demo"
    """The purpose file, or `demo`."""
    model: str | None = None
    """Model to use instead of the purpose's."""
    controls: tuple[str, ...] = ()
    """Controls to use instead of the purpose's, such as `attention_hold` or `split_softmax:k=0.8`; `none` for none."""
    seed: int | None = None
    """Random seed: the same seed gives the same replies."""
    json: bool = False
    """Answer each line of standard input with a line of JSON: the reply, or an error."""

    def run(self) -> None:
        """Read lines and answer them until the user quits or the input ends."""
        from telic.agents import Agent
        from telic.purpose import Purpose

        purpose = Purpose.load(self.purpose)
        controls = parse_controls(self.controls)
        agent = Agent(load_model(self.model or purpose.model), purpose, controls, seed=self.seed)
        interactive = sys.stdin.isatty() and not self.json
        if interactive:
            print_notice(f"{purpose.name} on {agent.model.name}. {HELP}", style="dim")
        while (line := _read(interactive)) is not None:
            if line.startswith("/"):
                if line in ("/quit", "/exit"):
                    break
                _command(agent, line)
            elif line:
                self._answer(agent, line)

    def _answer(self, agent: Agent, line: str) -> None:
        if self.json:
            try:
                reply = agent.reply(line)
            except ModelError as error:
                print_json({"error": str(error)})
            else:
                print_json(
                    {"reply": reply.text, "finish": reply.finish, "tokens": reply.new_tokens, "seed": reply.seed}
                )
            sys.stdout.flush()
            return
        try:
            with closing(agent.stream(line)) as pieces:
                for piece in pieces:
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
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not UTF-8: {error.reason}") from None


def _command(agent: Agent, line: str) -> None:
    name, _, argument = line.partition(" ")
    if name == "/reset":
        agent.reset()
        print_notice("A new dialogue.", style="dim")
    elif name == "/save" and argument:
        from telic.formats import write_dialogues

        try:
            write_dialogues(Path(argument.strip()), [agent.session.dialogue])
            print_notice(f"Saved to {argument.strip()}.", style="dim")
        except DataError as error:
            print_notice(str(error))
    else:
        problem = "/save needs the name of a file" if name == "/save" else f"unknown command {name!r}"
        print_notice(f"{problem}. {HELP}", style="dim")
