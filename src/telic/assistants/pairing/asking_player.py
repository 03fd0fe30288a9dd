"""A player of the game `issue` for `telic train`: a model decides whether to ask, a pair programmer writes the patch.

The planner acts on the decisions only. The patch depends on what was told and answered alone, so episodes in which the
same was said share one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from telic.agents.model_player import ModelParticipant, ModelPlayer
from telic.agents.player import UtteranceGenerator
from telic.agents.scripted.players import Talker
from telic.assistants.pairing.asking import PROCEED, asking_dialogue, proceeds
from telic.assistants.pairing.player import PairPlayer
from telic.assistants.pairing.programmer import PairProgrammer
from telic.assistants.pairing.texts import AnsweredQuestion, Question
from telic.dialogue import Dialogue, Message
from telic.errors import ConfigError
from telic.games.base import Act, Game, Observation
from telic.games.issue import IssueGame
from telic.models import Control, Model
from telic.models.requesting import RequestGenerator
from telic.planner.dialogue_acts import DialogueActSet, RandomActTalker
from telic.purpose import Purpose

__all__ = ["AskingPlayer", "AskingPlayers"]

TRIES = 3
"""Attempts at a decision that is not empty."""
Patches = dict[tuple[object, ...], str]
"""The patches written so far, by what was told and answered."""


class AskingPlayers:
    """The players of a training in the game `issue`.

    Args:
        writer: writes the patches; it asks nothing itself.
    """

    def __init__(self, writer: PairProgrammer) -> None:
        self._writer, self._patches = writer, Patches()

    def player(self, model: Model, purpose: Purpose, controls: Sequence[Control], **options: Any) -> AskingPlayer:
        """Make the player under test, with these controls."""
        return AskingPlayer(model, purpose, controls, writer=self._writer, patches=self._patches, **options)

    def reciter(self, model: Model, purpose: Purpose, acts: DialogueActSet) -> AskingPlayer:
        """Make a player that recites random acts."""
        talker = partial(RandomActTalker, acts)
        return AskingPlayer(
            model, purpose, (), writer=self._writer, patches=self._patches, talker=talker, name="reciter"
        )

    def spec(self) -> dict[str, Any]:
        """Return who writes the patches."""
        return PairPlayer(self._writer).spec()


class AskingPlayer(ModelPlayer):
    """A model that decides whether to ask, and a pair programmer that writes the patch.

    Args:
        model: the model that decides.
        purpose: its purpose; only its system prompt, sampling and defences are used.
        controls: controls of the decisions.
        writer: writes the patches.
        patches: those written so far.
        talker: decides instead of the model; made from a seed.
        **options: as of `ModelPlayer`.
    """

    def __init__(
        self,
        model: Model,
        purpose: Purpose | None,
        controls: Sequence[Control],
        *,
        writer: PairProgrammer,
        patches: Patches | None = None,
        talker: Callable[[int], Talker] | None = None,
        **options: Any,
    ) -> None:
        super().__init__(model, purpose, controls, **options)
        self.writer, self.talker = PairPlayer(writer), talker
        self.patches: Patches = {} if patches is None else patches

    @property
    def models(self) -> list[Model]:
        """The model that decides, and the one that writes."""
        return [*super().models, *self.writer.models]

    def join(self, game: Game, role: str, seed: int) -> AskingParticipant:
        """Take part in an episode.

        Raises:
            ConfigError: it is another game.
        """
        if not isinstance(game, IssueGame):
            raise ConfigError(f"a player that asks about issues plays the game 'issue', not {game.name!r}")
        return AskingParticipant(self, game, role, seed)

    def spec(self) -> dict[str, Any]:
        """Return the model's settings, and those of the writer."""
        return {**super().spec(), "writer": self.writer.spec(), "recites": self.talker is not None}


class AskingParticipant(ModelParticipant):
    """A player's part in one episode."""

    player: AskingPlayer
    game: IssueGame

    def __init__(self, player: AskingPlayer, game: IssueGame, role: str, seed: int) -> None:
        super().__init__(player, game, role, seed)
        self._talker = player.talker(seed) if player.talker is not None else None

    def act(self, observation: Observation) -> UtteranceGenerator:
        """Ask, or hand in the patch."""
        if "ask" in observation.legal:
            said = self._talker.reply("") if self._talker is not None else (yield from self._decide(observation))
            if not proceeds(said):
                return str(Act("ask", said))
        patch = yield from self._patch(observation)
        return f"[patch]\n{patch}"  # its last lines may be blank, and belong to it

    def messages_before(self, observation: Observation, act: Act) -> tuple[tuple[Message, ...], str]:
        """Return the messages before a decision, and the decision as the model says it."""
        return tuple(self._dialogue(observation, "")), act.content if act.kind == "ask" else PROCEED

    def _decide(self, observation: Observation) -> UtteranceGenerator:
        """Let the model ask, or go on. A reply that stays empty counts as going on."""
        for _ in range(TRIES):
            reply = yield from self._ask(observation)
            if text := self._cleaned(reply.text, "ask"):
                return text
            self.notes["empty replies"] += 1
        return PROCEED

    def _patch(self, observation: Observation) -> UtteranceGenerator:
        """Write the patch, or take the one that was written after the same questions and answers."""
        exchanges = _exchanges(observation)
        key = (self.game.issue.id, self.game.told, exchanges)
        if key not in self.player.patches:
            writing = self.player.writer.join(self.game, self.role, 0).write(
                [AnsweredQuestion(Question(question), answer) for question, answer in exchanges]
            )
            self.player.patches[key] = yield from _aside(writing)
        return self.player.patches[key]

    def _dialogue(self, observation: Observation, question: str) -> Dialogue:  # noqa: ARG002 (nothing else is asked)
        """Return the dialogue before the next question; the oldest exchanges go first if the context is full."""
        exchanges = _exchanges(observation)[self._dropped // 2 :]
        return asking_dialogue(self.player.system, f"{self.game.issue.title}\n\n{self.game.told}", exchanges)


def _exchanges(observation: Observation) -> tuple[tuple[str, str], ...]:
    texts = [event.text for event in observation.events]
    return tuple(zip(texts[::2], texts[1::2], strict=False))


def _aside(writing: RequestGenerator[str]) -> RequestGenerator[str]:
    """Make requests that do not count as the decision before them, whose record is what the planner learns from."""
    try:
        requests = next(writing)
        while True:
            for made in requests:
                made.request.keep = False
            requests = writing.send((yield requests))
    except StopIteration as end:
        text: str = end.value
        return text
