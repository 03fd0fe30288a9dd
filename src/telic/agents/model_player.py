"""A model as a player of games."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, replace
from random import Random
from typing import Any

from telic.agents.agent import AGENT_SAMPLING, controls_of
from telic.agents.defence import Defence
from telic.agents.defender import DefenceState, DefendedReply, Defender
from telic.agents.player import NEUTRAL, ContextFullError, UtteranceGenerator, fill_form, seed_of
from telic.agents.tool_turns import ToolTurns
from telic.dialogue import Dialogue, Message
from telic.games.base import MAX_ATTEMPTS, Act, Game, Observation
from telic.models import Control, Model, Reply, Request
from telic.models.compatibility import refuse_unsupported
from telic.models.requesting import RequestGenerator, ask
from telic.purpose import Purpose
from telic.tools import Toolbox

__all__ = ["ModelParticipant", "ModelPlayer"]

BEGIN, GO_ON = "(You begin.)", "(Go on.)"
"""User messages to a model that speaks first, or twice in a row: many chat templates require one before a reply."""
TRIES = 3
"""Attempts at a reply that is not empty."""
TOKENS = 60
"""Default maximum of new tokens per utterance."""
TOOL_STEPS = 8
"""Replies with calls in one utterance of a player without a purpose, at most."""


class ModelPlayer:
    """A model as a player. Its system prompt is that of the purpose, then the game's instructions.

    If several kinds of act are legal, the model first chooses the kind. It builds an act with a form part by part. A
    model with likelihoods samples both choices by likelihood; any other model is asked to name its choice. A neutral
    utterance replaces a reply that stays empty, and the last attempt at an act that the game refuses, so that weak
    models finish their games. `Participant.notes` counts the replacements.

    Args:
        model: the model that speaks.
        purpose: its purpose, if it has one.
        controls: controls of the model; by default those of the purpose, and its planner.
        defences: defences of its utterances (not of its choices); by default those of the purpose, if it has one.
        tools: what it may do besides talking, within its utterances; by default the tools of the purpose. A game may
            give a role further ones.
        name: name in reports; by default that of the purpose and the model.
        one_line: cut an utterance after its first line.
        rescue: replace the last attempt at a refused act. Otherwise the episode becomes invalid.
        **options: fields of `Sampling`. They override those of the purpose, which override those of an agent and 60 new
            tokens.

    Raises:
        ConfigError: a defence cannot protect this purpose on this model.
        UnsupportedControlError: a control cannot act on this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose | None = None,
        controls: Sequence[Control] | None = None,
        *,
        defences: Sequence[Defence] | None = None,
        tools: Toolbox | None = None,
        name: str | None = None,
        one_line: bool = True,
        rescue: bool = True,
        **options: Any,
    ) -> None:
        self.model = model
        self.purpose = purpose
        self.name = name or (f"{purpose.name} ({model.name})" if purpose else model.name)
        self.system = purpose.system_prompt if purpose else ""
        own = purpose.sampling.options() if purpose else {}
        self.sampling = replace(AGENT_SAMPLING, **{"max_new_tokens": TOKENS, **own, **options})
        if one_line:
            self.sampling = replace(self.sampling, stop=(*self.sampling.stop, "\n"))
        self.one_line, self.rescue = one_line, rescue
        self.controls = tuple(controls) if controls is not None else controls_of(purpose) if purpose else ()
        self.has_likelihoods = "logits" in model.points
        """Whether the model has likelihoods."""
        refuse_unsupported(model, [Request((), controls=self.controls)])
        self.defender = Defender(model, purpose, defences) if purpose else None
        self.toolbox = Toolbox.of_purpose(purpose) if tools is None and purpose else tools or Toolbox()
        """The tools of every episode; a participant has its own, made anew."""

    @property
    def models(self) -> list[Model]:
        """The model that speaks, and those that its defences ask."""
        return [self.model] if self.defender is None else self.defender.models

    def join(self, game: Game, role: str, seed: int) -> ModelParticipant:
        """Take part in an episode."""
        return ModelParticipant(self, game, role, seed)

    def spec(self) -> dict[str, Any]:
        """Return model, purpose, sampling, controls and defences."""
        defences = [defence.spec() for defence in self.defender.defences] if self.defender else []
        return {
            "model": self.model.name,
            "purpose": self.purpose.model_dump(mode="json", exclude_none=True) if self.purpose else None,
            "sampling": {k: v for k, v in asdict(self.sampling).items() if k not in ("seed", "logprobs", "ignore_eos")},
            "controls": [control.spec() for control in self.controls],
            "rescue": self.rescue,
            **({"defences": defences} if defences else {}),
            **({"tools": [tool.model_dump() for tool in self.toolbox.definitions]} if self.toolbox else {}),
        }


class ModelParticipant:
    """A model's part in one episode, with the cache of its session."""

    def __init__(self, player: ModelPlayer, game: Game, role: str, seed: int) -> None:
        self.player, self.game, self.role, self.seed = player, game, role, seed
        self.session = player.model.session()
        self.notes: Counter[str] = Counter()
        self._steps: list[list[Message]] = [[]]
        """By own utterance, the next one included: the calls of tools in it, and their results."""
        toolbox = player.toolbox.begin().with_tools(*game.tools(role))
        steps = player.purpose.tool_steps if player.purpose else TOOL_STEPS
        self._tools = ToolTurns(toolbox, steps, on_message=self._note) if toolbox else None
        self.session.tools = toolbox.definitions
        self._defences = DefenceState()
        self._requests = 0
        self._refusals = 0
        self._dropped = 0
        """Number of messages dropped from the beginning of the dialogue because the context is full."""

    def act(self, observation: Observation) -> UtteranceGenerator:
        """Choose the kind of act if several are legal, then its content."""
        said = sum(event.speaker == self.role for event in observation.events)
        self._steps += [[] for _ in range(len(self._steps), said + 1)]
        self._refusals = self._refusals + 1 if observation.error else 0
        if self.player.rescue and self._refusals == MAX_ATTEMPTS - 1:
            self.notes["refused acts replaced"] += 1
            return self._safe(observation)
        kinds = observation.legal
        forms = [kind for kind in kinds if self.game.options(self.role, kind)]
        if self.player.has_likelihoods and (len(kinds) > 1 or forms):
            yield from self._prefill(observation)
        kind = kinds[0] if len(kinds) == 1 else (yield from self._choose_kind(observation))
        if kind in forms:
            content = yield from self._fill(observation, kind)
        elif kind in self.game.wordless:
            content = ""
        else:
            content = yield from self._speak(observation, kind)
        return str(Act(kind, content))

    @property
    def messages(self) -> list[Message]:
        """Calls of tools in the last utterance, and their results."""
        return self._steps[-1]

    def messages_before(self, observation: Observation, act: Act) -> tuple[tuple[Message, ...], str]:
        """Return the messages before an act, and the act as the model writes it."""
        marked = len(observation.legal) > 1 or self.game.asks_for_kind(self.role)
        return tuple(self._dialogue(observation, "")), str(act) if marked else act.content

    def _safe(self, observation: Observation) -> str:
        """Return an act that no game refuses: a neutral message, or a form filled at random."""
        rng = Random(seed_of(self.seed, self.role, "safe", self._requests))
        if self.game.kinds[0] in observation.legal:
            return str(Act(self.game.kinds[0], NEUTRAL))
        kind = rng.choice(observation.legal)
        return str(Act(kind, fill_form(self.game, self.role, kind, rng)))

    def _prefill(self, observation: Observation) -> RequestGenerator[None]:
        """Prefill the new part of the dialogue before a choice.

        The branches of a choice share the session's cache but do not extend it. Without this step each choice would
        process the new part again.
        """
        yield from self._ask(observation, max_new_tokens=1)

    def _choose_kind(self, observation: Observation) -> RequestGenerator[str]:
        marks = {f"[{kind}]": kind for kind in observation.legal}
        chosen = yield from self._choose(observation, tuple(marks), "Which kind of act do you choose?")
        return marks[chosen]

    def _fill(self, observation: Observation, kind: str) -> UtteranceGenerator:
        """Choose the parts of a form one by one, each given the parts before it."""
        chosen: list[str] = []
        while options := self.game.options(self.role, kind, chosen):
            if len(options) == 1:
                chosen.append(options[0])
                continue
            # Score the whole text up to the part, as a value without its name says little.
            texts = [str(Act(kind, self.game.fill(self.role, kind, [*chosen, option]))) for option in options]
            whole = self.player.has_likelihoods and len(set(texts)) == len(texts)
            begun = Act(kind, self.game.fill(self.role, kind, chosen)) if chosen else Act(kind)
            choices = tuple(texts) if whole else options
            part = yield from self._choose(observation, choices, f"You write: {begun} ... What comes next?")
            chosen.append(options[choices.index(part)])
        return self.game.fill(self.role, kind, chosen)

    def _choose(self, observation: Observation, choices: tuple[str, ...], question: str) -> UtteranceGenerator:
        asked = "" if self.player.has_likelihoods else question
        for _ in range(TRIES):
            reply = yield from self._ask(observation, asked, choices=choices)
            if reply.finish != "error":
                return reply.text
            self.notes["unreadable choices"] += 1
        self.notes["random choices"] += 1
        return Random(seed_of(self.seed, self.role, "chance", self._requests)).choice(choices)

    def _speak(self, observation: Observation, kind: str) -> UtteranceGenerator:
        several = len(observation.legal) > 1
        prefix = f"[{kind}]" if self.player.has_likelihoods and (several or self.game.asks_for_kind(self.role)) else ""
        asked = f"Write your [{kind}]." if several and not self.player.has_likelihoods else ""
        stop = self.player.sampling.stop
        for _ in range(TRIES):
            reply = yield from self._ask(observation, asked, prefix=prefix, stop=stop)
            if text := self._cleaned(reply.text, kind):
                return text
            self.notes["empty replies"] += 1
            stop = tuple(text for text in stop if text != "\n")  # a small model may begin with empty lines
        self.notes["empty replies replaced"] += 1
        return NEUTRAL

    def _cleaned(self, text: str, kind: str) -> str:
        """Return the utterance without its `[kind]`, which `Act` adds."""
        text = re.sub(rf"^\s*\[{re.escape(kind)}\]", "", text, flags=re.IGNORECASE).strip()
        return text.splitlines()[0].strip() if text and self.player.one_line else text

    def _ask(
        self, observation: Observation, question: str = "", *, choices: tuple[str, ...] = (), prefix: str = "",
        **options: Any,
    ) -> RequestGenerator[Reply]:  # fmt: skip
        """Make one request. While the context is full, drop the oldest messages and try again."""
        while True:
            self.session.dialogue = self._dialogue(observation, question)
            self._requests += 1
            seed = seed_of(self.seed, self.role, self._requests)
            sampling = replace(self.player.sampling, **{**options, "seed": seed})
            request = self.session.request(controls=self.player.controls, sampling=sampling)
            request.choices, request.reply_prefix = choices, prefix
            request.tool_choice = "none" if choices else "auto"
            reply = yield from self._answered(request)
            failure = reply.failure
            # An unreadable choice is no failure of the model.
            if failure is None or failure.kind == "unreadable_choice":
                return reply
            if failure.kind != "context_full":
                reply.raise_if_failed(repr(self.player.model.name))
            self._drop_oldest()

    def _answered(self, request: Request) -> RequestGenerator[Reply]:
        """Make a request, behind the defences if the reply is an utterance."""
        player = self.player
        if (player.defender is None and self._tools is None) or request.choices or request.sampling.max_new_tokens == 1:
            return (yield from ask(player.model, request))
        state = self._defences.fork()
        defended = yield from self._defended(request, state)
        if defended.reply.failure is None:
            self._defences = state
            self.notes.update(f"{one.defence}: {one.action}" for one in defended.records if one.action != "pass")
        return defended.reply

    def _defended(self, request: Request, state: DefenceState) -> RequestGenerator[DefendedReply]:
        """Make a reply behind the defences, if there are any, with the tools, if there are any."""
        player = self.player

        def reply(one: Request) -> RequestGenerator[DefendedReply]:
            if player.defender is not None:
                return (yield from player.defender.reply(one, state))
            return DefendedReply((yield from ask(player.model, one)))

        if self._tools is None:
            return (yield from reply(request))
        sampling = request.sampling
        if not request.reply_prefix:  # a call takes several lines, and more tokens than an utterance
            stop = tuple(text for text in sampling.stop if text != "\n")
            sampling = self._tools.room_for_calls(replace(sampling, stop=stop))
        return (yield from self._tools.play(replace(request, tools=(), sampling=sampling), reply))

    def _note(self, message: Message) -> None:
        self._steps[-1].append(message)
        if message.role == "tool":
            self.notes["failed tool calls" if message.content.startswith("error: ") else "tool calls"] += 1

    def _drop_oldest(self) -> None:
        """Drop another quarter of the dialogue, in pairs of messages."""
        left = len(self.session.dialogue.turns())
        if left <= 1:
            raise ContextFullError(f"the model's context has no room for a reply of {self.role!r}")
        self._dropped += max(2, left // 8 * 2)
        self.notes["times the context was full"] += 1

    def _dialogue(self, observation: Observation, question: str) -> Dialogue:
        """Return the dialogue from the view of this role; consecutive utterances of others are one message."""
        messages: list[Message] = []
        steps = iter(self._steps)
        for event in observation.events:
            if event.speaker != self.role:
                named = event.speaker != "game" and len(self.game.roles) > 2
                _add_user_text(messages, f"{event.speaker}: {event.text}" if named else event.text)
                continue
            _end_with_user(messages)
            marked = event.act is not None and self.game.asks_for_kind(self.role)
            messages += next(steps, ())
            messages.append(Message(role="assistant", content=str(event.act) if marked else event.text))
        if current := next(steps, None):  # of an attempt that was refused or empty
            _end_with_user(messages)
            messages += current
        if observation.error:
            _add_user_text(messages, f"(Your last attempt was refused: {observation.error})")
        if question:
            _add_user_text(messages, question)
        _end_with_user(messages)
        kept = messages[min(self._dropped, len(messages) - 1) :]
        while kept[0].role == "tool" and len(kept) > 1:  # a result without its call
            del kept[0]
        system = "\n\n".join(filter(None, (self.player.system, observation.instructions)))
        return Dialogue(kept).with_system(system or None)


def _add_user_text(messages: list[Message], text: str) -> None:
    """Add a text to the last user message, or start a new one."""
    if messages and messages[-1].role == "user":
        text = f"{messages.pop().content}\n\n{text}"
    messages.append(Message(role="user", content=text))


def _end_with_user(messages: list[Message]) -> None:
    """Add a user message if the dialogue ends neither with one nor with the result of a tool."""
    if not messages or messages[-1].role not in ("user", "tool"):
        _add_user_text(messages, GO_ON if messages else BEGIN)
