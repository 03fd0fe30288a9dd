"""`play`: many episodes of one or several games, kept in a run folder, with their results."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from telic.agents.player import Player
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.games.base import Game, build_game
from telic.models import Model, Reply, load
from telic.models.requesting import RequestGenerator
from telic.progress import Deadline, Phase, ProgressCallback, ProgressTracker, Shortfall, forecast_sentence, track
from telic.rollouts.admission import Admission
from telic.rollouts.driver import drive
from telic.rollouts.record import Task, play_episode
from telic.rollouts.references import reference_scores
from telic.rollouts.results import GameResult, ReferenceScores, analyse_games
from telic.rollouts.tasks import GameSpec, label_games, plan_tasks
from telic.rollouts.workers import PlayerFactory, TaskRunner, Workers
from telic.runs import RunFolder

__all__ = ["PlayRun", "models_of", "play", "play_tasks"]


@dataclass(frozen=True)
class PlayRun:
    """Episodes that were played, and their results."""

    results: list[GameResult]
    """One per game."""
    episodes: list[Episode]
    folder: Path | None = None
    """The run folder, if there is one."""
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""
    shortfall: Shortfall | None = None
    """How many episodes a time limit left unplayed; None if all were played."""


def play(
    game: GameSpec | Sequence[GameSpec], players: Mapping[str, Player] | PlayerFactory, n: int = 32, seed: int = 0, *,
    trials: int = 1, judge: Model | str | None = None, name: str | None = None,
    folder: str | Path | None = None, resume: str | Path | None = None,
    concurrency: int = 64, references: bool = True, workers: Workers | None = None,
    minutes: float | Deadline | None = None, on_episode: Callable[[Episode], None] | None = None,
    progress: bool | ProgressCallback = False,
) -> PlayRun:  # fmt: skip
    """Play many episodes at once.

    An episode is a function of its game, its number and the seed. Other episodes, the order of play, the concurrency
    and the number of workers do not change it.

    Args:
        game: a game, or several whose episodes are played side by side.
        players: players by role. `agent` plays the role under test, `partner` all other roles without a player.
        n: tasks of each game. Task i has the game seed `seed * 2**20 + i`.
        seed: seed of the games and the players.
        trials: times that each task is played, with other player seeds. Two or more give pass^k.
        judge: the model that scores games with a judge, or its name.
        name: name of the run; by default that of the first game.
        folder: parent of the run folder; None keeps nothing.
        resume: a run folder to continue.
        concurrency: episodes played at once, in each worker.
        references: also play the scripted players that bound the scale on the same tasks.
        workers: play on these workers instead of in this process.
        minutes: play only what fits in about this time, or until a `Deadline`. All trials of a task are played, or
            none.
        on_episode: called with each episode as it ends.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply and episode,
            with workers only with every episode.

    Raises:
        ConfigError: a game or a setting is wrong, a role has no player, or the run to resume has other settings.
        UnsupportedControlError: a control cannot act on a player's model.
    """
    _check_counts(n=n, trials=trials, concurrency=concurrency)
    deadline = _deadline_of(minutes, workers)
    specs = label_games([game] if isinstance(game, str | Mapping) else game)
    tasks, factory = plan_tasks(specs, n, seed, trials), _factory_of(players, workers)
    _check_games(specs, tasks)
    work = _work(specs, factory, judge, n=n, trials=trials, seed=seed)
    with track(progress) as tracker:
        player = _TaskPlayer(factory, judge, concurrency, workers, on_episode, deadline, tracker)
        run = _Run(player, tasks, specs if references else {})
        if folder is None and resume is None:
            return run.play()
        with _open_folder(folder, resume, name or next(iter(specs)), work, concurrency) as opened:
            return run.play_in(opened)


def _deadline_of(minutes: float | Deadline | None, workers: Workers | None) -> Deadline:
    deadline = minutes if isinstance(minutes, Deadline) else Deadline(minutes)
    if workers is not None and deadline.limited:
        raise ConfigError("minutes cannot be combined with workers; play fewer tasks (n) instead")
    return deadline


def _check_counts(**counts: int) -> None:
    for argument, value in counts.items():
        if value < 1:
            raise ConfigError(f"{argument} is {value!r}; expected 1 or more")


def _factory_of(players: Mapping[str, Player] | PlayerFactory, workers: Workers | None) -> PlayerFactory:
    if isinstance(players, PlayerFactory):
        return players
    if workers is not None:
        raise ConfigError("workers make their own players; pass a PlayerFactory instead of the players")
    return PlayerFactory(lambda: players, {role: player.spec() for role, player in players.items()})


def _check_games(specs: Mapping[str, Mapping[str, Any]], tasks: Sequence[Task]) -> None:
    """Start one episode of each game, so that wrong settings are reported before the run folder exists."""
    for label, spec in specs.items():
        build_game(spec).reset(next(task.seed for task in tasks if task.game == label))


def _work(
    specs: Mapping[str, Mapping[str, Any]], factory: PlayerFactory, judge: Model | str | None, **numbers: int
) -> dict[str, Any]:
    """Return the settings that a resumed run must share."""
    judged = judge if isinstance(judge, str | None) else judge.name
    return {"games": list(specs.values()), "players": factory.spec, **numbers, **({"judge": judged} if judged else {})}


def _open_folder(
    folder: str | Path | None, resume: str | Path | None, name: str, work: dict[str, Any], concurrency: int
) -> RunFolder:
    if resume is not None:
        return RunFolder.resume(resume, work)
    return RunFolder.create(str(folder), "play", name, work, {"concurrency": concurrency})


@dataclass(frozen=True)
class _TaskRunnerMaker:
    """Makes what plays tasks in a worker."""

    make: Callable[[], Mapping[str, Player]]
    judge: str | None

    def __call__(self) -> TaskRunner:
        players = self.make()

        def run(tasks: Iterable[Task], concurrency: int, on_episode: Callable[[Episode], None]) -> None:
            play_tasks(tasks, players, self.judge, concurrency, on_episode)

        return run


@dataclass(frozen=True)
class _TaskPlayer:
    """Plays tasks in this process or on workers."""

    factory: PlayerFactory
    judge: Model | str | None
    concurrency: int
    workers: Workers | None
    on_episode: Callable[[Episode], None] | None
    deadline: Deadline
    tracker: ProgressTracker

    def play(self, tasks: Sequence[Task], keep: Callable[[Episode], None]) -> None:
        """Play tasks, as far as the deadline leaves time for them."""

        def end(episode: Episode) -> None:
            keep(episode)
            self.tracker.advance()
            if self.on_episode is not None:
                self.on_episode(episode)

        if self.workers is not None:
            if not (self.judge is None or isinstance(self.judge, str)):
                raise ConfigError("workers load the judge themselves; pass its name instead of the model")
            self.workers.play(tasks, _TaskRunnerMaker(self.factory.make, self.judge), self.concurrency, end)
            return
        players, counted = self.factory.make(), self.tracker.count_tokens
        groups = [len(list(same)) for _, same in groupby(tasks, key=lambda task: task.number)]
        admission = Admission(self.deadline, groups, on_start=self.tracker.expect)
        play_tasks(tasks, players, self.judge, self.concurrency, end, counted, admission)


@dataclass(frozen=True)
class _Run:
    """The tasks of a run, with or without a run folder."""

    player: _TaskPlayer
    tasks: Sequence[Task]
    referenced: Mapping[str, Mapping[str, Any]]
    """Games that are compared with their references, by label."""

    def play(self) -> PlayRun:
        """Play all tasks without a run folder."""
        episodes: list[Episode] = []
        self._start(None, len(self.tasks))
        self.player.play(self.tasks, episodes.append)
        results = analyse_games(episodes, self._references(episodes))
        return PlayRun(results, sorted(episodes, key=lambda episode: episode.id), shortfall=self._shortfall(episodes))

    def play_in(self, run: RunFolder) -> PlayRun:
        """Play the tasks that a run folder lacks, and write the results of all tasks to it."""
        done = run.done()
        missing = [task for task in self.tasks if task.id not in done]
        self._start(run, len(missing))
        self.player.play(missing, run.episodes.append)
        episodes = run.episodes.latest()
        references = self._references(episodes)
        run.append_metrics(
            {"references": {label: scores.model_dump(mode="json") for label, scores in references.items()}}
        )
        results = analyse_games(episodes, references)
        headline = " ".join(result.headline for result in results)
        shortfall = self._shortfall(episodes)
        run.append_metrics(
            {
                "headline": headline,
                "shortfall": shortfall.as_dict() if shortfall else None,
                "results": [result.model_dump(mode="json") for result in results],
            }
        )
        return PlayRun(results, episodes, run.path, run.document, shortfall)

    def _start(self, run: RunFolder | None, missing: int) -> None:
        """Report the start of the run."""
        deadline, tracker = self.player.deadline, self.player.tracker

        def forecast(seconds: float) -> str:
            return forecast_sentence(seconds, missing, "episodes")

        phases, path = [Phase("playing", "episodes", missing)], run.path if run else None
        tracker.start(path, run.warnings if run else (), phases, forecast, deadline)
        tracker.begin("playing")

    def _references(self, episodes: Sequence[Episode]) -> dict[str, ReferenceScores]:
        """Score the references on the tasks that were played."""
        played = {episode.id for episode in episodes}
        return {
            label: reference_scores(
                [task for task in self.tasks if task.game == label and not task.trial and task.id in played]
            )
            for label in self.referenced
        }

    def _shortfall(self, episodes: Sequence[Episode]) -> Shortfall | None:
        return Shortfall.of(self.player.deadline.minutes, episodes=(len(episodes), len(self.tasks)))


def play_tasks(
    tasks: Iterable[Task],
    players: Mapping[str, Player],
    judge: Model | str | None,
    concurrency: int,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
    admission: Admission | None = None,
) -> None:
    """Play tasks in this process; see `play`. It takes the tasks one by one, as episodes end."""
    if isinstance(judge, str):
        judge = next((model for model in models_of(players, None) if model.name == judge), None) or load(judge)
    episodes = _start_episodes(tasks, players, judge)
    models = models_of(players, judge)
    drive(episodes, models, concurrency=concurrency, on_episode=on_episode, on_reply=on_reply, admission=admission)


def models_of(players: Mapping[str, Player], judge: Model | None) -> list[Model]:
    """Return the models of the players and the judge, each once."""
    models = [model for player in players.values() for model in player.models] + [judge]
    return list({id(model): model for model in models if model is not None}.values())


def _start_episodes(
    tasks: Iterable[Task], players: Mapping[str, Player], judge: Model | None
) -> Iterator[RequestGenerator[Episode]]:
    """Yield the generator of each episode. Episodes reuse game objects, since building one may read files."""
    idle: dict[str, list[Game]] = {}

    def start(task: Task) -> RequestGenerator[Episode]:
        games = idle.setdefault(task.game, [])
        game = games.pop() if games else build_game(task.spec)
        episode = yield from play_episode(task, game, players, judge)
        games.append(game)
        return episode

    return (start(task) for task in tasks)
