"""A pair programmer as a player of the game `issue`."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, TypeAlias

from telic.agents.player import UtteranceGenerator
from telic.assistants.pairing.programmer import PairProgrammer, PairWork
from telic.assistants.pairing.texts import AnsweredQuestion, Question
from telic.dialogue import Message
from telic.errors import ConfigError
from telic.games.base import Act, Game, Observation
from telic.games.issue import IssueGame
from telic.issues import environment_of
from telic.issues.checkout import IssueCheckout
from telic.models import Model
from telic.workspaces import RunLimits, SuiteResult, Workspace

__all__ = ["PairPlayer"]

_Suites: TypeAlias = dict[tuple[str, ...], SuiteResult]


class PairPlayer:
    """Plays the game `issue` with a workspace of its own on the issue's repository.

    Args:
        programmer: the pair programmer.
        name: name in reports.
    """

    def __init__(self, programmer: PairProgrammer, name: str | None = None) -> None:
        self.programmer = programmer
        self.name = name or f"pair ({programmer.model.name})"
        self.system = programmer.work.system_prompt
        self._base_suites: defaultdict[tuple[str, RunLimits, bool], _Suites] = defaultdict(dict)

    @property
    def models(self) -> Sequence[Model]:
        """The model of both parts."""
        return [self.programmer.model]

    def join(self, game: Game, role: str, seed: int) -> PairParticipant:
        """Take part in an episode.

        Raises:
            ConfigError: it is another game.
        """
        if not isinstance(game, IssueGame):
            raise ConfigError(f"a pair programmer plays the game 'issue', not {game.name!r}")
        return PairParticipant(self, game, role, seed)

    def base_suites(self, game: IssueGame) -> _Suites:
        """What the tests of a game's repository gave before any change; episodes on the same issue share it."""
        return self._base_suites[game.issue.id, game.limits, game.unsafe]

    def spec(self) -> dict[str, Any]:
        """Return the model, the configuration and the purposes."""
        one = self.programmer
        purposes = {"intent": one.intent, "work": one.work}
        return {
            "pair": one.model.name,
            "config": one.config.model_dump(mode="json", exclude_none=True),
            **{part: purpose.model_dump(mode="json", exclude_none=True) for part, purpose in purposes.items()},
        }


class PairParticipant:
    """A pair programmer's part in one episode."""

    def __init__(self, player: PairPlayer, game: IssueGame, role: str, seed: int) -> None:
        self.player, self.game, self.role, self.seed = player, game, role, seed
        self.notes: Counter[str] = Counter()
        self._open: list[IssueCheckout | Workspace] = []
        self._work: PairWork | None = None
        self._asked: Question | None = None

    @property
    def messages(self) -> list[Message]:
        """Replies of the model in the last act, and what came of them."""
        return self._work.messages if self._work is not None else []

    def act(self, observation: Observation) -> UtteranceGenerator:
        """Ask, or hand in the patch. The workspace is closed after the patch, and after a failure."""
        goes_on = False
        try:
            work = self._begin() if self._work is None else self._work
            if self._asked is not None and observation.error is None:
                work.task.exchanges.append(AnsweredQuestion(self._asked, observation.events[-1].text))
                self._asked = None
            if "ask" in observation.legal:
                self._asked = yield from work.next_question()
                if self._asked is not None:
                    goes_on = True
                    return str(Act("ask", str(self._asked)))
            attempt = yield from work.write()
            self.notes["attempts"] += len(work.attempts)
            if work.stopped:
                self.notes[f"stopped: {work.stopped}"] += 1
            return f"[patch]\n{attempt.patch}"  # its last lines may be blank, and belong to it
        finally:
            if not goes_on:
                self._close()

    def write(self, exchanges: Sequence[AnsweredQuestion]) -> UtteranceGenerator:
        """Write a patch after these questions and answers, and ask nothing. The workspace is closed at the end."""
        try:
            work = self._begin()
            work.task.exchanges = list(exchanges)
            return (yield from work.write()).patch
        finally:
            self._close()

    def _begin(self) -> PairWork:
        game = self.game
        checkout = IssueCheckout(game.issue)
        self._open.append(checkout)
        workspace = Workspace(
            checkout.path,
            checkout.base,
            environment=environment_of(game.issue),
            limits=game.limits,
            unsafe=game.unsafe,
            base_suites=self.player.base_suites(game),
        )
        self._open.append(workspace)
        issue = f"{game.issue.title}\n\n{game.told}"
        self._work = self.player.programmer.begin(issue, workspace, self.seed)
        self._work.look()
        return self._work

    def _close(self) -> None:
        while self._open:
            self._open.pop().close()
