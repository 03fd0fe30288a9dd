"""Controls: interventions in generation.

The engine calls this interface; `telic.steering` and `telic.planner` implement it.

A control acts at one or more of five points. For each it overrides that point's methods. The engine calls them only
with the sequences of the batch that carry the control, so sequences with different controls never touch each other.
Several controls on one sequence act in the order in which they are listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol

from telic.dialogue import Message
from telic.registry import Registry
from telic.rendering import Rendering, Span
from telic.settings import changed_fields

if TYPE_CHECKING:
    import torch

__all__ = [
    "OPEN_END",
    "Control",
    "ControlBatch",
    "ControlContext",
    "ControlPoint",
    "Insertion",
    "NamedModel",
    "build_control",
    "registry",
]

ControlPoint = Literal["messages", "embeddings", "attention", "residual", "logits"]
"""Where a control acts: the messages; prefix tokens; attention mass on the system prompt; the residual stream; the
logits."""


OPEN_END = 1 << 40
"""The end of a reply that is still being generated."""


class NamedModel(Protocol):
    """The least that `Control.check` can rely on; it asks for more with `isinstance` (`telic.models.capabilities`)."""

    @property
    def name(self) -> str:
        """What reports call the model."""
        ...


@dataclass(slots=True)
class ControlContext:
    """What a control may see of one sequence of the batch."""

    rendering: Rendering
    """The prompt: text, tokens, and the span of every message."""
    prompt_length: int
    """Positions before the reply: the prompt's tokens and inserted prefix tokens."""
    control_state: dict[str, Any] = field(default_factory=dict)
    """Belongs to the session: what a control stores here is there again at the next turn, and a fork gets a copy."""
    generated: list[int] = field(default_factory=list)
    """Token ids of the reply so far."""
    replies: tuple[Span, ...] = ()
    """Positions of the earlier replies in the prompt, each with the token from which it starts."""
    seed: int = 0
    """The seed of the reply: all randomness in a control should follow from it."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """What a control decided for this reply, for the record: it is returned as `Reply.chosen`."""

    @property
    def first_reply(self) -> Span:
        """Positions of the dialogue's first reply; while that is the one being generated, its end is `OPEN_END`."""
        return self.replies[0] if self.replies else Span(self.prompt_length - 1, OPEN_END)


@dataclass(slots=True)
class ControlBatch:
    """One forward pass as one control sees it: the sequences that carry it, and their tokens."""

    contexts: Sequence[ControlContext]
    context_N: torch.Tensor
    """int64 [N]: index into `contexts` of each token of this pass."""
    position_N: torch.Tensor
    """int64 [N]: position of each token in its sequence."""
    reply_N: torch.Tensor
    """bool [N]: whether the token belongs to a reply (this one or an earlier one), or is the token before one."""
    memo: dict[str, Any] = field(default_factory=dict)
    """For what the control computes once per pass instead of once per layer."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """Embeddings inserted before the prompt token at `index`; the prompt's length is its end."""

    index: int
    vectors: torch.Tensor
    """[L, hidden], at the scale of the model's input embeddings."""


class Control:
    """Base of all controls: acts nowhere. Subclasses list their `points` and override the methods of those.

    A control that is a dataclass is defined by its fields: `spec` writes them as a purpose file does, and two controls
    with the same fields are the same control to resumed runs and to caches.
    """

    name: ClassVar[str] = "control"
    points: ClassVar[frozenset[ControlPoint]] = frozenset()
    prefix_from_state: ClassVar[bool] = False
    """Whether it chooses its prefix tokens once the prompt is read: the engine calls `steering_prefix` and never
    `embeddings`."""

    def spec(self) -> dict[str, Any]:
        """Its table in a purpose file: the name, and the fields that differ from their defaults."""
        return {"name": self.name, **changed_fields(self)}

    @property
    def key(self) -> str:
        """Identifies its effect on keys and values: a cache serves only requests whose controls have the same keys.

        It must differ whenever the forward pass differs: by default the fields of a dataclass, else the object itself.
        Empty: the control only reads.
        """
        return json.dumps(self.spec(), default=str) if is_dataclass(self) else f"{self.name}@{id(self):x}"

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: which model it is for.
        """

    @property
    def layers(self) -> frozenset[int] | None:
        """Layers whose residual stream it changes (0 is the first block's output); None for all of them."""
        return None

    @property
    def closed_loop(self) -> bool:
        """Whether it measures the residual stream of the prompt, and acts on what it measured.

        An engine whose cache of prompts is shared between sessions then reads the whole prompt for each reply.
        """
        return False

    @property
    def span(self) -> Literal["turn", "content"]:
        """Which tokens count as the system prompt for `attention`: its whole turn or its content only."""
        return "content"

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Change the messages that the model is given. The dialogue itself is not changed."""
        return messages

    def embeddings(self, context: ControlContext) -> Sequence[Insertion]:
        """Choose prefix tokens to insert into the prompt, before it is read."""
        return ()

    def steering_prefix(self, context: ControlContext, state_D: torch.Tensor) -> Sequence[Insertion]:
        """Choose prefix tokens to insert into the prompt, given the hidden state at its end.

        At the prompt's end they cost their own tokens only. Anywhere else, what follows them is read again. The
        session's cache never holds them, nor what was read after them, so that the next turn's state is a function
        of the dialogue's text.

        Args:
            context: the prompt without the prefix tokens; what was decided can be noted in `context.chosen`.
            state_D: float32 [hidden], on the CPU: the last hidden state of the prompt's last token.
        """
        return ()

    def attention(self, batch: ControlBatch, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        """Set how much attention goes to the system prompt.

        Args:
            batch: the sequences and their tokens; those in one call have the same number Q of queries.
            layer: index of the layer.
            log_mass_R_H_Q: float32, the log of the attention mass on the system prompt's span per sequence, head,
                query.

        Returns:
            The new log-mass, same shape, at most 0. Within the span, and outside of it, the relative attention stays.
        """
        return log_mass_R_H_Q

    def residual(self, batch: ControlBatch, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Change the residual stream after a layer; a new tensor, never in place."""
        return hidden_N_D

    def logits(self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor) -> torch.Tensor:
        """Change the next token's logits (float32), one row per sequence."""
        return logits_R_V

    def contrast_prompts(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """Return other prompts under which the engine also evaluates the reply; none by default.

        Where a control has contrast prompts, `contrast_logits` is called instead of `logits`, at the same point.
        """
        return ()

    def contrast_logits(
        self, contexts: Sequence[ControlContext], logits_R_V: torch.Tensor, contrast_K_R_V: torch.Tensor
    ) -> torch.Tensor:
        """Combine the next token's logits (float32) with those under the K contrast prompts."""
        return logits_R_V


registry: Registry[Callable[..., Control]] = Registry("control")
"""Control factories by name; a purpose file's `[[controls]]` name them, their other keys are the factory's options."""


def build_control(spec: Mapping[str, Any]) -> Control:
    """Make a control from its table in a purpose file.

    Raises:
        ConfigError: no control has this name, or it does not take these options.
    """
    made: Control = registry.make(spec)
    return made
