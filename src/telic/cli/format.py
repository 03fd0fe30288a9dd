"""`telic format`: a dialogue as the model sees it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import tyro
from rich.console import Console
from rich.text import Text

from telic.cli.output import load_model, print_json, print_table
from telic.errors import ConfigError, ModelError
from telic.terminal import printable

if TYPE_CHECKING:
    from telic.dialogue import Dialogue
    from telic.rendering import Rendering

__all__ = ["Format"]

COLOURS = {"system": "magenta", "user": "cyan", "assistant": "green", "tool": "yellow"}


@dataclass
class Format:
    """Show a dialogue as the model sees it: template, tokens, and the span of every message.

    Examples:
        telic format travel.toml --say "Hello!" "Hi, I am Mia." "Where to?"
        telic format dialogues.jsonl --index 3 --tokens
        telic format travel.toml --model qwen2.5-1.5b
    """

    source: tyro.conf.Positional[str] = "demo"
    """A purpose file, `demo`, or a file of dialogues: lines of OpenAI's messages, ShareGPT, or Telic's episodes."""
    model: str | None = None
    """Model whose chat template is used. By default the one that the purpose names, or else smollm2."""
    say: tuple[str, ...] = ("Hello!",)
    """With a purpose: the messages of the dialogue. The user and the assistant take turns, and the user begins."""
    index: int = 0
    """With a file of dialogues: the number of the dialogue, counted from 0."""
    tokens: bool = False
    """Mark the boundaries between tokens."""
    json: bool = False
    """Print the text, the token ids and the spans as JSON."""

    def run(self) -> None:
        """Render and print."""
        from telic.models.capabilities import HasTemplate

        name, messages = self._messages()
        model = load_model(self.model or name)
        if not isinstance(model, HasTemplate):
            raise ModelError(
                f"model {model.name!r} gives no access to its chat template; name a local model with --model"
            )
        rendering = model.render(messages)
        if self.json:
            spans = [
                {"role": m.role, "turn": [t.start, t.end], "content": [c.start, c.end]}
                for m, t, c in zip(rendering.messages, rendering.turns, rendering.contents, strict=True)
            ]
            print_json({"text": rendering.text, "token_ids": rendering.token_ids, "messages": spans})
            return
        Console(highlight=False, soft_wrap=True).print(self._coloured(rendering))
        print_table(
            ("message", "turn", "content", "tokens"),
            [
                (m.role, f"{t.start}-{t.end}", f"{c.start}-{c.end}", str(len(t)))
                for m, t, c in zip(rendering.messages, rendering.turns, rendering.contents, strict=True)
            ],
        )

    def _messages(self) -> tuple[str, Dialogue]:
        """The name of the default model, and the dialogue to show."""
        from telic.dialogue import Dialogue
        from telic.formats import read_dialogues
        from telic.purpose import Purpose

        if Path(self.source).suffix in (".jsonl", ".json"):
            dialogues = read_dialogues(Path(self.source))
            if not 0 <= self.index < len(dialogues):
                raise ConfigError(
                    f"{self.source} has no dialogue with --index {self.index}; the last index is {len(dialogues) - 1}"
                )
            return "smollm2", dialogues[self.index]
        purpose = Purpose.load(self.source)
        dialogue = Dialogue().with_system(purpose.system_prompt)
        for number, text in enumerate(self.say):
            dialogue = dialogue.add("assistant" if number % 2 else "user", text)
        return purpose.model, dialogue

    def _coloured(self, rendering: Rendering) -> Text:
        styles = [""] * len(rendering.token_ids)
        for message, turn, content in zip(rendering.messages, rendering.turns, rendering.contents, strict=True):
            colour = COLOURS.get(message.role, "white")
            styles[turn.start : turn.end] = [f"dim {colour}"] * len(turn)
            styles[content.start : content.end] = [f"bold {colour}"] * len(content)
        text = Text()
        for style, piece in zip(styles, rendering.token_texts, strict=True):
            text.append(printable(piece), style=style)
            if self.tokens and not piece.endswith("\n"):
                text.append("|", style="dim")
        return text
