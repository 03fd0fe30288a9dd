"""The defences of a purpose, composed: one generator that makes a defended reply."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from telic.agents.defence import PASS, Decision, DecisionAction, Defence, DefendedTurn, build_defence
from telic.agents.player import seed_of
from telic.dialogue import Message
from telic.errors import ConfigError
from telic.judges.limits import JudgedLimit, judged_limits
from telic.models import Control, Model, Reply, Request
from telic.models.compatibility import refuse_unsupported
from telic.models.request import READINGS
from telic.models.requesting import ModelRequest, RequestGenerator, observed
from telic.purpose import Purpose

if TYPE_CHECKING:
    from telic.readers.reward_head import RewardHead

__all__ = ["MAX_DRAFTS", "DefenceRecord", "DefenceState", "DefendedReply", "Defender", "DraftRequest", "defences_of"]

MAX_DRAFTS = 4
"""Drafts of a turn, after which it is refused even if a defence would have another one."""


class DraftRequest(ModelRequest):
    """The request for a draft of the reply, which may be streamed if no defence judges drafts."""

    __slots__ = ()


@dataclass(slots=True)
class DefenceState:
    """What the defences know of one dialogue. Whoever holds the session holds it; a branch gets a copy."""

    ended: bool = False
    """Whether a defence has ended the conversation: every reply is the refusal."""
    hardening: tuple[Control, ...] = ()
    """Controls of all replies from now on."""
    own: dict[int, dict[str, Any]] = field(default_factory=dict)
    """By index of the defence: what it stores."""

    def fork(self) -> DefenceState:
        """Copy it for a branch of the dialogue."""
        return DefenceState(self.ended, self.hardening, deepcopy(self.own))


@dataclass(frozen=True, slots=True)
class DefenceRecord:
    """What one defence did in a turn, for the record. Decisions to pass are recorded only with readings."""

    defence: str
    action: DecisionAction
    reason: str
    draft: str = ""
    """The draft that it did not let pass; empty for a decision on the user's message."""
    readings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DefendedReply:
    """What the user gets, and how it came about."""

    reply: Reply
    """The reply. A refusal is a reply too: `finish` is `stop`, and it has no new tokens."""
    records: tuple[DefenceRecord, ...] = ()
    new_tokens: int = 0
    """Tokens generated for this turn: all drafts, and what the defences asked."""
    computed_tokens: int = 0
    """Tokens computed for this turn: generated ones, and those of prompts that no cache held."""
    messages: tuple[Message, ...] = ()
    """Calls of tools, and their results, before the reply."""

    @property
    def refused(self) -> bool:
        """Whether the user got the purpose's refusal instead of a reply of the model."""
        return any(record.action in ("refuse", "end") for record in self.records)


class Defender:
    """Makes defended replies for one purpose on one model.

    Args:
        model: the model that replies.
        purpose: what is protected; its limits and its refusal.
        defences: in the order in which they decide; by default those of the purpose.
        limits: the purpose's limits with their judges, where they are made already.

    Raises:
        ConfigError: a defence cannot protect this purpose on this model.
        UnsupportedControlError: a control or a reading of a defence cannot be had of this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        defences: Sequence[Defence] | None = None,
        limits: Sequence[JudgedLimit] | None = None,
    ) -> None:
        self.model, self.purpose = model, purpose
        self.defences = defences_of(purpose) if defences is None else tuple(defences)
        self.limits = (judged_limits(purpose, model) if self.defences else ()) if limits is None else tuple(limits)
        self.controls = tuple(control for defence in self.defences for control in defence.controls(purpose))
        self.readings = frozenset[str]().union(*(defence.readings for defence in self.defences))
        for defence in self.defences:
            defence.check(purpose, model)
        self.reward_head = _reward_head_of(purpose, model)
        """Chooses one of several drafts, if the purpose has `best_of`."""
        if self.reward_head is not None:
            self.readings |= {"reply_state"}
        refuse_unsupported(model, [Request((), controls=self.controls, readings=self.readings)])

    @property
    def models(self) -> list[Model]:
        """All models that a reply may ask, each once."""
        asked = [self.model, *(model for defence in self.defences for model in defence.models())]
        asked += [model for limit in self.limits for model in limit.models]
        return list({id(model): model for model in asked}.values())

    @property
    def judges_drafts(self) -> bool:
        """Whether a reply can be shown only once it is complete."""
        return self.reward_head is not None or any(defence.judges_drafts for defence in self.defences)

    def reply(self, request: Request, state: DefenceState) -> RequestGenerator[DefendedReply]:
        """Make the reply to a request, whose messages end with the user's.

        Args:
            request: the request as it would be without defences.
            state: that of the dialogue; it is changed.
        """
        return (yield from _DefendedTurn(self, request, state).play())


def defences_of(purpose: Purpose) -> tuple[Defence, ...]:
    """Build the defences that a purpose names.

    Raises:
        ConfigError: a name is unknown, or a setting is wrong. The message says where.
    """
    made = []
    for index, spec in enumerate(purpose.defences):
        try:
            made.append(build_defence(purpose.resolve_path(spec)))
        except ConfigError as error:
            raise ConfigError(f"{purpose.where('defences', index)}: {error}") from None
    return tuple(made)


def _reward_head_of(purpose: Purpose, model: Model) -> RewardHead | None:
    """Load what chooses among the drafts of a purpose; None if one draft is made.

    Raises:
        ConfigError: the reward head cannot be read, or was made for another model.
    """
    path = purpose.reward_head_path
    if purpose.best_of == 1 or path is None:
        return None
    from telic.readers.reward_head import load_reward_head  # it loads numpy and scipy

    try:
        head = load_reward_head(path)
        head.check(model)
    except ConfigError as error:
        raise ConfigError(f"{purpose.where('reward_head')}: {error}") from None
    return head


def _candidates(request: Request, count: int) -> list[Request]:
    """Return requests for several drafts, which share what is read of the prompt.

    The first brings the session up to date, whichever is chosen: the next turn reads again what differs.
    """
    sampling, cache = request.sampling, request.cache
    made = [request]
    for number in range(1, count):
        seed = None if sampling.seed is None else seed_of(sampling.seed, "candidate", number)
        own = None if cache is None else cache.fork()
        made.append(replace(request, sampling=replace(sampling, seed=seed), cache=own, keep=False))
    return made


@dataclass
class _DefendedTurn:
    """One turn, as it is played."""

    defender: Defender
    request: Request
    state: DefenceState
    records: list[DefenceRecord] = field(default_factory=list)
    new_tokens: int = 0
    computed_tokens: int = 0

    def play(self) -> RequestGenerator[DefendedReply]:
        if self.state.ended:
            self.records.append(DefenceRecord("", "end", "the conversation was ended earlier"))
            return self._refusal()
        # After the result of a tool, the user's message was judged already.
        answers_user = self.request.messages[-1].role != "tool"
        for index in range(len(self.defender.defences) if answers_user else 0):
            decision = yield from self._decide(index, None, 0)
            if decision.action in ("refuse", "end"):
                return self._refusal()
        return (yield from self._drafts())

    def _drafts(self) -> RequestGenerator[DefendedReply]:
        further: tuple[Control, ...] = ()
        cache = self.request.cache if self.request.keep else None
        before = cache.control_state if cache is not None else {}
        for number in range(MAX_DRAFTS):
            draft = yield from observed(self._draft(number, further), self._count)
            if draft.failure is not None:
                return self._result(draft)
            decision, judged = yield from self._judge(draft, number)
            if decision is PASS:
                return self._result(judged)
            if cache is not None:  # a draft that nobody sees is no turn for the controls that count turns
                cache.control_state = before
            if decision.action != "regenerate":
                return self._refusal(draft)
            further = (*further, *decision.controls)
        self.records.append(DefenceRecord("", "refuse", f"none of {MAX_DRAFTS} drafts passed", draft.text))
        return self._refusal(draft)

    def _judge(self, draft: Reply, number: int) -> RequestGenerator[tuple[Decision, Reply]]:
        """Let the defences decide on a draft, up to the first that does not let it pass; return what they left."""
        for index in range(len(self.defender.defences)):
            decision = yield from self._decide(index, draft, number)
            if decision.action == "trim":
                draft = replace(draft, text=decision.text, token_ids=(), logprobs=None)
            elif decision.action in ("regenerate", "refuse", "end"):
                return decision, draft
        return PASS, draft

    def _draft(self, number: int, further: tuple[Control, ...]) -> RequestGenerator[Reply]:
        request, head = self._draft_request(number, further), self.defender.reward_head
        if head is None:
            _, draft = yield [DraftRequest(self.defender.model, request)]
            return draft
        made = [DraftRequest(self.defender.model, one) for one in _candidates(request, self.defender.purpose.best_of)]
        answers: dict[ModelRequest, Reply] = {}
        unsent: Sequence[ModelRequest] = made
        while len(answers) < len(made):
            answered, reply = yield unsent
            answers[answered], unsent = reply, ()
        return head.best([answers[one] for one in made])

    def _draft_request(self, number: int, further: tuple[Control, ...]) -> Request:
        request, defender = self.request, self.defender
        controls = (*request.controls, *defender.controls, *self.state.hardening, *further)
        sampling = request.sampling
        if number and sampling.seed is not None:
            sampling = replace(sampling, seed=seed_of(sampling.seed, "draft", number))
        readings = request.readings | defender.readings
        return replace(request, controls=controls, readings=readings, sampling=sampling)

    def _decide(self, index: int, draft: Reply | None, drafts: int) -> RequestGenerator[Decision]:
        """Let one defence decide on the message (no draft) or on a draft, and apply and record the decision."""
        defender, seed = self.defender, self.request.sampling.seed
        defence = defender.defences[index]
        turn = DefendedTurn(
            defender.purpose,
            defender.limits,
            self.request.messages,
            self.state.own.setdefault(index, {}),
            seed_of(seed, defence.name, index, drafts),
            drafts,
        )
        checking = defence.check_input(turn) if draft is None else defence.check_draft(turn, draft)
        decision = yield from observed(checking, self._count)
        if decision.action == "harden":
            new = [control for control in decision.controls if control not in self.state.hardening]
            self.state.hardening = (*self.state.hardening, *new)
        elif decision.action == "end":
            self.state.ended = True
        if decision is not PASS and (decision.action != "pass" or decision.readings):
            kept = draft.text if draft is not None and decision.action != "pass" else ""
            readings = dict(decision.readings)
            self.records.append(DefenceRecord(defence.name, decision.action, decision.reason, kept, readings))
        return decision

    def _count(self, reply: Reply) -> None:
        self.new_tokens += reply.new_tokens
        self.computed_tokens += reply.new_tokens + reply.prompt_tokens - reply.cached_tokens

    def _refusal(self, draft: Reply | None = None) -> DefendedReply:
        read = draft or Reply("", "stop")
        text = self.defender.purpose.refusal_text
        read = replace(read, text=text, finish="stop", new_tokens=0, token_ids=(), logprobs=None, tool_calls=())
        return self._result(read)

    def _result(self, reply: Reply) -> DefendedReply:
        asked = self.request.readings
        if self.defender.readings - asked:  # what only the defences asked for stays with them
            kept: dict[str, Any] = {name: getattr(reply, name) if name in asked else None for name in READINGS}
            reply = replace(reply, **kept)
        return DefendedReply(reply, tuple(self.records), self.new_tokens, self.computed_tokens)
