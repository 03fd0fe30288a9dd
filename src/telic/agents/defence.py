"""Defences: what protects a purpose's limits while its chatbot talks.

A defence may act at three points of a turn: it adds controls to every reply (a harder prompt, a reminder), it decides
on the user's message before the model replies, and it decides on the model's draft. The defences of a purpose compose
(`telic.agents.defender`). They make no requests themselves but yield them (`telic.models.requesting`): the same code
protects a chat, a game, an attack and a server. `telic.redteam.defences` implements the defences.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from telic.dialogue import Message
from telic.judges.limits import JudgedLimit
from telic.models import Control, Model, Reply
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose
from telic.registry import Registry
from telic.settings import changed_fields

__all__ = [
    "PASS",
    "Decision",
    "DecisionAction",
    "Defence",
    "DefendedTurn",
    "build_defence",
    "defence_registry",
]

DecisionAction = Literal["pass", "harden", "trim", "regenerate", "refuse", "end"]
"""What to do with a message or a draft: let it pass; `harden`, so that replies from now on are generated under further
controls (a draft itself passes); `trim`, so that the user gets a part of the draft; `regenerate`, so that another draft
replaces it, under further controls; `refuse`, so that the user gets the purpose's refusal; or `end`, so that the user
gets nothing else from now on."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a defence decides on a message or a draft."""

    action: DecisionAction = "pass"
    reason: str = ""
    """Why, for the record; empty for `pass`."""
    controls: tuple[Control, ...] = ()
    """Further controls of `harden` and `regenerate`."""
    readings: Mapping[str, Any] = field(default_factory=dict)
    """What it measured, for the record: a monitor's probability."""
    text: str = ""
    """What is left of the draft after `trim`."""


PASS = Decision()
"""The decision to let it pass."""


@dataclass(frozen=True, slots=True)
class DefendedTurn:
    """What a defence may see of a turn."""

    purpose: Purpose
    limits: Sequence[JudgedLimit]
    """The purpose's limits."""
    messages: tuple[Message, ...]
    """The whole dialogue, from the system prompt to the user's last message."""
    state: dict[str, Any]
    """Belongs to this defence and this dialogue: what it stores here is there again at the next turn."""
    seed: int
    """All randomness of the defence comes from it."""
    drafts: int = 0
    """Number of drafts of this turn before the one to be judged."""

    @property
    def said(self) -> list[str]:
        """What the user has said so far, the last message included."""
        return [message.content for message in self.messages if message.role == "user"]

    @property
    def after_tool(self) -> bool:
        """Whether the reply follows the result of a tool: what the user said last was judged already."""
        return self.messages[-1].role == "tool"


class Defence:
    """Base of all defences: lets everything pass. Subclasses override the methods of the points where they act.

    A defence is a frozen dataclass, whose fields are its settings in `[[defences]]`.
    """

    name: ClassVar[str] = "defence"
    readings: ClassVar[frozenset[str]] = frozenset()
    """What it needs to be read off every reply: a subset of `telic.models.request.READINGS`. An instance may set its
    own."""
    judges_drafts: ClassVar[bool] = False
    """Whether it may replace a draft: the user gets nothing of a reply before it is complete. An instance may set its
    own."""

    def spec(self) -> dict[str, Any]:
        """Return its table in a purpose file: the name, and the settings that differ from their defaults."""
        return {"name": self.name, **changed_fields(self)}

    def controls(self, purpose: Purpose) -> tuple[Control, ...]:
        """Return the controls that it adds to every reply."""
        return ()

    def hardening(self) -> tuple[Control, ...]:
        """Return the controls of its decision `harden`, so that a server restores them after a restart."""
        return ()

    def models(self) -> list[Model]:
        """Return the models that it asks besides those of the limits' judges; those given by name are loaded.

        Raises:
            ModelError: one cannot be loaded.
        """
        return []

    def check(self, purpose: Purpose, model: Model) -> None:
        """Refuse a purpose or a model that it cannot protect.

        Raises:
            ConfigError: what is missing, and what to do: a purpose without limits for an output guard.
        """

    def check_input(self, turn: DefendedTurn) -> RequestGenerator[Decision]:
        """Decide on the user's message, before the model replies: `pass`, `harden`, `refuse` or `end`."""
        return PASS
        yield  # makes this a generator, which makes no requests

    def check_draft(self, turn: DefendedTurn, draft: Reply) -> RequestGenerator[Decision]:
        """Decide on a draft of the reply: any action.

        A draft that was regenerated is judged again by all defences, and what `trim` left by those that follow.
        """
        return PASS
        yield  # makes this a generator, which makes no requests


defence_registry: Registry[type[Defence]] = Registry("defence")
"""Defences by name; a purpose file's `[[defences]]` name them, their other keys are the settings."""
defence_registry.declare(
    attention_hold="telic.redteam.defences.controlled:AttentionHoldDefence",
    guidance="telic.redteam.defences.controlled:GuidanceDefence",
    hardened_prompt="telic.redteam.defences.hardened_prompt:HardenedPrompt",
    monitor="telic.redteam.defences.monitor:Monitor",
    input_guard="telic.redteam.defences.input_guard:InputGuard",
    output_guard="telic.redteam.defences.output_guard:OutputGuard",
    refresh="telic.redteam.defences.controlled:RefreshDefence",
    reminder="telic.redteam.defences.controlled:ReminderDefence",
)


def build_defence(spec: Mapping[str, Any]) -> Defence:
    """Make a defence from its table in a purpose file.

    Raises:
        ConfigError: no defence has this name, or it does not take these settings.
    """
    made: Defence = defence_registry.make(spec)
    return made
