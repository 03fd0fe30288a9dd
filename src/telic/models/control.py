"""What may bend a model while it speaks: declared here, where the engine calls it; implemented above.

A control acts at one or more of five points. For each it overrides one method; the engine calls it only with the
rows of the batch that carry it, so two rows with different controls never touch each other. Several controls on one
row act in the order in which they are listed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from telic.dialogue import Message
from telic.registry import Registry
from telic.rendering import Span

if TYPE_CHECKING:
    import torch

    from telic.models.base import Model
    from telic.rendering import Rendering

__all__ = ["OPEN", "Control", "Insertion", "Point", "Row", "Step", "build", "registry"]

Point = Literal["messages", "embeddings", "attention", "residual", "logits"]
"""Where a control acts: what is said to the model; prefix tokens; attention mass on the system prompt; the residual
stream; the logits."""


OPEN = 1 << 40
"""The end of a reply that has none yet."""


@dataclass(slots=True)
class Row:
    """What a control may know of one row of the batch."""

    rendering: Rendering
    """The prompt: text, tokens, and the span of every message."""
    prompt_length: int
    """Positions before the reply: the prompt's tokens and inserted prefix tokens."""
    memory: dict[str, Any] = field(default_factory=dict)
    """Belongs to the session: what a control stores here comes back at the next turn, and a fork gets a copy."""
    generated: list[int] = field(default_factory=list)
    """Token ids of the reply so far."""
    replies: tuple[Span, ...] = ()
    """Positions of the earlier replies in the prompt, each with the token from which it starts."""
    seed: int = 0
    """With which the reply is drawn: all chance in what a control does should follow from it."""
    chosen: dict[str, Any] = field(default_factory=dict)
    """What a control decided on for this reply, for the record: it comes back as `Reply.chosen`."""

    @property
    def first_reply(self) -> Span:
        """Positions of the dialogue's first reply; while that is the one being generated, its end is `OPEN`."""
        return self.replies[0] if self.replies else Span(self.prompt_length - 1, OPEN)


@dataclass(slots=True)
class Step:
    """One forward pass, seen from one control: its rows, and which token belongs to which of them."""

    rows: Sequence[Row]
    row_N: torch.Tensor
    """int64 [N]: index into `rows` of each token of this pass."""
    position_N: torch.Tensor
    """int64 [N]: position of each token in its row."""
    reply_N: torch.Tensor
    """bool [N]: whether the token is of the reply, or is the last of the prompt (from which the reply starts)."""
    memo: dict[str, Any] = field(default_factory=dict)
    """For what the control computes once per pass instead of once per layer."""


@dataclass(frozen=True, slots=True)
class Insertion:
    """Prefix tokens without a text: embeddings put before the prompt's token at `index` (its length: at the end)."""

    index: int
    vectors: torch.Tensor
    """[L, hidden], at the scale of the model's input embeddings."""


class Control:
    """Base of all controls: acts nowhere. Subclasses list their `points` and override the methods of those.

    Those that are dataclasses are what their fields say: `spec` writes them as a purpose file does, and two with the
    same fields are the same control to runs that are resumed and to caches.
    """

    name: ClassVar[str] = "control"
    points: ClassVar[frozenset[Point]] = frozenset()
    steers_from_state: ClassVar[bool] = False
    """Whether it decides on its prefix tokens once the prompt is read: `steer` is asked, and never `embeddings`."""

    def spec(self) -> dict[str, Any]:
        """Its table in a purpose file: the name, and the fields that differ from their defaults."""
        own: tuple[Field[Any], ...] = fields(self) if is_dataclass(self) else ()
        values = {f.name: getattr(self, f.name) for f in own if f.init}
        return {"name": self.name, **{f.name: values[f.name] for f in own if f.init and values[f.name] != _default(f)}}

    @property
    def key(self) -> str:
        """Names what it does to the key-value cache, which is used again only by requests with the same keys.

        It must differ whenever the forward pass differs: by default the fields of a dataclass, else the object itself.
        """
        return json.dumps(self.spec(), default=str) if is_dataclass(self) else f"{self.name}@{id(self):x}"

    def check(self, model: Model) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: which model it is for.
        """

    @property
    def layers(self) -> frozenset[int] | None:
        """Layers whose residual stream it changes (0 is the first block's output); None for all of them."""
        return None

    @property
    def span(self) -> Literal["turn", "content"]:
        """Which tokens count as the system prompt for `attention`: its whole turn or its content only."""
        return "content"

    def messages(self, messages: tuple[Message, ...]) -> tuple[Message, ...]:
        """Change what is said to the model. The dialogue itself is not changed."""
        return messages

    def embeddings(self, row: Row) -> Sequence[Insertion]:
        """Prefix tokens to insert into the prompt."""
        return ()

    def steer(self, row: Row, state_D: torch.Tensor) -> Sequence[Insertion]:
        """Prefix tokens to insert into the prompt, in the light of the state that it leaves the model in.

        At the prompt's end they cost their own tokens only. Anywhere else, what comes after them is read again. The
        session's cache never holds them, nor what was read after them, so that the next turn's state is a function
        of what was said.

        Args:
            row: the prompt without the prefix tokens; what was decided can be noted in `row.chosen`.
            state_D: float32 [hidden], on the CPU: the last hidden state of the prompt's last token.
        """
        return ()

    def attention(self, step: Step, layer: int, log_mass_R_H_Q: torch.Tensor) -> torch.Tensor:
        """Set how much attention goes to the system prompt.

        Args:
            step: the rows and their tokens; rows in one call have the same number Q of queries.
            layer: index of the layer.
            log_mass_R_H_Q: float32, the log of the attention mass on the system prompt's span per row, head, query.

        Returns:
            The new log-mass, same shape, at most 0. Within the span, and outside of it, the relative attention stays.
        """
        return log_mass_R_H_Q

    def residual(self, step: Step, layer: int, hidden_N_D: torch.Tensor) -> torch.Tensor:
        """Change the residual stream after a layer; a new tensor, never in place."""
        return hidden_N_D

    def logits(self, rows: Sequence[Row], logits_R_V: torch.Tensor) -> torch.Tensor:
        """Change the next token's logits (float32), one line per row."""
        return logits_R_V

    def companions(self, messages: tuple[Message, ...]) -> tuple[tuple[Message, ...], ...]:
        """What further streams are told, which read along and get the same reply; by default there are none.

        Where a control has streams, `contrast` is called instead of `logits`.
        """
        return ()

    def contrast(self, rows: Sequence[Row], logits_R_V: torch.Tensor, companions_K_R_V: torch.Tensor) -> torch.Tensor:
        """Put the next token's logits (float32) and those of the K further streams together."""
        return logits_R_V


def _default(f: Field[Any]) -> Any:
    if f.default_factory is not MISSING:
        return f.default_factory()
    return f.default


registry: Registry[Callable[..., Control]] = Registry("control")
"""Control factories by name; a purpose file's `[[controls]]` name them, their other keys are the factory's options."""


def build(spec: Mapping[str, Any]) -> Control:
    """Make a control from its table in a purpose file.

    Raises:
        ConfigError: no control has this name, or it does not take these options.
    """
    made: Control = registry.make(spec)
    return made
