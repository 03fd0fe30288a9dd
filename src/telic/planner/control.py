"""The planner as a control: it reads the state of the prompt and puts prefix tokens before the reply."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import torch
from torch.nn.functional import one_hot

from telic.errors import ConfigError
from telic.models.control import ControlContext, ControlPoint, Insertion, NamedModel
from telic.planner.planner import Planner, PlannerShape
from telic.planner.upmapping import act_shares
from telic.registry import suggest
from telic.steering.loading import build_saved, read_saved
from telic.steering.saving import SavedControl, TensorControl

__all__ = ["PlannerControl", "planner_control"]

PLAYED = "acts played"
"""Key of the control state under which a session counts the acts."""


@dataclass(frozen=True, eq=False, kw_only=True)
class PlannerControl(TensorControl):
    """A control that chooses prefix tokens for each reply from the last hidden state of the prompt.

    If the planner remembers, the session counts how often it played each act. The counts start at zero with the
    session, even in the middle of a dialogue.

    `Reply.chosen` records the decision: `state` and `action`, float32 arrays; `clone`, the action of the clone alone,
    if the planner has a residual network; `act`, the name of the largest act, if the action is a mixture of acts; and
    `logprob`, the log-probability of the action in nats (its log-density, with noise), for learning from the record.

    The prefix never becomes part of the history: the next turn reads the dialogue without it. So a state depends on
    the text of the dialogue only, and with the placement `end` the session's cache of the prompt stays valid. The
    reply is read again in the next turn, since it was generated after the prefix.

    Raises:
        ConfigError: an option is wrong.
    """

    planner: Planner
    """The planner that chooses the action. Its origin is the control's, if that is not given."""
    sigma: float = 0.0
    """Standard deviation of the exploration noise on actions, drawn with the seed of each request; 0 is greedy."""
    epsilon: float = 0.0
    """Probability of playing a dialogue act drawn uniformly instead of the planner's action. It tries every act in
    every kind of state, where noise hardly changes a mixture of acts."""

    name: ClassVar[str] = "planner"
    points: ClassVar[frozenset[ControlPoint]] = frozenset({"embeddings"})
    prefix_from_state: ClassVar[bool] = True
    of_tensors: ClassVar[frozenset[str]] = frozenset({"planner"})
    file: ClassVar[str] = "planner.safetensors"

    def __post_init__(self) -> None:
        if self.origin is None:
            object.__setattr__(self, "origin", self.planner.origin)
        if (
            isinstance(self.sigma, bool)
            or not isinstance(self.sigma, int | float)
            or not 0 <= self.sigma < float("inf")
        ):
            raise ConfigError(f"control 'planner': sigma is {self.sigma!r}; expected a number of 0 or more")
        if isinstance(self.epsilon, bool) or not isinstance(self.epsilon, int | float) or not 0 <= self.epsilon <= 1:
            raise ConfigError(f"control 'planner': epsilon is {self.epsilon!r}; expected a number from 0 to 1")
        if self.epsilon and self.planner.shape.mapping != "acts":
            raise ConfigError(
                f"control 'planner': epsilon is {self.epsilon!r}, but the planner's actions are not mixtures of "
                "dialogue acts; explore with sigma"
            )

    @classmethod
    def from_saved(cls, saved: SavedControl, options: Mapping[str, Any]) -> Self:
        """Build it from a saved planner; the options are `sigma`, `epsilon` and the planner's shape."""
        own = ("sigma", "epsilon")
        known = [*own, *(f.name for f in fields(PlannerShape))]
        for option in options:
            if option not in known:
                raise ConfigError(f"control 'planner': unknown option {option!r}{suggest(option, ['path', *known])}")
        shape = PlannerShape(**{name: value for name, value in options.items() if name not in own})
        exploring = {name: options[name] for name in own if name in options}
        planner = Planner.of(shape, saved.tensors, saved.origin)
        return cls(planner=planner, **exploring, origin=saved.origin, path=saved.source)

    def options(self, *, all_of_them: bool = False) -> dict[str, Any]:
        """Dump the planner's shape and the control's own options."""
        return {**self.planner.plain_shape(), **super().options(all_of_them=all_of_them)}

    def tensors(self) -> dict[str, torch.Tensor]:
        """Collect the planner's parameters and buffers."""
        return {name: tensor.cpu().contiguous() for name, tensor in self.planner.state_dict().items()}

    def check(self, model: NamedModel) -> None:
        """Refuse a model that the planner was not made for.

        Raises:
            ConfigError: the model is another one, or has another hidden size.
        """
        self.planner.check(model)

    def steering_prefix(self, context: ControlContext, state_D: torch.Tensor) -> Sequence[Insertion]:
        """Choose the prefix tokens for the state."""
        planner = self.planner
        played: list[int] = []
        if planner.shape.remembers:
            played = context.control_state.setdefault(PLAYED, [0] * planner.shape.remembered)
            state_D = torch.cat((state_D.float(), torch.tensor(played, dtype=torch.float32)))
        action_A, logprob = self._draw(planner.act(state_D), context.seed)
        if played:
            played[int(action_A.argmax())] += 1
        context.chosen |= {"state": state_D.numpy(), "action": action_A.numpy(), "logprob": logprob}
        if planner.policy.residual is not None:
            context.chosen["clone"] = planner.policy.clone(state_D[None])[0].detach().numpy()
        if acts := planner.describe(action_A):
            context.chosen["act"] = acts[0][0]
        if not planner.shape.tokens:
            return ()
        return [Insertion(self._position(context), planner.prefix(action_A))]

    def _draw(self, action_A: torch.Tensor, seed: int) -> tuple[torch.Tensor, float]:
        """Draw the action to play, given the planner's; returns it with its log-probability."""
        drawn, played = torch.Generator().manual_seed(seed), self._action_to_play(action_A)
        uniform_A = torch.ones_like(action_A)
        if self.epsilon and float(torch.rand((), generator=drawn)) < self.epsilon:
            act = _drawn_act(uniform_A, drawn)
        elif played is not None:
            act = _drawn_act(played, drawn) if self.planner.shape.plays == "drawn" else played
        else:
            noise_A = torch.randn(len(action_A), generator=drawn) if self.sigma else torch.zeros_like(action_A)
            return action_A + self.sigma * noise_A, self._log_density(noise_A)
        chance = float(self.epsilon / len(act) + (1 - self.epsilon) * (0.0 if played is None else (played * act).sum()))
        return act, math.log(chance)

    def _action_to_play(self, action_A: torch.Tensor) -> torch.Tensor | None:
        """Compute the chance of each act without exploration; None if the planner plays the mixture."""
        plays = self.planner.shape.plays
        if plays == "drawn":
            return act_shares(action_A)
        return one_hot(action_A.argmax(), len(action_A)).float() if plays == "largest" else None

    def _log_density(self, noise_A: torch.Tensor) -> float:
        """Compute the log-density of the planner's own action with this noise; without noise, its log-probability."""
        own = math.log(1 - self.epsilon)
        if not self.sigma:
            return own
        scale = len(noise_A) * math.log(self.sigma * math.sqrt(2 * math.pi))
        return own - scale - 0.5 * float((noise_A**2).sum())

    @property
    def explores(self) -> bool:
        """Whether it may take different actions in the same state."""
        return bool(self.epsilon) or self.planner.shape.plays == "drawn" or (self._is_continuous and self.sigma > 0)

    @property
    def _is_continuous(self) -> bool:
        return self.planner.shape.plays == "mixture"

    def decision_logprob(self, state: Sequence[float], action: Sequence[float]) -> float | None:
        """Return the log-probability of an action in a state, or its log-density for a continuous action.

        Args:
            state: as `Reply.chosen` records it.
            action: likewise.

        Returns:
            Minus infinity for an action that it never takes; None if state or action have another size than its own, or
            if it takes a single action of a continuum, which has no density.
        """
        planner = self.planner
        state_D, action_A = torch.tensor(state, dtype=torch.float32), torch.tensor(action, dtype=torch.float32)
        if len(state_D) != planner.shape.state_size or len(action_A) != planner.shape.action_size:
            return None
        own_A = planner.act(state_D)
        if self._is_continuous:
            if not self.sigma or self.epsilon:  # a mixture of a density and of single acts
                return None
            scaled_A = (action_A - own_A) / self.sigma
            constant = math.log(self.sigma) + 0.5 * math.log(2 * math.pi)
            return float(-0.5 * (scaled_A**2).sum()) - len(own_A) * constant
        act = int(action_A.argmax())
        share = float(act_shares(own_A)[act] if planner.shape.plays == "drawn" else own_A.argmax() == act)
        chance = self.epsilon / len(own_A) + (1 - self.epsilon) * share
        return math.log(chance) if chance > 0 else -math.inf

    def _position(self, context: ControlContext) -> int:
        """Find the position in the prompt before which the prefix goes."""
        opening = self.planner.shape.opening
        positions = {
            "end": len(context.rendering.token_ids),
            "mid": max(context.rendering.system_turn.end, opening),
            "start": opening,
        }
        return positions[self.planner.shape.placement]


def _drawn_act(chance_A: torch.Tensor, drawn: torch.Generator) -> torch.Tensor:
    """Draw one act, and make the action that plays it alone."""
    return one_hot(torch.multinomial(chance_A, 1, generator=drawn)[0], len(chance_A)).float()


def planner_control(path: str = "", *, sha256: str = "", force: bool = False, **options: Any) -> PlannerControl:
    """Load a saved planner for a purpose file.

    Args:
        path: its folder or Hub id.
        sha256: as in the control's `spec`: refuse tensors with another hash.
        force: use it also on a model that goes by another name.
        **options: `sigma`, `epsilon`; and the planner's shape, as it was saved.

    Raises:
        ConfigError: there is no such planner, or an option is wrong.
    """
    if not path:
        raise ConfigError("control 'planner': expected path = the folder or Hub id of a trained planner")
    return build_saved(read_saved(path, force=force), PlannerControl, sha256=sha256, **options)
