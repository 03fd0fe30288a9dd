"""Which controls and pins act on which conversation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from telic.models import Control, Model, Request
from telic.models.compatibility import refuse_unsupported
from telic.promotion.records import BASE
from telic.purpose import Purpose
from telic.server.pins import Pins
from telic.server.records import ReplySetup

__all__ = ["ConversationControls"]


class ConversationControls:
    """The controls of all conversations of a server. They may be changed between turns.

    Args:
        model: the model that they act on.
        purpose: the purpose that is served.
        default: controls of every conversation that has none of its own.
        defences: the tables of the defences, which are part of every setup.
        version: the version of the purpose, which is part of every setup; `base` is left out.
        pins: pins of single conversations, by id, if other versions share them.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        default: Sequence[Control],
        defences: Sequence[Mapping[str, Any]] = (),
        version: str = BASE,
        pins: dict[str, Pins] | None = None,
    ) -> None:
        self._model, self._purpose, self._defences, self._version = model, purpose, list(defences), version
        self.default: tuple[Control, ...] = tuple(default)
        """Controls of every conversation that has none of its own."""
        self.controls_by_conversation: dict[str, tuple[Control, ...]] = {}
        """Controls of single conversations, by id; they replace the default ones."""
        self.pins_by_conversation: dict[str, Pins] = {} if pins is None else pins
        """Pins of single conversations, by id; they act beside the controls."""

    def set(self, controls: Sequence[Control], conversation: str | None = None) -> None:
        """Replace the default controls, or those of one conversation, from the next turn on.

        Raises:
            ConfigError: a control was made for another model.
            UnsupportedControlError: a control cannot act on this model.
        """
        refuse_unsupported(self._model, [Request((), controls=tuple(controls))])
        if conversation is None:
            self.default = tuple(controls)
        else:
            self.controls_by_conversation[conversation] = tuple(controls)

    def of(self, conversation: str | None) -> tuple[Control, ...]:
        """Return the controls of a conversation, without its pins."""
        return self.default if conversation is None else self.controls_by_conversation.get(conversation, self.default)

    def describe_setup(self, controls: Sequence[Control]) -> ReplySetup:
        """Describe the setup of a reply under these controls. A planner is one of them."""
        content = {
            "purpose": self._purpose.name,
            "system": self._purpose.system_prompt,
            "model": self._model.name,
            "controls": [control.spec() for control in controls],
            **({"defences": self._defences} if self._defences else {}),
            **self._purpose.model_dump(include={"adapter", "best_of", "reward_head"}, exclude_defaults=True),
            **({"version": self._version} if self._version != BASE else {}),
        }
        text = json.dumps(content, sort_keys=True, default=str)
        return ReplySetup(hashlib.sha256(text.encode()).hexdigest(), json.loads(text))

    def drop(self, conversations: Iterable[str]) -> None:
        """Remove what was set for conversations."""
        for conversation in conversations:
            self.controls_by_conversation.pop(conversation, None)
            self.pins_by_conversation.pop(conversation, None)
