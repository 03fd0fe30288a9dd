"""An agent: a model that acts on a purpose."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from telic.agents.defence import Defence
from telic.agents.defender import DefenceRecord, DefenceState, DefendedReply, Defender, DraftRequest
from telic.agents.tool_turns import tool_turns
from telic.dialogue import Message
from telic.errors import ConfigError, ModelError
from telic.models import Control, Model, Reply, Request, Sampling, Session
from telic.models.compatibility import refuse_unsupported
from telic.models.requesting import ModelRequest, RequestGenerator, run_alone
from telic.purpose import Purpose
from telic.steering import build_control
from telic.tools import Confirm, Toolbox

if TYPE_CHECKING:
    from telic.memory import LocalMemory

__all__ = ["Agent", "controls_of"]


AGENT_SAMPLING = Sampling(temperature=0.7, top_p=0.9)
"""Default sampling of an agent. Small models produce gibberish when sampled from the full distribution."""


class Agent:
    """A model that acts on a purpose, behind its defences.

    Args:
        model: the model that speaks.
        purpose: its purpose.
        controls: controls of the model; by default those of the purpose, and its planner.
        defences: by default those of the purpose.
        memory: remembers the user across conversations; by default nothing is remembered.
        tools: what it may do besides talking; by default the tools of the purpose.
        confirm: asks a person before a tool that needs it; by default such a tool is refused.
        on_tool: called with each call of a tool and each result, as they come.
        **options: fields of `Sampling`. They override those of the purpose, which override a temperature of 0.7 and a
            top_p of 0.9.

    Raises:
        ConfigError: the purpose names an unknown control or defence, or an option is out of range.
        ModelError: a model that a defence asks cannot be loaded.
        UnsupportedControlError: a control cannot act on this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        controls: Sequence[Control] | None = None,
        *,
        defences: Sequence[Defence] | None = None,
        memory: LocalMemory | None = None,
        tools: Toolbox | None = None,
        confirm: Confirm | None = None,
        on_tool: Callable[[Message], None] | None = None,
        **options: Any,
    ) -> None:
        self.model, self.purpose = model, purpose
        self.controls = controls_of(purpose) if controls is None else tuple(controls)
        self.sampling = replace(AGENT_SAMPLING, **{**purpose.sampling.options(), **options})
        refuse_unsupported(model, [Request((), controls=self.controls)])
        self.defender = Defender(model, purpose, defences)
        self._tools = tool_turns(purpose, tools, confirm, on_tool)
        self.session: Session = self._new_session()
        self.memory = memory
        self._state = DefenceState()
        self.records: tuple[DefenceRecord, ...] = ()
        """What the defences did in the last turn."""

    def reply(self, text: str) -> Reply:
        """Reply to an utterance of the user.

        Raises:
            ModelError: the model failed, or its context is full. The user's utterance is not kept, so the caller can
                send it again.
        """
        with self._turn(text) as (request, state):
            return self._keep(run_alone(self._replied(request, state)), state)

    def stream(self, text: str) -> Generator[str, None, None]:
        """Reply to an utterance of the user piece by piece. An interrupted reply is not kept.

        If a defence judges drafts, or the purpose has `best_of`, the reply comes as a whole.

        Raises:
            ModelError: as for `reply`.
        """
        if self.defender.judges_drafts:
            yield self.reply(text).text
            return
        with self._turn(text) as (request, state):
            defended, streamed = yield from self._streamed(self._replied(request, state))
            reply = self._keep(defended, state)
            if not streamed:
                yield reply.text

    def reset(self) -> None:
        """Start a new dialogue."""
        if self._tools is not None:
            self._tools = replace(self._tools, toolbox=self._tools.toolbox.begin())
        self.session = self._new_session()
        self._state, self.records = DefenceState(), ()
        if self.memory is not None:
            self.memory.begin_conversation()

    def _new_session(self) -> Session:
        session = self.model.session(self.purpose.system_prompt)
        session.tools = self._tools.toolbox.definitions if self._tools is not None else ()
        return session

    def _replied(self, request: Request, state: DefenceState) -> RequestGenerator[DefendedReply]:
        if self._tools is None:
            return self.defender.reply(request, state)
        # The turns add the definitions themselves.
        return self._tools.play(replace(request, tools=()), lambda one: self.defender.reply(one, state))

    @contextmanager
    def _turn(self, text: str) -> Iterator[tuple[Request, DefenceState]]:
        """Yield the request for a reply, and what the defences know; an interrupted turn leaves the dialogue alone."""
        dialogue = self.session.dialogue
        complete = False
        try:
            controls = self.controls if self.memory is None else (*self.controls, *self.memory.controls(text))
            request = self.session.user(text).request(controls=controls, sampling=self.sampling)
            yield request, self._state.fork()
            if self.memory is not None:
                self.memory.observe(text, self.session.dialogue[-1].content)
            complete = True
        finally:
            if not complete:
                self.session.dialogue = dialogue

    def _streamed(self, turn: RequestGenerator[DefendedReply]) -> Generator[str, None, tuple[DefendedReply, bool]]:
        """Run a turn; yield the pieces of its draft if it may be shown. Return the reply, and whether it was."""
        streamed = False
        try:
            unsent = list(next(turn))
            while True:
                made = unsent.pop(0)
                if isinstance(made, DraftRequest) and not self.defender.judges_drafts:
                    streamed = True
                    reply = yield from _pieces(made)
                else:
                    [reply] = made.model.generate([made.request])
                unsent += turn.send((made, reply))
        except StopIteration as end:
            return end.value, streamed

    def _keep(self, defended: DefendedReply, state: DefenceState) -> Reply:
        reply, failure = defended.reply, defended.reply.failure
        if failure is not None and failure.kind == "context_full":
            raise ModelError(
                f"model {self.model.name!r}: the dialogue has filled its context; start a new one", failure.kind
            )
        reply.raise_if_failed(f"model {self.model.name!r}")
        self.session.add(*defended.messages, reply.message)
        self._state, self.records = state, defended.records
        return reply


def _pieces(made: ModelRequest) -> Generator[str, None, Reply]:
    """Yield the pieces of a reply, and return it."""
    for piece in made.model.stream(made.request):
        if isinstance(piece, Reply):
            return piece
        yield piece
    raise ModelError(f"model {made.model.name!r}: its stream ended without a reply", "malformed_reply")


def controls_of(purpose: Purpose) -> tuple[Control, ...]:
    """Build the controls that a purpose names, and its planner.

    Raises:
        ConfigError: a name is unknown, or an option is wrong. The message says where.
    """
    named: list[tuple[tuple[str | int, ...], Mapping[str, Any]]]
    named = [(("controls", index), spec) for index, spec in enumerate(purpose.controls)]
    if purpose.planner is not None:
        named.append((("planner",), {**purpose.planner, "name": "planner"}))
    made = []
    for place, spec in named:
        try:
            made.append(build_control(purpose.resolve_path(spec)))
        except ConfigError as error:
            raise ConfigError(f"{purpose.where(*place)}: {error}") from None
    return tuple(made)
