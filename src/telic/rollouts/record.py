"""One episode of a game, from the first turn to the judge's verdict, as a generator that yields its model requests.

This module knows no concurrency: the driver of the generator decides when a request is answered. An episode is thus a
function of its task and of the replies.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from telic.agents.player import ContextFullError, Participant, Player, PlayerLeftError, seed_of
from telic.dialogue import Message
from telic.episodes import Episode, Turn
from telic.errors import Boundary, ConfigError, Failure, ModelError
from telic.files import to_json_types
from telic.games.base import Event, Game, IllegalActError
from telic.models import Model, Reply, Request, Sampling
from telic.models.requesting import ModelRequest, RequestGenerator, ask, watched

__all__ = ["JUDGING", "Task", "agent_role", "play_episode", "player_of"]

JUDGING = Sampling(max_new_tokens=768, temperature=0.0)
"""Sampling of a judge's first answers. Later attempts have a higher temperature."""
JUDGE_TRIES = 3
"""Attempts at a readable answer of the judge."""
DIGITS = 7
"""Significant digits of what a control chose: those of a float32."""


@dataclass(frozen=True, slots=True)
class Task:
    """One episode to play."""

    id: str
    game: str
    """Label of the game in the results."""
    spec: Mapping[str, Any]
    """The game's table, as in a purpose file."""
    number: int
    """Number of the task. The trials of one task differ only in the seed of the players."""
    trial: int
    """Number of the trial."""
    seed: int
    """Seed of the game."""
    player_seed: int
    """Seed of the players."""


def agent_role(game: Game) -> str:
    """Return the role under test."""
    return next((role for role in game.roles if game.fault_of(role) == "agent"), game.roles[0])


def player_of(game: Game, role: str, players: Mapping[str, Player]) -> Player | None:
    """Return the player of a role: by its name, else `agent` for the role under test, else `partner`."""
    if game.played_by_rules(role):
        return None
    return players.get(role) or players.get("agent" if game.fault_of(role) == "agent" else "partner")


def play_episode(
    task: Task, game: Game, players: Mapping[str, Player], judge: Model | None
) -> RequestGenerator[Episode]:
    """Play one episode.

    A failure ends only its own episode, which keeps the turns so far and the failure. A resumed run plays an episode
    again if its failure is `retryable`.

    Raises:
        ConfigError: the settings of the game are wrong, or a role has no player.
    """
    game.reset(task.seed)
    recorder = _EpisodeRecorder(task, game, players)
    try:
        yield from recorder.play()
        yield from recorder.judge(judge)
    except ConfigError:
        raise
    except ModelError as error:
        recorder.episode.failure = error.failure
    except ContextFullError as error:
        recorder.episode.failure = Failure("model", "context_full", str(error))
    except PlayerLeftError as error:
        recorder.episode.failure = Failure("player", "left", str(error))
    except Exception as error:  # an error in a custom player or game must not end the other episodes
        recorder.episode.failure = Failure(recorder.acting, "exception", recorder.describe(error))
    return recorder.finish()


@dataclass
class _ActUsage:
    """Tokens and sampling details of one act."""

    tokens: int = 0
    prompt_tokens: int = 0
    finish: str = "stop"
    chosen: Mapping[str, Any] = field(default_factory=dict)

    def count(self, made: ModelRequest, reply: Reply) -> None:
        request = made.request
        if not request.choices and request.sampling.max_new_tokens > 1:
            self.tokens += reply.new_tokens
        if not request.keep:  # a guard's question, and no draft of the utterance
            return
        self.prompt_tokens = max(self.prompt_tokens, reply.prompt_tokens)
        if not request.choices and request.sampling.max_new_tokens > 1:
            self.finish, self.chosen = reply.finish, reply.chosen


@dataclass
class _EpisodeRecorder:
    """Plays one episode and records it."""

    task: Task
    game: Game
    players: Mapping[str, Player]
    acting: Boundary = "game"
    """Boundary of an exception that is raised now."""
    acting_role: str = ""
    """Role of the acting player, if one acts."""
    participants: dict[str, Participant] = field(default_factory=dict)
    seen: dict[str, int] = field(default_factory=dict)
    """Number of recorded events by role."""
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
            participant = self._participant(role)
            usage = _ActUsage()
            utterance = str((yield from watched(participant.act(game.observe(role)), usage.count)))
            self.acting, self.acting_role = "game", ""
            try:
                act = game.parse(role, utterance)
            except IllegalActError:
                act = None  # `step` refuses it too, and counts the attempt
            step = game.step(role, utterance)
            if not step.accepted or act is None:
                self.refused.append({"turn": game.turns, "role": role, "text": utterance, "error": step.error})
                continue
            turn = Turn(
                role=role,
                round=self._round(role),
                text=act.content,
                finish=usage.finish,
                tokens=usage.tokens,
                prompt_tokens=usage.prompt_tokens,
                readings=to_json_types(usage.chosen, DIGITS),
                steps=list(getattr(participant, "messages", ())),
                act=act.kind,
                reward=dict(step.reward),
            )
            self.episode.turns.append(turn)
            turn.seen_by = self._take_events(role)

    def judge(self, judge: Model | None) -> RequestGenerator[None]:
        """Ask the judge the game's prompts, and again those without a readable answer."""
        metadata, failed = self.episode.metadata, None
        self.acting, self.acting_role = "judge", ""
        for attempt in range(JUDGE_TRIES):
            prompts = self.game.judge_prompts()
            if not prompts:
                return
            if judge is None:
                metadata["unjudged"] = "the game needs a judge model, and none was given; name one with --judge"
                return
            sampling = replace(JUDGING, temperature=0.7 if attempt else 0.0)
            answers = []
            for number, prompt in enumerate(prompts):
                seed = seed_of(self.task.player_seed, "judge", attempt, number)
                said = (Message(role="user", content=prompt),)
                reply = yield from ask(judge, Request(said, replace(sampling, seed=seed), keep=False))
                failed = reply.failure
                answers.append("" if failed else reply.text)
            if self.game.read_verdicts(answers):
                return
        if failed is not None:
            name = judge.name if judge else ""
            self.episode.failure = replace(failed, boundary="judge", detail=f"model {name!r} failed: {failed.detail}")
            return
        metadata["unjudged"] = f"the judge {judge.name if judge else ''!r} gave no readable verdict"

    def describe(self, error: Exception) -> str:
        """Return the description of an exception."""
        return f"{self.acting_role}: {error!r}" if self.acting_role else repr(error)

    def finish(self) -> Episode:
        """Return the episode with its outcome. An episode with a failure has no outcome."""
        episode = self.episode
        if episode.failure is None:
            outcome = self.game.outcome()
            episode.outcome = {**asdict(outcome), "per_role": dict(outcome.per_role), "details": dict(outcome.details)}
        notes = {role: dict(participant.notes) for role, participant in self.participants.items() if participant.notes}
        episode.metadata |= {key: value for key, value in (("refused", self.refused), ("notes", notes)) if value}
        return episode

    def _participant(self, role: str) -> Participant:
        if role not in self.participants:
            player = player_of(self.game, role, self.players)
            if player is None:
                raise ConfigError(
                    f"game {self.game.name!r}: it is the turn of {role!r}, which has no player; there are "
                    f"players for {', '.join(self.players) or 'no role'}. Pass one for {role!r}, or for 'partner'"
                )
            self.participants[role] = player.join(self.game, role, seed_of(self.task.player_seed, role))
        return self.participants[role]

    def _round(self, role: str) -> int:
        return 1 + sum(turn.role == role and turn.finish != "given" for turn in self.episode.turns)

    def _take_events(self, actor: str | None) -> list[str]:
        """Record new events other than the act itself: those of the rules, in their own name or in a role's.

        Returns:
            The roles that saw the act; empty if all did.
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
                self._record_given(event, [] if len(seen) == len(self.game.roles) else seen)
        return [] if len(witnesses) == len(self.game.roles) else [r for r in self.game.roles if r in witnesses]

    def _record_given(self, event: Event, seen_by: list[str]) -> None:
        if event.speaker not in self.episode.roles:
            self.episode.roles[event.speaker] = {"name": "the rules", "system": ""}
        rounds = [turn.round for turn in self.episode.turns]
        text = event.act.content if event.act else event.text
        turn = Turn(role=event.speaker, round=max(rounds, default=1), text=text, finish="given", seen_by=seen_by)
        turn.act = event.act.kind if event.act else ""
        self.episode.turns.append(turn)
