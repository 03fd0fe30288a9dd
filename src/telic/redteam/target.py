"""The target of an attack: a model on its purpose, behind its defences."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from telic.agents.agent import AGENT_SAMPLING, controls_of
from telic.agents.defence import Defence
from telic.agents.defender import DefenceState, DefendedReply, Defender
from telic.agents.tool_turns import ToolTurns, tool_turns
from telic.judges import build_judge, prepare_judge
from telic.judges.base import judge_models
from telic.judges.limits import JudgedLimit
from telic.models import Control, Model, Request, Session
from telic.models.requesting import RequestGenerator
from telic.purpose import Purpose

__all__ = ["AttackTarget", "TargetBranch"]

TOKENS = 80
"""Default maximum of new tokens of a reply."""


@dataclass(frozen=True, slots=True, eq=False)
class TargetBranch:
    """A dialogue with the target, up to one of its replies."""

    session: Session
    state: DefenceState = field(default_factory=DefenceState)
    tools: ToolTurns | None = None
    """Carries out the calls of the target. All branches of a dialogue share what its tools keep."""


class AttackTarget:
    """A model on its purpose, behind its defences. It may call the purpose's tools, as in a chat.

    Calls that need a person's confirmation are refused.

    Args:
        model: the model that replies.
        purpose: its purpose.
        defences: by default those of the purpose.
        controls: by default those of the purpose, and its planner.
        limits: the purpose's limits with their judges, where they are made already.
        **options: fields of `Sampling`. They override those of the purpose, which override those of an agent and 80 new
            tokens.

    Raises:
        ConfigError: a control, a defence or a tool is wrong.
        UnsupportedControlError: a control cannot act on this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        defences: Sequence[Defence] | None = None,
        controls: Sequence[Control] | None = None,
        limits: Sequence[JudgedLimit] | None = None,
        **options: Any,
    ) -> None:
        self.model, self.purpose = model, purpose
        self.controls = controls_of(purpose) if controls is None else tuple(controls)
        self.defender = Defender(model, purpose, defences, limits)
        own = {"max_new_tokens": TOKENS, **purpose.sampling.options(), **options}
        self.sampling = replace(AGENT_SAMPLING, **own)
        self._tools = tool_turns(purpose, None)
        if self._tools is not None:
            self.sampling = self._tools.room_for_calls(self.sampling)
        self.probes = [(probe, build_judge(probe.judge, trusted=purpose.trusted_folder)) for probe in purpose.probes]
        for _, judge in self.probes:
            prepare_judge(judge, model)

    @property
    def models(self) -> list[Model]:
        """All models that a dialogue with the target may ask, each once."""
        asked = [*self.defender.models, *(model for _, judge in self.probes for model in judge_models(judge))]
        return list({id(model): model for model in asked}.values())

    def open(self) -> TargetBranch:
        """Begin a dialogue."""
        session = self.model.session(self.purpose.system_prompt)
        if self._tools is None:
            return TargetBranch(session)
        tools = self._tools.begin()
        session.tools = tools.toolbox.definitions
        return TargetBranch(session, tools=tools)

    def reply(
        self, branch: TargetBranch, text: str, seed: int, *, may_call_tools: bool = True
    ) -> RequestGenerator[tuple[DefendedReply, TargetBranch]]:
        """Reply to a message after a branch, which is not changed; return the reply and the longer branch.

        A reply with a failure is in no dialogue: its branch is only good for being dropped.
        """
        session, state = branch.session.fork().user(text), branch.state.fork()
        request = session.request(controls=self.controls, sampling=self.sampling, seed=seed)
        request.tool_choice = "auto" if may_call_tools else "none"

        def reply(one: Request) -> RequestGenerator[DefendedReply]:
            return self.defender.reply(one, state)

        tools = branch.tools
        defended = yield from (reply(request) if tools is None else tools.play(replace(request, tools=()), reply))
        if defended.reply.failure is None:
            session.add(*defended.messages).assistant(defended.reply.text)
        return defended, TargetBranch(session, state, tools)
