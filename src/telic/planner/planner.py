"""The planner: it maps the state of a dialogue to an action, and the action to prefix tokens before the reply.

Dialogue action tokens (Li et al., arXiv 2406.11978). Shapes: B batch, D hidden, A action, L prefix tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, Self, get_args

import torch
from torch import nn

from telic.dialogue import Message
from telic.errors import ConfigError
from telic.models.control import NamedModel
from telic.models.local import LocalModel
from telic.planner.networks import Actor
from telic.planner.policy import ConstantPolicy, Policy
from telic.planner.standardise import Standardise
from telic.planner.upmapping import ActMapping, LearnedMapping, PrincipalMapping, UpMapping, embeddings_of
from telic.registry import suggest
from telic.steering.saving import Origin

__all__ = ["Planner", "PlannerShape", "new_clone_network"]

Mapped = Literal["learned", "principal", "acts"]
Placement = Literal["end", "mid", "start"]
Reads = Literal["state", "nothing"]
Plays = Literal["mixture", "drawn", "largest"]


@dataclass(frozen=True, slots=True)
class PlannerShape:
    """The architecture and options of a planner: all that is saved besides its tensors.

    Raises:
        ConfigError: a value is unknown or out of range.
    """

    hidden_size: int
    """D, the hidden size of the model that it steers."""
    action_size: int = 64
    """A, the size of an action."""
    tokens: int = 2
    """L, the number of prefix tokens; 0 changes nothing."""
    mapping: Mapped = "learned"
    """How an action becomes prefix tokens; see `telic.planner.upmapping`."""
    placement: Placement = "end"
    """Where the prefix tokens go. `end`, just before the reply, costs their own tokens only. With `mid`, after the
    system prompt, and `start`, before it, all tokens after them are read again in every turn."""
    reads: Reads = "state"
    """What the policy reads: the `state`, or `nothing`, for the same action in every state."""
    width: int | None = None
    """Width of the layers of the clone network; by default D."""
    act_norm: float = 3.0
    """For the mapping `principal`: the length to which actions are scaled."""
    acts: tuple[str, ...] = ()
    """For the mapping `acts`: the names of the acts, one for each number of the action."""
    plays: Plays = "mixture"
    """For the mapping `acts`: play the `mixture`, or a single act: one `drawn` by its share, or the `largest`."""
    remembers: bool = False
    """For the mapping `acts`: the state also counts how often each act was played in the dialogue."""
    opening: int = 0
    """Number of tokens before the first message of a prompt (BOS), which the placement `start` leaves in front."""
    residual: int | None = None
    """Width of the layers of the residual network; None without one."""
    bound: float | None = None
    """Bound on the absolute value of the residual's outputs; None for no bound."""

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
                f"planner: action_size is {self.action_size} for {len(self.acts)} acts; expected one number for each"
            )
        if self.mapping != "acts" and (self.remembers or self.plays != "mixture"):
            raise ConfigError(
                f"planner: the mapping {self.mapping!r} has no acts to play or to remember; expected the mapping 'acts'"
            )
        if self.tokens < 0 or self.action_size < 1 or self.hidden_size < 1:
            raise ConfigError(
                f"planner: tokens is {self.tokens}, action_size is {self.action_size}, hidden_size is "
                f"{self.hidden_size}; expected at least 0, 1 and 1"
            )

    @property
    def remembered(self) -> int:
        """Number of features at the end of the state that count how often each act was played."""
        return self.action_size if self.remembers else 0

    @property
    def state_size(self) -> int:
        """Size of a state: the model's hidden state and the counts of the acts."""
        return self.hidden_size + self.remembered


class Planner(nn.Module):
    """A policy over actions with an up-mapping to prefix tokens, for a frozen model.

    `PlannerControl` applies it to the replies of the model.

    Args:
        shape: its architecture and options.
        policy: maps states to actions.
        mapping: maps actions to prefix tokens.
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
            acts: the prefix [L, D] of each dialogue act by name (see `telic.planner.dialogue_acts`). They set the
                mapping to `acts`, and determine `tokens` and `action_size`.
            seed: seed of the initial weights.
            **options: fields of `PlannerShape`, except `hidden_size`, `residual` and `bound`.

        Raises:
            ConfigError: an option is unknown, or its value is wrong.
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
        policy = Policy(new_clone_network(shape, drawn))
        if shape.mapping == "acts":
            mapping: UpMapping = ActMapping(shape.acts, shape.tokens, shape.hidden_size, prefixes_K_L_D)
        elif shape.mapping == "principal":
            mapping = PrincipalMapping(
                shape.action_size, shape.tokens, shape.hidden_size, shape.act_norm, embeddings_of(model)
            )
        else:
            mapping = LearnedMapping(shape.action_size, shape.tokens, shape.hidden_size, embeddings_of(model), drawn)
        return cls(shape, policy, mapping, Origin.of(model))

    @classmethod
    def of(cls, shape: PlannerShape, tensors: Mapping[str, torch.Tensor], origin: Origin | None = None) -> Self:
        """Build a planner from its shape and tensors.

        Raises:
            ConfigError: the tensors do not fit the shape.
        """
        sizes = shape.action_size, shape.tokens, shape.hidden_size
        mapping: UpMapping
        if shape.mapping == "acts":
            mapping = ActMapping(shape.acts, shape.tokens, shape.hidden_size)
        else:
            mapping = (
                PrincipalMapping(*sizes, shape.act_norm) if shape.mapping == "principal" else LearnedMapping(*sizes)
            )
        policy = Policy(new_clone_network(shape, None))
        if shape.residual is not None:
            policy.residual = Actor(
                shape.state_size, shape.action_size, shape.residual, bound=shape.bound, remembered=shape.remembered
            )
            policy.standardise = Standardise.identity(shape.state_size)
        planner = cls(shape, policy, mapping, origin)
        try:
            planner.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
        except RuntimeError as error:
            raise ConfigError(f"the tensors do not fit the shape of the planner: {error}") from None
        return planner

    def with_residual(self, residual: Actor, standardise: Standardise) -> Planner:
        """Make a planner with a residual network on top, which shares the clone and the mapping."""
        first = residual.layers[0]
        assert isinstance(first, nn.Linear)
        shape = replace(self.shape, residual=first.out_features, bound=residual.bound)
        return Planner(shape, Policy(self.policy.clone, residual, standardise), self.mapping, self.origin)

    def playing(self, plays: Plays) -> Planner:
        """Make a planner with another `PlannerShape.plays`, which shares the policy and the mapping."""
        return Planner(replace(self.shape, plays=plays), self.policy, self.mapping, self.origin)

    def forward(self, states_B_D: torch.Tensor) -> torch.Tensor:
        """Compute prefix embeddings [B, L, D] for states [B, D], greedily and with gradient."""
        prefixes_B_L_D: torch.Tensor = self.mapping(self.policy(states_B_D))
        return prefixes_B_L_D

    @torch.no_grad()
    def act(self, state_D: torch.Tensor) -> torch.Tensor:
        """Choose the action [A] in a state [D], greedily."""
        action_1_A: torch.Tensor = self.policy(state_D.float()[None])
        return action_1_A[0].detach()

    @torch.no_grad()
    def prefix(self, action_A: torch.Tensor) -> torch.Tensor:
        """Map an action [A] to prefix embeddings [L, D]."""
        prefix_1_L_D: torch.Tensor = self.mapping(action_A[None])
        return prefix_1_L_D[0]

    def describe(self, action: Sequence[float] | torch.Tensor) -> list[tuple[str, float]]:
        """Name the dialogue acts in an action with their shares, the largest first.

        Empty unless the mapping is `acts`.
        """
        if not isinstance(self.mapping, ActMapping):
            return []
        return self.mapping.describe(torch.as_tensor(action, dtype=torch.float32))

    def check(self, model: NamedModel) -> None:
        """Refuse a model that the planner was not made for.

        Raises:
            ConfigError: the model is another one, or has another hidden size.
        """
        if self.origin is not None:
            self.origin.check(model, "the planner")
        size = Origin.of(model).hidden_size
        if size != self.shape.hidden_size:
            raise ConfigError(
                f"the planner was made for a hidden size of {self.shape.hidden_size}, but that of model {model.name!r} "
                f"is {size}; train a planner for this model"
            )

    def plain_shape(self) -> dict[str, Any]:
        """Dump the shape as plain data, without defaults."""
        defaults = asdict(PlannerShape(self.shape.hidden_size)) | {"hidden_size": None}
        values = asdict(self.shape)
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != defaults[name]
        }


def new_clone_network(
    shape: PlannerShape, generator: torch.Generator | None, *, zero_last: bool = False
) -> Actor | ConstantPolicy:
    """Make the untrained clone network of a planner of this shape."""
    if shape.reads == "nothing":
        return ConstantPolicy(shape.action_size)
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
    """Count the tokens before the first message of a prompt: 1 if there is a BOS, else 0."""
    bos = getattr(model.tokenizer, "bos_token_id", None)
    tokens = model.render([Message(role="user", content="Hi")]).token_ids
    # Some tokenizers use as BOS the token that opens every message, which then belongs to the first message.
    return int(tokens[0] == bos and tokens.count(bos) == 1)
