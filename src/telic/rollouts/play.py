"""`play`: many episodes of one or several games, kept in a run folder, with what came of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from telic.agents.player import Player, seed_of
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.games.base import Game, build
from telic.models import Model, Reply, load
from telic.rollouts.driver import RequestGenerator, drive
from telic.rollouts.record import Task, play_episode
from telic.rollouts.results import GameResult, References, analyse, reference_lines
from telic.runs import RunFolder, RunStart

if TYPE_CHECKING:
    from telic.rollouts.ray_workers import RayWorkers

__all__ = ["Cast", "GameSpec", "PlayRun", "models_of", "plan_tasks", "play", "play_tasks"]

GameSpec = str | Mapping[str, Any]
"""The name of a game, or its table in a purpose file: `name`, and its settings."""
SPACING = 2**20
"""From the game seeds of one seed to those of the next."""


@dataclass(frozen=True)
class Cast:
    """Who plays, made where it is played: in this process, or in each of the workers."""

    make: Callable[[], Mapping[str, Player]]
    """Makes the players by role, as `play` takes them. For workers, it must be possible to pickle it."""
    spec: Mapping[str, Any]
    """What makes them these players, as plain data."""


@dataclass(frozen=True)
class PlayRun:
    """What was played, and where it is kept."""

    results: list[GameResult]
    """One for each game."""
    episodes: list[Episode]
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""


def play(
    game: GameSpec | Sequence[GameSpec],
    players: Mapping[str, Player] | Cast,
    n: int = 32,
    seed: int = 0,
    *,
    trials: int = 1,
    judge: Model | str | None = None,
    name: str | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    concurrency: int = 64,
    references: bool = True,
    workers: RayWorkers | None = None,
    on_episode: Callable[[Episode], None] | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    on_start: Callable[[RunStart], None] | None = None,
) -> PlayRun:
    """Play episodes, many at once.

    What happens in an episode follows from the game, its number and the seed, whatever else is played beside it: not
    from the order of play, the concurrency or the number of workers.

    Args:
        game: a game, or several, whose episodes are played side by side.
        players: by role; `agent` plays the role under test and `partner` all others that have no player of their own.
        n: tasks of each game. Task i has the game seed `seed * 2**20 + i`.
        seed: of the games and the players.
        trials: times that each task is played; the players' chance differs. Two or more give pass^k.
        judge: the model that scores games which want one, or its name.
        name: what the run is called; by default after the first game.
        folder: where the run folder is made; None keeps nothing.
        resume: a run folder to go on with.
        concurrency: episodes under way at once, in each worker.
        references: also play the scripted random and oracle players on the same tasks.
        workers: play on Ray instead of in this process.
        on_episode: gets each episode as it ends.
        on_reply: hears of every reply, perhaps from another thread; of none, with workers.
        on_start: called before the first episode is played.

    Raises:
        ConfigError: a game or a setting is wrong, a role has no player, or the run to be resumed was another one.
        UnsupportedControlError: a control cannot act on a player's model.
    """
    if n < 1 or trials < 1 or concurrency < 1:
        raise ConfigError(f"n is {n!r}, trials {trials!r}, concurrency {concurrency!r}; expected 1 or more of each")
    cast = players if isinstance(players, Cast) else _cast_of(players)
    if workers is not None and not isinstance(players, Cast):
        raise ConfigError("players for Ray are made by the workers: give a Cast instead of the players themselves")
    specs = _labelled([game] if isinstance(game, str | Mapping) else game)
    tasks = plan_tasks(specs, n, seed, trials)
    for label, spec in specs.items():
        build(spec).reset(next(task.seed for task in tasks if task.game == label))  # what is wrong is said at once
    tell: Callable[[RunStart], None] = on_start or (lambda _: None)

    def play_all(missing: Sequence[Task], keep: Callable[[Episode], None]) -> None:
        def ended(episode: Episode) -> None:
            keep(episode)
            if on_episode is not None:
                on_episode(episode)

        if workers is not None:
            workers.play(missing, cast.make, judge, concurrency, ended)
        else:
            play_tasks(missing, cast.make(), judge, concurrency, ended, on_reply)

    wanted = specs if references else {}
    if folder is None and resume is None:
        episodes: list[Episode] = []
        tell(RunStart(None, (), len(tasks)))
        play_all(tasks, episodes.append)
        results = analyse(episodes, _references(wanted, tasks))
        return PlayRun(results, sorted(episodes, key=lambda episode: episode.id))
    judged = judge if isinstance(judge, str | None) else judge.name
    work = {"games": list(specs.values()), "players": cast.spec, "n": n, "trials": trials, "seed": seed}
    work |= {"judge": judged} if judged else {}
    if resume is not None:
        run = RunFolder.resume(resume, work)
    else:
        run = RunFolder.create(str(folder), "play", name or next(iter(specs)), work, {"concurrency": concurrency})
    with run:
        return _keep(run, wanted, tasks, play_all, tell)


def _keep(
    run: RunFolder,
    wanted: Mapping[str, Mapping[str, Any]],
    tasks: Sequence[Task],
    play_all: Callable[[Sequence[Task], Callable[[Episode], None]], None],
    tell: Callable[[RunStart], None],
) -> PlayRun:
    """Play what a run folder has not got yet, and write down what came of all of it."""
    done = run.done()
    missing = [task for task in tasks if task.id not in done]
    tell(RunStart(run.path, tuple(run.warnings), len(missing)))
    play_all(missing, run.episodes.append)
    lines = _references(wanted, tasks)
    run.metrics({"references": {label: line.model_dump(mode="json") for label, line in lines.items()}})
    episodes = run.episodes.latest()
    results = analyse(episodes, lines)
    run.metrics({"results": [result.model_dump(mode="json") for result in results]})
    return PlayRun(results, episodes, run.path, run.document)


def play_tasks(
    tasks: Iterable[Task],
    players: Mapping[str, Player],
    judge: Model | str | None,
    concurrency: int,
    on_episode: Callable[[Episode], None],
    on_reply: Callable[[Reply], None] | None = None,
) -> None:
    """Play tasks in this process; see `play`. The tasks are taken one by one, as episodes end."""
    if isinstance(judge, str):
        judge = next((model for model in models_of(players, None) if model.name == judge), None) or load(judge)
    idle: dict[str, list[Game]] = {}
    tables = _tables(tasks, players, judge, idle)
    models = models_of(players, judge)
    drive(tables, models, concurrency=concurrency, on_episode=on_episode, on_reply=on_reply)


def plan_tasks(specs: Mapping[str, Mapping[str, Any]], n: int, seed: int, trials: int) -> list[Task]:
    """Every task of every game, in turn over the games, with ids and seeds that follow from nothing else.

    Games may give neighbouring seeds to each other (the same values with the sides changed, one pair of characters
    after the other), so that the seeds of a run are consecutive.
    """
    return [
        Task(
            id=f"{label}-{number:05d}-{trial}",
            game=label,
            spec=spec,
            number=number,
            trial=trial,
            seed=seed * SPACING + number,
            chance=seed_of(seed, label, number, trial),
        )
        for number in range(n)
        for label, spec in specs.items()
        for trial in range(trials)
    ]


def models_of(players: Mapping[str, Player], judge: Model | None) -> list[Model]:
    """The models that may be asked, each once."""
    models = [player.model for player in players.values()] + [judge]
    return list({id(model): model for model in models if model is not None}.values())


def _tables(
    tasks: Iterable[Task], players: Mapping[str, Player], judge: Model | None, idle: dict[str, list[Game]]
) -> Iterator[RequestGenerator[Episode]]:
    """Episodes to be played. A game's object serves one episode after the other: making one may read files."""

    def table(task: Task) -> RequestGenerator[Episode]:
        games = idle.setdefault(task.game, [])
        game = games.pop() if games else build(task.spec)
        episode = yield from play_episode(task, game, players, judge)
        games.append(game)
        return episode

    return (table(task) for task in tasks)


def _labelled(games: Sequence[GameSpec]) -> dict[str, Mapping[str, Any]]:
    """Tables of games by what the results call them: two of one name are told apart by a number."""
    specs: dict[str, Mapping[str, Any]] = {}
    for game in games:
        spec = {"name": game} if isinstance(game, str) else dict(game)
        if "name" not in spec:
            raise ConfigError(f"a game without a name: {spec!r}; expected one such as {{'name': 'elicitation'}}")
        same = sum(other["name"] == spec["name"] for other in specs.values())
        specs[f"{spec['name']}-{same + 1}" if same else spec["name"]] = spec
    if not specs:
        raise ConfigError("no game to play; name at least one")
    return specs


def _cast_of(players: Mapping[str, Player]) -> Cast:
    return Cast(lambda: players, {role: player.spec() for role, player in players.items()})


def _references(wanted: Mapping[str, Mapping[str, Any]], tasks: Sequence[Task]) -> dict[str, References]:
    return {label: reference_lines([t for t in tasks if t.game == label and not t.trial]) for label in wanted}
