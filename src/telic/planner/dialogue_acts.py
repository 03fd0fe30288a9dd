"""Dialogue acts as a basis of actions: what a planner chooses can be said in words.

An act is written down as a few ways to say it ("When would suit you?"), and distilled: its prefix tokens are those
after which the frozen model is most likely to say such things, whatever the dialogue is about. A planner over the acts
then decides how much of each goes into the next reply.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from random import Random
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.games.base import Game
from telic.models.local import LocalModel
from telic.planner.cloning import CloneConfig, descend
from telic.planner.config import ACT_EPOCHS, ACT_TOKENS
from telic.planner.gradient import Example, Utterances
from telic.planner.upmapping import embeddings_of

__all__ = ["Act", "ActSet", "Context", "Reciter", "act_sets", "acts_for", "distil", "load_acts"]

DISTILLING = CloneConfig(epochs=ACT_EPOCHS, lr=1e-2, batch=4)
"""How the prefixes of acts are learnt. Batches are small, since each prefix learns from its own act alone."""
GENERAL = "general"
"""The acts for any trade."""
_SHIPPED = resources.files("telic.planner") / "data" / "acts"
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Act(_Part):
    """One thing that one can do by speaking."""

    name: Text
    """What it is called in reports."""
    says: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Ways to say it."""


class Context(_Part):
    """A dialogue in which the acts are said."""

    system: Text | None = None
    """The system prompt."""
    said: Annotated[tuple[Text, ...], Field(min_length=1)]
    """What was said in turn; the other side begins, and has the last word."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The dialogue, as the model is told it."""
        dialogue = Dialogue().with_system(self.system)
        for number, text in enumerate(self.said):
            dialogue = dialogue.add("assistant" if number % 2 else "user", text)
        return tuple(dialogue)


class ActSet(_Part):
    """Acts, and dialogues to say them in."""

    acts: Annotated[tuple[Act, ...], Field(min_length=2)]
    contexts: tuple[Context, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """What the acts are called."""
        return tuple(act.name for act in self.acts)

    def only(self, *names: str) -> ActSet:
        """Some of the acts.

        Raises:
            ConfigError: there is none of that name.
        """
        for name in names:
            if name not in self.names:
                raise ConfigError(f"there is no act {name!r}; known: {', '.join(self.names)}")
        return self.model_copy(update={"acts": tuple(act for act in self.acts if act.name in names)})


class Reciter:
    """Says an act drawn by chance, word for word as it is written down.

    So the other side is heard answering to the acts before the model can say any of them: these are the dialogues in
    which they will be played.

    Args:
        acts: what can be said.
        seed: draws it.
    """

    def __init__(self, acts: ActSet, seed: int) -> None:
        self._acts, self._draw = acts.acts, Random(seed)

    def reply(self, text: str) -> str:  # noqa: ARG002 (whatever was said)
        """Any line of any act."""
        return self._draw.choice(self._draw.choice(self._acts).says)


def act_sets() -> tuple[str, ...]:
    """The names of the acts that come with Telic."""
    return tuple(sorted(file.name.removesuffix(".toml") for file in _SHIPPED.iterdir()))


def acts_for(game: Game) -> str:
    """Which of them suit a game best: those of its domain or of the game itself, else those for any trade."""
    fitting = (str(getattr(game, "domain", "")), game.name)
    return next((name for name in fitting if name in act_sets()), GENERAL)


def load_acts(source: str | Path = GENERAL) -> ActSet:
    """Read acts.

    Args:
        source: the name of acts that come with Telic (see `act_sets`), or a TOML file.

    Raises:
        ConfigError: the file cannot be read, or is not such a file; the message names the place in it.
    """
    named = str(source) in act_sets()
    path = _SHIPPED / f"{source}.toml" if named else Path(source)
    try:
        found = ActSet.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        known = ", ".join(act_sets())
        raise ConfigError(
            f"cannot read the acts in {str(source)!r}: {error.strerror}; expected a TOML file, or one of {known}"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{source}: {place}: {first['msg']}") from None
    except ValueError as error:
        raise ConfigError(f"{source}: not TOML: {error}") from None
    if len(set(found.names)) < len(found.names):
        raise ConfigError(f"{source}: two acts have one name; give each its own")
    for number, context in enumerate(found.contexts):
        if len(context.said) % 2 == 0:
            raise ConfigError(f"{source}: contexts.{number}.said: the other side has to have the last word")
    return found


def distil(
    model: LocalModel,
    acts: ActSet | None = None,
    *,
    dialogues: Sequence[Sequence[Message]] = (),
    tokens: int = ACT_TOKENS,
    contexts: int = 3,
    config: CloneConfig = DISTILLING,
    on_epoch: Callable[[int, float], None] | None = None,
) -> dict[str, torch.Tensor]:
    """Find the prefix tokens of every act, for `Planner.new(model, acts=...)`.

    Args:
        model: the frozen model.
        acts: by default those for any trade.
        dialogues: in which the acts are to be said, each as the model is told it; by default those of the acts' file,
            or the ones for any trade.
            In the dialogues of the game that they are for, prefixes say far more reliably what they should.
        tokens: L, prefix tokens of each.
        contexts: in how many of the dialogues each utterance is said.
        config: how they are learnt.
        on_epoch: is told of each epoch's number, from 1, and its loss over all acts.

    Returns:
        By name of the act: float32 [L, D].

    Raises:
        ConfigError: there are no tokens or contexts.
    """
    if tokens < 1 or contexts < 1:
        raise ConfigError(f"tokens is {tokens!r} and contexts is {contexts!r}; expected 1 or more of each")
    acts = acts or load_acts()
    contexts_of_file = acts.contexts or load_acts().contexts
    told = [tuple(dialogue) for dialogue in dialogues] or [context.messages for context in contexts_of_file]
    examples: list[Example] = []
    owners: list[str] = []
    for act in acts.acts:
        for text in act.says:
            for _ in range(min(contexts, len(told))):
                # One dialogue after the other, so that each act is said in many of them.
                examples.append(Example(told[len(examples) % len(told)], text))
                owners.append(act.name)
    mean_D = embeddings_of(model).mean_D
    prefixes = {name: torch.nn.Parameter(mean_D.repeat(tokens, 1)) for name in acts.names}

    def stacked(index_B: list[int]) -> torch.Tensor:
        return torch.stack([prefixes[owners[number]] for number in index_B])

    descend(prefixes, stacked, Utterances(model, examples), torch.ones(len(examples)), config, on_epoch=on_epoch)
    return {name: prefix_L_D.detach() for name, prefix_L_D in prefixes.items()}
