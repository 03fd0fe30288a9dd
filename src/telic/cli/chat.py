"""`telic chat`: talk to a purpose in the terminal."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro

from telic.cli.adapter_options import AdapterOptions
from telic.cli.chat_record import ChatRecord, unused_path
from telic.cli.chat_view import PlainView, TerminalView
from telic.cli.controls import parse_controls
from telic.cli.output import load_model, print_json, print_notice
from telic.errors import ConfigError, DataError, ModelError
from telic.terminal import printable_pieces

if TYPE_CHECKING:
    from telic.agents import Agent
    from telic.memory import LocalMemory
    from telic.purpose import Purpose

__all__ = ["Chat"]

HELP = """\
/help         shows this help
/reset        starts a new dialogue
/save FILE    saves this dialogue as a line of JSON; if the file exists, the name gets a number
/quit         ends the chat, and so does Ctrl-D
Ctrl-C stops a reply; then the message and the reply are not kept."""


@dataclass
class Chat(AdapterOptions):
    """Talk to a chatbot in the terminal.

    Examples:
        telic chat travel.toml
        telic chat travel.toml --controls refresh
        telic chat --model fake
    """

    purpose: tyro.conf.Positional[str] = "demo"
    """A purpose file, or `demo`."""
    model: str | None = None
    """Model to use instead of the one that the purpose names."""
    version: str | None = None
    """Version of the purpose to use: v1, v2, ..., `latest`, or `base` for the purpose file as written. By default the
    promoted version."""
    controls: tuple[str, ...] = ()
    """Controls to use instead of the purpose's own, such as `refresh` or `split_softmax:k=0.8`; `none` for none."""
    seed: int | None = None
    """Seed of the replies: the same seed and the same messages give the same replies."""
    runs: Path = Path("runs")
    """Folder of the runs. A chat in a terminal is saved in its subfolder `chats` after every reply."""
    keep: bool = True
    """Save a chat in a terminal."""
    user: str = "me"
    """Your name, if the purpose has a [memory] table: what it remembers about you is kept under this name, in the
    subfolder `memory` of `--runs`."""
    memory: bool = True
    """Remember what is said, if the purpose has a [memory] table."""
    trust: bool = False
    """Trust the purpose file: the judges of its limits may call functions in the Python files beside it."""
    json: bool = False
    """Answer each line of standard input with a line of JSON: the reply, or an error."""

    def run(self) -> None:
        """Read lines and answer them until the user quits or the input ends."""
        from telic.agents import Agent
        from telic.promotion import load_version

        purpose = load_version(self.purpose, self.version, trust=self.trust).purpose
        controls = parse_controls(self.controls)
        memory = self._memory(purpose)
        model = load_model(self.model or purpose, self.adapter)
        interactive = sys.stdin.isatty() and sys.stdout.isatty() and not self.json
        view = TerminalView(purpose.name) if interactive else PlainView()
        confirm = view.confirm if isinstance(view, TerminalView) else None
        agent = Agent(model, purpose, controls, memory=memory, confirm=confirm, on_tool=view.show_tool, seed=self.seed)
        record = ChatRecord(self.runs / "chats", purpose.name) if interactive and self.keep else None
        if interactive:
            print_notice(f"{purpose.name} on {agent.model.name}. /help lists the commands, /quit ends.", style="dim")
        try:
            self._talk(agent, view, record)
        finally:
            if record is not None and record.path is not None:
                print_notice(f"The chat is saved in {record.path}.", style="dim")
            if interactive and memory is not None and memory.memory.events:
                print_notice(f"What is remembered about you is in {memory.file.path}.", style="dim")

    def _memory(self, purpose: Purpose) -> LocalMemory | None:
        """Open the user's memory, if the purpose has one."""
        from telic.memory import LocalMemory, MemoryConfig, MemoryFile

        config = MemoryConfig.of_purpose(purpose) if self.memory else None
        if config is None:
            return None
        return LocalMemory(MemoryFile.of_user(self.runs / "memory", purpose.name, self.user), config)

    def _talk(self, agent: Agent, view: PlainView, record: ChatRecord | None) -> None:
        while (line := _read(view)) is not None:
            if line.startswith("/"):
                if line in ("/quit", "/exit"):
                    break
                _command(agent, line, record)
            elif line:
                self._answer(agent, line, view)
                if record is not None:
                    record.update(agent.session.dialogue)

    def _answer(self, agent: Agent, line: str, view: PlainView) -> None:
        if self.json:
            try:
                reply = agent.reply(line)
            except ModelError as error:
                print_json({"error": str(error)})
            else:
                acted = [asdict(record) for record in agent.records]
                called = [message.as_dict() for message in agent.tool_messages]
                print_json(
                    {"reply": reply.text, "finish": reply.finish, "tokens": reply.new_tokens, "seed": reply.seed}
                    | ({"tools": called} if called else {})
                    | ({"defences": acted} if acted else {})
                )
            sys.stdout.flush()
            return
        view.begin()
        try:
            with closing(printable_pieces(agent.stream(line))) as pieces:
                for piece in pieces:
                    view.write(piece)
        except KeyboardInterrupt:
            view.write(" [cut short; not kept]")
        except ModelError as error:
            view.write(f"[{error}]")
        view.end()


def _read(view: PlainView) -> str | None:
    try:
        return view.read().strip()
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        raise ConfigError(f"standard input is not UTF-8: {error.reason}") from None


def _command(agent: Agent, line: str, record: ChatRecord | None) -> None:
    name, _, argument = line.partition(" ")
    if name == "/help":
        print_notice(HELP, style="dim")
    elif name == "/reset":
        agent.reset()
        if record is not None:
            record.begin()
        print_notice("A new dialogue.", style="dim")
    elif name == "/save" and argument:
        _save(agent, Path(argument.strip()).expanduser())
    else:
        problem = "/save needs a file name" if name == "/save" else f"unknown command {name!r}"
        print_notice(f"{problem}. /help lists the commands.", style="dim")


def _save(agent: Agent, wanted: Path) -> None:
    from telic.formats import write_dialogues

    path = unused_path(wanted)
    try:
        write_dialogues(path, [agent.session.dialogue])
    except DataError as error:
        print_notice(str(error))
        return
    exists = f"{wanted} exists already. " if path != wanted else ""
    print_notice(f"{exists}Saved to {path}.", style="dim")
