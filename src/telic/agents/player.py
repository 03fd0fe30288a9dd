"""Who plays a game: what a player is, and a model as one.

A player takes a seat for one episode. Asked for an act, the seat yields the requests that it has to a model and is
given the replies, so that whoever plays many episodes can answer the requests of all of them in one batch.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Generator, Sequence
from dataclasses import asdict, replace
from random import Random
from typing import Any, Protocol

from telic.agents.agent import DRAWN, controls_of
from telic.dialogue import Dialogue, Message
from telic.errors import ModelError, TelicError
from telic.games.base import REPAIRS, Act, Game, Observation
from telic.models import Control, Model, Reply, Request
from telic.models.compatibility import refuse_unsupported
from telic.purpose import Purpose

__all__ = [
    "NEUTRAL",
    "ContextFullError",
    "ModelPlayer",
    "ModelSeat",
    "Player",
    "PlayerLeftError",
    "Seat",
    "fill_form",
    "seed_of",
]

WORDLESS = frozenset({"accept", "reject", "none", "leave"})
"""Acts that are all said with their kind: no words are generated for them."""
NEUTRAL = "I see. Please go on."
"""Said in place of a reply that stays empty, or that the game keeps refusing."""
BEGIN, GO_ON = "(You begin.)", "(Go on.)"
"""What a model hears when it speaks first, or twice in a row: many templates want somebody else to speak before it."""
TRIES = 3
"""Times that an empty reply is drawn."""
TOKENS = 60
"""New tokens of an utterance, at most, unless the purpose says otherwise."""

Moves = Generator[Request, Reply, str]


class PlayerLeftError(TelicError):
    """The player has left; the episode stays unfinished."""


class ContextFullError(TelicError):
    """The model's context has no room for a reply, even with all of the dialogue forgotten that can be."""


class Seat(Protocol):
    """A player's part in one episode."""

    notes: Counter[str]
    """What should be known of how it played: counts, for the record."""

    def act(self, observation: Observation) -> Moves:
        """Yield requests, be sent their replies, return the utterance.

        Raises:
            ModelError: a model failed.
            PlayerLeftError: it will not play any more.
        """
        ...


class Player(Protocol):
    """Somebody who plays games. One player may sit at many tables, and in several seats of one."""

    name: str
    """How reports call it."""
    model: Model | None
    """Who answers its requests; None if it has none."""
    system: str
    """What it is told besides the game's instructions."""

    def seat(self, game: Game, role: str, seed: int) -> Seat:
        """Take part in an episode; all chance in how it plays follows from the seed."""
        ...

    def spec(self) -> dict[str, Any]:
        """What makes it this player, as plain data: a run is only resumed with the same players."""
        ...


class ModelPlayer:
    """A model that plays: what it is told is the purpose's system prompt, then the game's instructions.

    Where several kinds of act are open to it, it first chooses the kind; an act that has a form is put together part by
    part. Both are drawn by likelihood where the model has one, and asked for where it has not. An utterance that
    stays empty is replaced by a neutral one, and so is the last attempt at an act that the game refuses, so that a
    weak model comes to the end of its games; `Seat.notes` counts how often.

    Args:
        model: what speaks.
        purpose: what it is for, if it has one.
        controls: what bends the model; by default the purpose's own, and its planner.
        name: how reports call it; by default after the purpose and the model.
        one_line: an utterance is one line.
        rescue: replace the last attempt at a refused act. Without it, the episode becomes invalid.
        **options: fields of `Sampling`, over the purpose's own, over those of an agent and 60 new tokens.

    Raises:
        UnsupportedControlError: a control cannot act on this model.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose | None = None,
        controls: Sequence[Control] | None = None,
        *,
        name: str | None = None,
        one_line: bool = True,
        rescue: bool = True,
        **options: Any,
    ) -> None:
        self.model: Model | None = model
        self.speaker = model
        self.purpose = purpose
        self.name = name or (f"{purpose.name} ({model.name})" if purpose else model.name)
        self.system = purpose.system_prompt if purpose else ""
        own = purpose.sampling.options() if purpose else {}
        self.sampling = replace(DRAWN, **{"max_new_tokens": TOKENS, **own, **options})
        if one_line:
            self.sampling = replace(self.sampling, stop=(*self.sampling.stop, "\n"))
        self.one_line, self.rescue = one_line, rescue
        self.controls = tuple(controls) if controls is not None else controls_of(purpose) if purpose else ()
        self.weighs = "logits" in model.points
        """Whether likelihoods can be had of it."""
        refuse_unsupported(model, [Request((), controls=self.controls)])

    def seat(self, game: Game, role: str, seed: int) -> ModelSeat:
        """Take part in an episode."""
        return ModelSeat(self, game, role, seed)

    def spec(self) -> dict[str, Any]:
        """Model, purpose, sampling and controls."""
        return {
            "model": self.speaker.name,
            "purpose": self.purpose.model_dump(mode="json", exclude_none=True) if self.purpose else None,
            "sampling": {k: v for k, v in asdict(self.sampling).items() if k not in ("seed", "logprobs", "ignore_eos")},
            "controls": [control.spec() for control in self.controls],
            "rescue": self.rescue,
        }


class ModelSeat:
    """A model's part in one episode, with the cache of what it has read."""

    def __init__(self, player: ModelPlayer, game: Game, role: str, seed: int) -> None:
        self.player, self.game, self.role, self.seed = player, game, role, seed
        self.session = player.speaker.session()
        self.notes: Counter[str] = Counter()
        self._requests = 0
        self._refusals = 0
        self._forgotten = 0
        """Messages at the beginning of the dialogue for which the context has no room any more."""

    def act(self, observation: Observation) -> Moves:
        """Choose the kind of act where there is a choice, then its content."""
        self._refusals = self._refusals + 1 if observation.error else 0
        if self.player.rescue and self._refusals == REPAIRS - 1:
            self.notes["refused acts replaced"] += 1
            return self._safe(observation)
        kinds = observation.legal
        forms = [kind for kind in kinds if self.game.options(self.role, kind)]
        if self.player.weighs and (len(kinds) > 1 or forms):
            yield from self._read(observation)
        kind = kinds[0] if len(kinds) == 1 else (yield from self._choose_kind(observation))
        if kind in forms:
            content = yield from self._fill(observation, kind)
        elif kind in WORDLESS:
            content = ""
        else:
            content = yield from self._speak(observation, kind)
        return str(Act(kind, content))

    def told(self, observation: Observation, act: Act) -> tuple[tuple[Message, ...], str]:
        """What the model is told before an act that it puts in its own words, and how it says it."""
        marked = len(observation.legal) > 1 or self._marked(observation)
        return tuple(self._dialogue(observation, "")), str(act) if marked else act.content

    def _safe(self, observation: Observation) -> str:
        """An act that no game refuses: a neutral message, or a form filled by chance."""
        draw = Random(seed_of(self.seed, self.role, "safe", self._requests))
        if self.game.kinds[0] in observation.legal:
            return str(Act(self.game.kinds[0], NEUTRAL))
        kind = draw.choice(observation.legal)
        return str(Act(kind, fill_form(self.game, self.role, kind, draw)))

    def _read(self, observation: Observation) -> Generator[Request, Reply, None]:
        """Let the model read what is new before it chooses: the branches of a choice share what the session has read.

        They do not keep what they read themselves, so that each choice would have to read it again.
        """
        yield from self._ask(observation, max_new_tokens=1)

    def _choose_kind(self, observation: Observation) -> Generator[Request, Reply, str]:
        marks = {f"[{kind}]": kind for kind in observation.legal}
        chosen = yield from self._choose(observation, tuple(marks), "Which kind of act do you choose?")
        return marks[chosen]

    def _fill(self, observation: Observation, kind: str) -> Moves:
        """Choose the parts of a form, each in the light of those before it."""
        chosen: list[str] = []
        while options := self.game.options(self.role, kind, chosen):
            if len(options) == 1:
                chosen.append(options[0])
                continue
            # Weighed as the whole text up to the part: a value without its name says little.
            texts = [str(Act(kind, self.game.fill(self.role, kind, [*chosen, option]))) for option in options]
            whole = self.player.weighs and len(set(texts)) == len(texts)
            begun = Act(kind, self.game.fill(self.role, kind, chosen)) if chosen else Act(kind)
            choices = tuple(texts) if whole else options
            part = yield from self._choose(observation, choices, f"You write: {begun} ... What comes next?")
            chosen.append(options[choices.index(part)])
        return self.game.fill(self.role, kind, chosen)

    def _choose(self, observation: Observation, choices: tuple[str, ...], question: str) -> Moves:
        asked = "" if self.player.weighs else question
        for _ in range(TRIES):
            reply = yield from self._ask(observation, asked, choices=choices)
            if reply.finish != "error":
                return reply.text
            self.notes["unreadable choices"] += 1
        self.notes["choices by chance"] += 1
        return Random(seed_of(self.seed, self.role, "chance", self._requests)).choice(choices)

    def _speak(self, observation: Observation, kind: str) -> Moves:
        several = len(observation.legal) > 1
        prefix = f"[{kind}]" if self.player.weighs and (several or self._marked(observation)) else ""
        asked = f"Write your [{kind}]." if several and not self.player.weighs else ""
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
        """The utterance without its own mark: that is added once, by `Act`."""
        text = re.sub(rf"^\s*\[{re.escape(kind)}\]", "", text, flags=re.IGNORECASE).strip()
        return text.splitlines()[0].strip() if text and self.player.one_line else text

    def _ask(
        self, observation: Observation, question: str = "", *, choices: tuple[str, ...] = (), prefix: str = "",
        **options: Any,
    ) -> Generator[Request, Reply, Reply]:  # fmt: skip
        """One request; where the context is full, the oldest of the dialogue is forgotten."""
        while True:
            self.session.dialogue = self._dialogue(observation, question)
            self._requests += 1
            seed = seed_of(self.seed, self.role, self._requests)
            drawn = replace(self.player.sampling, **{**options, "seed": seed})
            request = self.session.request(controls=self.player.controls, sampling=drawn)
            request.choices, request.prefix = choices, prefix
            reply = yield request
            failure = reply.failure
            # A model whose answer names none of the choices works.
            if failure is None or failure.kind == "unreadable_choice":
                return reply
            if failure.kind != "context_full":
                raise ModelError(f"{self.player.speaker.name!r} failed to reply: {failure.detail}", failure.kind)
            self._forget()

    def _forget(self) -> None:
        """Make room: leave out another quarter of the dialogue, by pairs of messages."""
        left = len(self.session.dialogue.turns())
        if left <= 1:
            raise ContextFullError(f"no room for a reply of {self.role!r} in the context of the model")
        self._forgotten += max(2, left // 8 * 2)
        self.notes["times the context was full"] += 1

    def _dialogue(self, observation: Observation, question: str) -> Dialogue:
        """The dialogue as this role sees it, in turns: what others say in a row is one message."""
        said: list[Message] = []
        for event in observation.events:
            if event.speaker != self.role:
                named = event.speaker != "game" and len(self.game.roles) > 2
                _hear(said, f"{event.speaker}: {event.text}" if named else event.text)
                continue
            _let_speak(said)
            marked = event.act is not None and self._marked(observation)
            said.append(Message(role="assistant", content=str(event.act) if marked else event.text))
        if observation.error:
            _hear(said, f"(Your last attempt was refused: {observation.error})")
        if question:
            _hear(said, question)
        _let_speak(said)
        kept = said[min(self._forgotten, len(said) - 1) :]
        told = "\n\n".join(filter(None, (self.player.system, observation.instructions)))
        return Dialogue(kept).with_system(told or None)

    def _marked(self, observation: Observation) -> bool:
        """Whether the game asks to begin with the kind of act."""
        return f"[{self.game.kinds[0]}]" in observation.instructions


def fill_form(game: Game, role: str, kind: str, draw: Random) -> str:
    """The content of an act with its form filled by chance; empty for one without a form."""
    chosen: list[str] = []
    while options := game.options(role, kind, chosen):
        chosen.append(draw.choice(options))
    return game.fill(role, kind, chosen) if chosen else ""


def seed_of(*parts: object) -> int:
    """A seed that follows from what it is for, the same on every machine and in every order of play."""
    return int.from_bytes(hashlib.sha256("/".join(map(str, parts)).encode()).digest()[:6], "big")


def _hear(said: list[Message], text: str) -> None:
    if said and said[-1].role == "user":
        text = f"{said.pop().content}\n\n{text}"
    said.append(Message(role="user", content=text))


def _let_speak(said: list[Message]) -> None:
    if not said or said[-1].role != "user":
        _hear(said, GO_ON if said else BEGIN)
