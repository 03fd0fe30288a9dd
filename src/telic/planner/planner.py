"""A planner: from the state of a dialogue to an action, and from the action to prefix tokens that steer the reply.

Dialogue action tokens (Li et al., arXiv 2406.11978). Shapes: B batch, D hidden, A action, L prefix tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, Self, get_args

import torch
from torch import nn

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import NamedModel
from telic.models.local import LocalModel
from telic.planner.actor import Constant, Policy
from telic.planner.networks import Actor
from telic.planner.standardise import Standardise
from telic.planner.upmapping import Acts, Learned, Principal, UpMapping, embeddings_of
from telic.registry import suggest
from telic.steering.saving import Origin

if TYPE_CHECKING:
    from telic.planner.control import PlannerControl

__all__ = ["Planner", "PlannerShape", "clone_of"]

Mapped = Literal["learned", "principal", "acts"]
Placement = Literal["end", "mid", "start"]
Reads = Literal["state", "nothing"]
Plays = Literal["mixture", "drawn", "largest"]


@dataclass(frozen=True, slots=True)
class PlannerShape:
    """What a planner is made of, besides its tensors.

    Raises:
        ConfigError: a value is none that there is.
    """

    hidden_size: int
    """D, of the model that it steers."""
    action_size: int = 64
    """A."""
    tokens: int = 2
    """L; 0 steers nothing."""
    mapping: Mapped = "learned"
    """How an action becomes prefix tokens; see `telic.planner.upmapping`."""
    placement: Placement = "end"
    """Where they go: `end`, just before the reply, costs their own tokens only; `mid`, after the system prompt, and
    `start`, before it, have all that follows read again in every turn."""
    reads: Reads = "state"
    """`nothing`: the same action always, as a baseline."""
    width: int | None = None
    """Of the clone's layers; by default D."""
    act_norm: float = 3.0
    """For `principal`: the length of every action."""
    acts: tuple[str, ...] = ()
    """For `acts`: what the parts of the action are called."""
    plays: Plays = "mixture"
    """For `acts`: the mixture itself; or one act only, `drawn` by its share, or the `largest`."""
    remembers: bool = False
    """For `acts`: how often each act was played in the dialogue is part of the state."""
    opening: int = 0
    """Tokens that a prompt begins with before any message, which `start` leaves first (BOS)."""
    residual: int | None = None
    """Width of the layers of what was learnt on top of the clone; None for nothing."""
    bound: float | None = None
    """What it adds is kept within this of zero; None for no bound."""

    def __post_init__(self) -> None:
        for name, known in (
            ("mapping", get_args(Mapped)),
            ("placement", get_args(Placement)),
            ("reads", get_args(Reads)),
            ("plays", get_args(Plays)),
        ):
            if getattr(self, name) not in known:
                raise ConfigError(
                    f"planner: {name} is {getattr(self, name)!r}{suggest(str(getattr(self, name)), list(known))}"
                )
        object.__setattr__(self, "acts", tuple(self.acts))  # a list, where it comes from JSON
        if self.mapping == "acts" and not (self.acts and self.action_size == len(self.acts)):
            raise ConfigError(
                f"planner: an action of {self.action_size} numbers for {len(self.acts)} acts; expected one for each"
            )
        if self.mapping != "acts" and (self.remembers or self.plays != "mixture"):
            raise ConfigError(f"planner: the mapping {self.mapping!r} has no acts to play one of, or to remember")
        if self.tokens < 0 or self.action_size < 1 or self.hidden_size < 1:
            raise ConfigError(
                f"planner: {self.tokens} prefix tokens, actions of {self.action_size}, hidden size {self.hidden_size}; "
                "expected at least 0, 1 and 1"
            )

    @property
    def remembered(self) -> int:
        """Numbers of the state, the last ones, that say how often each act was played."""
        return self.action_size if self.remembers else 0

    @property
    def state_size(self) -> int:
        """Numbers of a state: the model's hidden state, and what is remembered."""
        return self.hidden_size + self.remembered


class Planner(nn.Module):
    """Steers a frozen model by prefix tokens.

    Args:
        shape: what it is made of.
        policy: state to action.
        mapping: action to prefix tokens.
        origin: the model that it was made for.
    """

    def __init__(self, shape: PlannerShape, policy: Policy, mapping: UpMapping, origin: Origin | None = None) -> None:
        super().__init__()
        self.shape, self.policy, self.mapping, self.origin = shape, policy, mapping, origin

    @classmethod
    def new(
        cls,
        model: LocalModel,
        *,
        acts: Mapping[str, torch.Tensor] | None = None,
        seed: int = 0,
        **options: Any,
    ) -> Self:
        """Make an untrained planner for a model.

        Args:
            model: the model that it will steer.
            acts: prefixes [L, D] by the name of their dialogue act (see `telic.planner.dialogue_acts`): the mapping is
                `acts`, and the number of tokens and the action's size follow from them.
            seed: draws the first weights.
            **options: fields of `PlannerShape`, but for those of the model and of what is learnt later.

        Raises:
            ConfigError: there is no such option, or it has no such value.
        """
        learnt = {"hidden_size", "residual", "bound"}
        known = [f.name for f in fields(PlannerShape) if f.name not in learnt]
        for name in options:
            if name not in known:
                raise ConfigError(f"planner: unknown option {name!r}{suggest(name, known)}")
        prefixes_K_L_D = None
        if acts is not None:
            prefixes_K_L_D = torch.stack([prefix_L_D.float().cpu() for prefix_L_D in acts.values()])
            options |= {"mapping": "acts", "acts": tuple(acts), "action_size": len(acts)}
            options["tokens"] = prefixes_K_L_D.shape[1]
        shape = PlannerShape(model.hidden_size, **{"opening": _opening(model), **options})
        drawn = torch.Generator().manual_seed(seed)
        policy = Policy(clone_of(shape, drawn))
        if shape.mapping == "acts":
            mapping: UpMapping = Acts(shape.acts, shape.tokens, shape.hidden_size, prefixes_K_L_D)
        elif shape.mapping == "principal":
            mapping = Principal(
                shape.action_size, shape.tokens, shape.hidden_size, shape.act_norm, embeddings_of(model)
            )
        else:
            mapping = Learned(shape.action_size, shape.tokens, shape.hidden_size, embeddings_of(model), drawn)
        return cls(shape, policy, mapping, Origin.of(model))

    @classmethod
    def of(cls, shape: PlannerShape, tensors: Mapping[str, torch.Tensor], origin: Origin | None = None) -> Self:
        """Put a planner together from what was saved of one.

        Raises:
            ConfigError: the tensors are not those of such a planner.
        """
        sizes = shape.action_size, shape.tokens, shape.hidden_size
        mapping: UpMapping
        if shape.mapping == "acts":
            mapping = Acts(shape.acts, shape.tokens, shape.hidden_size)
        else:
            mapping = Principal(*sizes, shape.act_norm) if shape.mapping == "principal" else Learned(*sizes)
        policy = Policy(clone_of(shape, None))
        if shape.residual is not None:
            policy.residual = Actor(
                shape.state_size, shape.action_size, shape.residual, bound=shape.bound, remembered=shape.remembered
            )
            policy.standardise = Standardise.identity(shape.state_size)
        planner = cls(shape, policy, mapping, origin)
        try:
            planner.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise ConfigError(f"these are not the tensors of such a planner: {error}") from None
        return planner

    def with_residual(self, residual: Actor, standardise: Standardise) -> Planner:
        """The same planner with what was learnt from reward on top; it shares the clone and the mapping."""
        first = residual.layers[0]
        assert isinstance(first, nn.Linear)
        shape = replace(self.shape, residual=first.out_features, bound=residual.bound)
        return Planner(shape, Policy(self.policy.clone, residual, standardise), self.mapping, self.origin)

    def playing(self, plays: Plays) -> Planner:
        """The same planner, that plays its acts in this way."""
        return Planner(replace(self.shape, plays=plays), self.policy, self.mapping, self.origin)

    def control(self, sigma: float = 0.0, epsilon: float = 0.0) -> PlannerControl:
        """The planner as a control.

        Args:
            sigma: standard deviation of the noise on its actions, to explore with; 0 is greedy.
            epsilon: how often a single dialogue act is tried instead.
        """
        from telic.planner.control import PlannerControl

        return PlannerControl(planner=self, sigma=sigma, epsilon=epsilon, origin=self.origin)

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [B, L, D] for states, greedily and with gradient."""
        prefixes_B_L_D: torch.Tensor = self.mapping(self.policy(states_B_D))
        return prefixes_B_L_D

    @torch.no_grad()
    def act(self, state_D: torch.Tensor) -> torch.Tensor:
        """The action [A] in a state."""
        action_1_A: torch.Tensor = self.policy(state_D.float()[None])
        return action_1_A[0].detach()

    @torch.no_grad()
    def prefix(self, action_A: torch.Tensor) -> torch.Tensor:
        """Prefix embeddings [L, D] of an action."""
        prefix_1_L_D: torch.Tensor = self.mapping(action_A[None])
        return prefix_1_L_D[0]

    def describe(self, action: Sequence[float] | torch.Tensor) -> list[tuple[str, float]]:
        """What an action says, in words: dialogue acts and their shares, the largest first.

        Empty unless the mapping is `acts`.
        """
        if not isinstance(self.mapping, Acts):
            return []
        return self.mapping.describe(torch.as_tensor(action, dtype=torch.float32))

    def check(self, model: NamedModel) -> None:
        """Refuse a model that it was not made for.

        Raises:
            ConfigError: it is another model, or has another hidden size.
        """
        if self.origin is not None:
            self.origin.check(model, "the planner")
        size = Origin.of(model).hidden_size
        if size != self.shape.hidden_size:
            raise ConfigError(
                f"the planner reads and writes {self.shape.hidden_size} numbers, but model {model.name!r} has hidden "
                f"states of {size}; train one for this model"
            )

    def plain_shape(self) -> dict[str, Any]:
        """The shape as plain data; what is at its default is left out."""
        defaults = asdict(PlannerShape(self.shape.hidden_size)) | {"hidden_size": None}
        values = asdict(self.shape)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != defaults[name]
        }


def clone_of(shape: PlannerShape, generator: torch.Generator | None, *, zero_last: bool = False) -> Actor | Constant:
    """The network that a planner of this shape begins with, before it has learnt anything."""
    if shape.reads == "nothing":
        return Constant(shape.action_size)
    width = shape.width or shape.hidden_size
    return Actor(
        shape.state_size,
        shape.action_size,
        width,
        zero_last=zero_last,
        remembered=shape.remembered,
        generator=generator,
    )


def _opening(model: LocalModel) -> int:
    """Whether prompts begin with a token that stands for no message."""
    bos = getattr(model.tokenizer, "bos_token_id", None)
    tokens = model.render([Message(role="user", content="Hi")]).token_ids
    # Some take for BOS what opens every message, and that belongs to the first of them.
    return int(tokens[0] == bos and tokens.count(bos) == 1)
