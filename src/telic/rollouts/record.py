"""One episode of a game, from the first turn to the judge's verdict, as a generator that yields its model requests.

Nothing is played here at once or in parallel: whoever drives the generator decides when a request is answered. So all
that happens in an episode is a function of its task and of the replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from telic.agents.player import ContextFullError, Player, PlayerLeftError, Seat, seed_of
from telic.dialogue import Message
from telic.episodes import Episode, Turn
from telic.errors import Boundary, ConfigError, Failure, ModelError
from telic.games.base import Event, Game, IllegalActError
from telic.models import Model, Reply, Request, Sampling
from telic.rollouts.driver import RequestGenerator, ask

__all__ = ["JUDGING", "Task", "agent_role", "by_rules", "play_episode", "player_of"]

JUDGING = Sampling(max_new_tokens=768, temperature=0.0)
"""How a judge's answers are drawn the first time; asked again, it is let vary."""
JUDGE_TRIES = 3


@dataclass(frozen=True, slots=True)
class Task:
    """One episode to be played."""

    id: str
    game: str
    """What the results call the game."""
    spec: Mapping[str, Any]
    """The game's table, as in a purpose file."""
    number: int
    """Which task of the game: the trials of one task differ in the players' chance only."""
    trial: int
    seed: int
    """Of the game."""
    chance: int
    """Of the players."""


def agent_role(game: Game) -> str:
    """The role under test."""
    return next((role for role in game.roles if game.fault_of(role) == "agent"), game.roles[0])


def by_rules(game: Game, role: str) -> bool:
    """Whether the rules play a role: a setting that is named after it says so (as `customer` in elicitation)."""
    return getattr(game, role, None) == "rules"


def player_of(game: Game, role: str, players: Mapping[str, Player]) -> Player | None:
    """Who plays a role: the player named after it, else `agent` where it is under test, else `partner`."""
    if by_rules(game, role):
        return None
    return players.get(role) or players.get("agent" if game.fault_of(role) == "agent" else "partner")


def play_episode(
    task: Task, game: Game, players: Mapping[str, Player], judge: Model | None
) -> RequestGenerator[Episode]:
    """Play one episode.

    A player that fails ends its own episode, which then has what was played and the failure. A resumed run plays it
    again where the failure is `retryable`.

    Raises:
        ConfigError: the game cannot be set up, or a role has no player: no episode of it can be played.
    """
    game.reset(task.seed)
    record = _Record(task, game, players)
    try:
        yield from record.play()
        yield from record.judge(judge)
    except ConfigError:
        raise
    except ModelError as error:
        record.episode.failure = error.failure
    except ContextFullError as error:
        record.episode.failure = Failure("model", "context_full", str(error))
    except PlayerLeftError as error:
        record.episode.failure = Failure("player", "left", str(error))
    except Exception as error:  # a player or a game from elsewhere: its own episode is lost, the others are not
        record.episode.failure = Failure(record.acting, "exception", record.blame(error))
    return record.finished()


@dataclass
class _Act:
    """What one act took."""

    tokens: int = 0
    prompt_tokens: int = 0
    finish: str = "stop"
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def count(self, request: Request, reply: Reply) -> None:
        self.prompt_tokens = max(self.prompt_tokens, reply.prompt_tokens)
        if not request.choices and request.sampling.max_new_tokens > 1:
            self.tokens += reply.new_tokens
            self.finish = reply.finish
            self.chosen = reply.chosen


@dataclass
class _Record:
    """The episode as it grows."""

    task: Task
    game: Game
    players: Mapping[str, Player]
    acting: Boundary = "game"
    """Who is to blame for an exception now."""
    acting_role: str = ""
    """While a player acts: its role."""
    seats: dict[str, Seat] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    """Events of each role that are in the record."""
    refused: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        task, game = self.task, self.game
        roles: dict[str, dict[str, Any]] = {}
        for role in game.roles:
            player = player_of(game, role, self.players)
            instructions = game.instructions(role)
            system = "\n\n".join(filter(None, (player.system if player else "", instructions)))
            roles[role] = {
                "name": player.name if player else "the rules",
                "system": system,
                "instructions": instructions,
                "private": dict(game.private(role)),
            }
        metadata = {"game": task.game, "task": task.number, "trial": task.trial, "agent": agent_role(game)}
        self.episode = Episode(id=task.id, kind=game.name, seed=task.seed, roles=roles, metadata=metadata)
        self._take_events(None)

    def play(self) -> RequestGenerator[None]:
        game = self.game
        while (role := game.turn) is not None:
            self.acting, self.acting_role = "player", role
            seat = self._seat(role)
            spent = _Act()
            utterance = yield from self._utterance(role, seat, spent)
            self.acting, self.acting_role = "game", ""
            try:
                act = game.parse(role, utterance)
            except IllegalActError:
                act = None  # `step` says so too, and counts it
            step = game.step(role, utterance)
            if not step.accepted or act is None:
                self.refused.append({"turn": game.turns, "role": role, "text": utterance, "error": step.error})
                continue
            turn = Turn(
                role=role,
                round=self._round(role),
                text=act.content,
                finish=spent.finish,
                tokens=spent.tokens,
                prompt_tokens=spent.prompt_tokens,
                readings=_plain(spent.chosen),
                act=act.kind,
                reward=dict(step.reward),
            )
            self.episode.turns.append(turn)
            turn.seen_by = self._take_events(role)

    def judge(self, judge: Model | None) -> RequestGenerator[None]:
        """Ask the judge what the game wants to know, again where its answers cannot be read."""
        metadata, failed = self.episode.metadata, None
        self.acting, self.acting_role = "judge", ""
        for attempt in range(JUDGE_TRIES):
            questions = self.game.questions()
            if not questions:
                return
            if judge is None:
                metadata["unjudged"] = "the game wants a judge (--judge), and none was given"
                return
            sampling = replace(JUDGING, temperature=0.7 if attempt else 0.0)
            answers = []
            for number, question in enumerate(questions):
                seed = seed_of(self.task.chance, "judge", attempt, number)
                said = (Message(role="user", content=question),)
                reply = yield from ask(judge, Request(said, replace(sampling, seed=seed), keep=False))
                failed = reply.failure
                answers.append("" if failed else reply.text)
            if self.game.verdicts(answers):
                return
        if failed is not None:
            name = judge.name if judge else ""
            self.episode.failure = replace(failed, boundary="judge", detail=f"model {name!r} failed: {failed.detail}")
            return
        metadata["unjudged"] = f"the judge {judge.name if judge else ''!r} gave no verdict that can be read"

    def blame(self, error: Exception) -> str:
        """What an exception is reported as."""
        return f"{self.acting_role}: {error!r}" if self.acting_role else repr(error)

    def finished(self) -> Episode:
        """The episode with its outcome. One that broke off has none: what it would be worth is not known."""
        episode = self.episode
        if episode.failure is None:
            outcome = self.game.outcome()
            episode.outcome = {**asdict(outcome), "per_role": dict(outcome.per_role), "details": dict(outcome.details)}
        notes = {role: dict(seat.notes) for role, seat in self.seats.items() if seat.notes}
        episode.metadata |= {key: value for key, value in (("refused", self.refused), ("notes", notes)) if value}
        return episode

    def _seat(self, role: str) -> Seat:
        if role not in self.seats:
            player = player_of(self.game, role, self.players)
            if player is None:
                raise ConfigError(
                    f"game {self.game.name!r}: it is the turn of {role!r}, for whom there is no player; there are "
                    f"players for {', '.join(self.players) or 'nobody'}. Give one for {role!r}, or for 'partner'"
                )
            self.seats[role] = player.seat(self.game, role, seed_of(self.task.chance, role))
        return self.seats[role]

    def _utterance(self, role: str, seat: Seat, spent: _Act) -> RequestGenerator[str]:
        player = player_of(self.game, role, self.players)
        moves = seat.act(self.game.observe(role))
        try:
            request = next(moves)
            while True:
                if player is None or player.model is None:
                    raise ConfigError(f"player {role!r} asks a model, and has none")
                reply = yield from ask(player.model, request)
                spent.count(request, reply)
                request = moves.send(reply)
        except StopIteration as end:
            return str(end.value)

    def _round(self, role: str) -> int:
        return 1 + sum(turn.role == role and turn.finish != "given" for turn in self.episode.turns)

    def _take_events(self, actor: str | None) -> list[str]:
        """Put into the record what others than the actor said: the rules, in their own name or in a role's.

        Returns:
            The roles that saw the act itself, if not all did.
        """
        news: dict[int, tuple[Event, list[str]]] = {}
        for role in self.game.roles:
            events = self.game.observe(role).events
            for event in events[self.seen.get(role, 0) :]:
                news.setdefault(id(event), (event, []))[1].append(role)
            self.seen[role] = len(events)
        witnesses = {role for event, seen in news.values() if event.speaker == actor for role in seen}
        for event, seen in news.values():
            if event.speaker != actor:
                self._given(event, [] if len(seen) == len(self.game.roles) else seen)
        return [] if len(witnesses) == len(self.game.roles) else [r for r in self.game.roles if r in witnesses]

    def _given(self, event: Event, seen_by: list[str]) -> None:
        if event.speaker not in self.episode.roles:
            self.episode.roles[event.speaker] = {"name": "the rules", "system": ""}
        rounds = [turn.round for turn in self.episode.turns]
        text = event.act.content if event.act else event.text
        turn = Turn(role=event.speaker, round=max(rounds, default=1), text=text, finish="given", seen_by=seen_by)
        turn.act = event.act.kind if event.act else ""
        self.episode.turns.append(turn)


def _plain(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """What a control decided on, as JSON has it: of a float32, seven digits are all there is."""
    return {
        name: [float(f"{number:.7g}") for number in value.tolist()] if hasattr(value, "tolist") else value
        for name, value in chosen.items()
    }
