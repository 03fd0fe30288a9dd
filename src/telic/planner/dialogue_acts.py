"""Dialogue acts as a basis of actions, so that the choices of a planner can be named.

An act is written down as a few ways to say it ("When would suit you?"). Distillation finds the prefix tokens after
which the frozen model is most likely to say such lines, whatever the dialogue is about. A planner over the acts then
decides how much of each goes into the next reply.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import Annotated

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.games.base import Game
from telic.models.local import LocalModel
from telic.planner.cloning import CloneConfig, fit_prefixes
from telic.planner.config import ACT_EPOCHS, ACT_TOKENS
from telic.planner.gradient import UtteranceExample, UtteranceLosses
from telic.planner.upmapping import embeddings_of
from telic.progress import Deadline
from telic.toml_source import decode, parse

__all__ = [
    "DialogueAct",
    "DialogueActSet",
    "RandomActTalker",
    "SampleDialogue",
    "act_sets",
    "acts_for",
    "distil_acts",
    "load_acts",
]

DISTILLATION = CloneConfig(epochs=ACT_EPOCHS, lr=1e-2, batch=4)
"""Default settings of the distillation. Batches are small, since each prefix learns from its own act alone."""
GENERAL = "general"
"""Name of the set of acts for any domain."""
_SHIPPED = Path(__file__).parent / "data" / "acts"
Text = Annotated[str, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DialogueAct(_Part):
    """One thing that a speaker can do with an utterance, such as asking for the budget."""

    name: Text
    """Name in reports."""
    says: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Ways to say it."""


class SampleDialogue(_Part):
    """A dialogue in which the acts are said while they are distilled."""

    system: Text | None = None
    """The system prompt."""
    said: Annotated[tuple[Text, ...], Field(min_length=1)]
    """The utterances in turn. The user begins and has the last word."""

    @property
    def messages(self) -> tuple[Message, ...]:
        """The dialogue as the model reads it."""
        dialogue = Dialogue().with_system(self.system)
        for number, text in enumerate(self.said):
            dialogue = dialogue.add("assistant" if number % 2 else "user", text)
        return tuple(dialogue)


class DialogueActSet(_Part):
    """Dialogue acts, and sample dialogues to say them in."""

    acts: Annotated[tuple[DialogueAct, ...], Field(min_length=2)]
    contexts: tuple[SampleDialogue, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the acts."""
        return tuple(act.name for act in self.acts)

    def only(self, *names: str) -> DialogueActSet:
        """Select some of the acts.

        Raises:
            ConfigError: there is no act of that name.
        """
        for name in names:
            if name not in self.names:
                raise ConfigError(f"there is no act {name!r}; known: {', '.join(self.names)}")
        return self.model_copy(update={"acts": tuple(act for act in self.acts if act.name in names)})


class RandomActTalker:
    """A talker that says random acts, word for word as they are written.

    Its dialogues show how the other side answers to the acts, before the model can say any of them. The acts are
    distilled in these dialogues.

    Args:
        acts: the acts to choose from.
        seed: seed of the choices.
    """

    def __init__(self, acts: DialogueActSet, seed: int) -> None:
        self._acts, self._draw = acts.acts, Random(seed)

    def reply(self, text: str) -> str:  # noqa: ARG002 (the reply does not depend on it)
        """Say a random line of a random act."""
        return self._draw.choice(self._draw.choice(self._acts).says)


def act_sets() -> tuple[str, ...]:
    """List the names of the sets of acts that Telic ships."""
    return tuple(sorted(file.stem for file in _SHIPPED.glob("*.toml")))


def acts_for(game: Game) -> str:
    """Name the shipped set of acts that suits a game best: that of its domain or of the game, else the general one."""
    fitting = (str(getattr(game, "domain", "")), game.name)
    return next((name for name in fitting if name in act_sets()), GENERAL)


def load_acts(source: str | Path = GENERAL) -> DialogueActSet:
    """Read a set of acts.

    Args:
        source: the name of a set that Telic ships (see `act_sets`), or a TOML file.

    Raises:
        ConfigError: the file cannot be read, or its content is wrong; the message names the place in the file.
    """
    named = str(source) in act_sets()
    path = _SHIPPED / f"{source}.toml" if named else Path(source)
    try:
        values, places = parse(decode(path.read_bytes(), str(source)), str(source))
        found = DialogueActSet.model_validate(values)
    except OSError as error:
        known = ", ".join(act_sets())
        raise ConfigError(
            f"cannot read the acts in {str(source)!r}: {error.strerror}; expected a TOML file, or one of {known}"
        ) from None
    except ValidationError as error:
        raise places.error((e["loc"], e["msg"]) for e in error.errors()) from None
    if len(set(found.names)) < len(found.names):
        raise ConfigError(f"{source}: two acts have the same name; give each its own")
    for number, dialogue in enumerate(found.contexts):
        if len(dialogue.said) % 2 == 0:
            problem = (
                f"the user must have the last word; expected an odd number of utterances, got {len(dialogue.said)}"
            )
            raise places.error([(("contexts", number, "said"), problem)])
    return found


def distil_acts(
    model: LocalModel,
    acts: DialogueActSet | None = None,
    *,
    dialogues: Sequence[Sequence[Message]] = (),
    tokens: int = ACT_TOKENS,
    contexts: int = 3,
    config: CloneConfig = DISTILLATION,
    on_epoch: Callable[[int, float], None] | None = None,
    deadline: Deadline | None = None,
) -> dict[str, torch.Tensor]:
    """Find the prefix tokens of every act, for `Planner.new(model, acts=...)`.

    Args:
        model: the frozen model.
        acts: by default the general set.
        dialogues: the dialogues in which the acts are said, as the model reads them; by default the sample dialogues of
            the set, else those of the general set. In dialogues of the game that they are for, prefixes make the model
            say the acts far more reliably.
        tokens: L, prefix tokens of each act.
        contexts: number of dialogues in which each line is said.
        config: settings of the optimisation.
        on_epoch: called with the number of each epoch, from 1, and its loss over all acts.
        deadline: when no epoch is begun any more that would not end in time; one is done in any case.

    Returns:
        For each name of an act, its prefix: float32 [L, D].

    Raises:
        ConfigError: `tokens` or `contexts` is below 1.
    """
    if tokens < 1 or contexts < 1:
        raise ConfigError(f"tokens is {tokens!r} and contexts is {contexts!r}; expected 1 or more of each")
    acts = acts or load_acts()
    samples = acts.contexts or load_acts().contexts
    histories = [tuple(dialogue) for dialogue in dialogues] or [sample.messages for sample in samples]
    owners, examples = _examples(acts, histories, min(contexts, len(histories)))
    mean_D = embeddings_of(model).mean_D
    prefixes = {name: torch.nn.Parameter(mean_D.repeat(tokens, 1)) for name in acts.names}

    def stacked(index_B: list[int]) -> torch.Tensor:
        return torch.stack([prefixes[owners[number]] for number in index_B])

    losses = UtteranceLosses(model, examples)
    fit_prefixes(prefixes, stacked, losses, torch.ones(len(examples)), config, on_epoch=on_epoch, deadline=deadline)
    return {name: prefix_L_D.detach() for name, prefix_L_D in prefixes.items()}


def _examples(
    acts: DialogueActSet, histories: Sequence[tuple[Message, ...]], repeats: int
) -> tuple[list[str], list[UtteranceExample]]:
    """Say each line in some of the dialogues; returns the act's name and the example for each."""
    owners: list[str] = []
    examples: list[UtteranceExample] = []
    for act in acts.acts:
        for text in act.says:
            for _ in range(repeats):
                # The dialogues take turns, so that each act is said in many of them.
                examples.append(UtteranceExample(histories[len(examples) % len(histories)], text))
                owners.append(act.name)
    return owners, examples
