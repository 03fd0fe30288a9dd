"""`telic play`: a game between any two."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from telic.cli.controls import parse_controls
from telic.cli.output import Started, load_model, print_json, progress, say
from telic.cli.play_view import print_results
from telic.cli.usage import Interrupted, UsageError, how_to_resume
from telic.errors import ConfigError, RunError
from telic.registry import parse_settings

if TYPE_CHECKING:
    from telic.agents.player import Player
    from telic.models import Model
    from telic.purpose import Purpose
    from telic.rollouts import PlayRun
    from telic.rollouts.ray_workers import RayWorkers

__all__ = ["Play"]

MODEL = "smollm2"


@dataclass(frozen=True)
class Table:
    """Who sits down to play: enough to make the players again, in another process too."""

    game: str
    agent: str
    partner: str
    model: str
    """Of `model` without a name."""
    partnered: bool
    """Whether anybody but the agent has a player: the rules may play all others."""
    purposes: Mapping[str, Purpose]
    """Those that the players are named after, by their file."""
    batch: int | None = None
    """Rows that a local model computes together."""
    controls: tuple[Any, ...] | None = None
    """Of the agent, in place of its purpose's own."""

    def players(self) -> dict[str, Player]:
        """Make them; a model that both play with is loaded once."""
        models: dict[str, Model] = {}
        return {side: self._player(side, models) for side in self._sides()}

    def spec(self) -> dict[str, Any]:
        """What makes them these players."""
        return {side: self._described(side) for side in self._sides()}

    def check(self) -> None:
        """Refuse what is no player before a model is loaded."""
        for side in self._sides():
            if self._model_of(side) is None:
                self._player(side, {})

    def _sides(self) -> tuple[str, ...]:
        return ("agent", "partner") if self.partnered else ("agent",)

    def _model_of(self, side: str) -> str | None:
        """Name of the model that a side plays with, or None."""
        kind, _, name = self._named(side).partition(":")
        if kind == "model":
            return name or self.model
        purpose = self.purposes.get(self._named(side))
        return None if purpose is None else self.model if side == "agent" else purpose.model

    def _player(self, side: str, models: dict[str, Model]) -> Player:
        from telic.agents.human import HumanPlayer
        from telic.agents.player import ModelPlayer
        from telic.agents.scripted import scripted_player

        spec, name = self._named(side), self._model_of(side)
        if name is None:
            return HumanPlayer() if spec == "human" else scripted_player(spec, self.game)
        if name not in models:
            models[name] = load_model(name)
            engine = getattr(models[name], "engine", None)
            if self.batch is not None and engine is not None:
                engine.max_batch = self.batch
        controls = self.controls if side == "agent" else None
        return ModelPlayer(models[name], self.purposes.get(spec), controls)

    def _described(self, side: str) -> dict[str, Any]:
        name, spec = self._model_of(side), self._named(side)
        if name is None:
            return {"scripted": spec}
        purpose = self.purposes.get(spec)
        described: dict[str, Any] = {"model": name}
        if purpose is not None:
            described["purpose"] = purpose.model_dump(mode="json", exclude_none=True)
        if side == "agent" and self.controls is not None:
            described["controls"] = [control.spec() for control in self.controls]
        return described

    def _named(self, side: str) -> str:
        return self.agent if side == "agent" else self.partner


@dataclass
class Play:
    """Play a game between any two, many episodes at once.

    A player is `model` or `model:NAME`, a purpose file, `human`, `random`, `oracle`, `eliza`, `parry`, `restaurant`, or
    another script of the game.
    """

    game: tyro.conf.Positional[str] = "elicitation"
    """The name of a game, or a purpose file with a [game]."""
    agent: str | None = None
    """Who plays the role under test; by default the purpose, or the model."""
    partner: str = "model"
    """Who plays the others, where the game's rules do not."""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    """Tasks; by default 32, or 1 for a person."""
    trials: int = 1
    """Times that each task is played; two or more give pass^k."""
    seed: int = 0
    """Of the tasks and the players."""
    set: tuple[str, ...] = ()
    """Settings of the game, as in `rounds=3 domain=support`."""
    model: str | None = None
    """The model behind `model`; by default the purpose's, or smollm2."""
    controls: tuple[str, ...] = ()
    """What bends the agent's model, instead of its purpose's own controls; `none` for none."""
    judge: str | None = None
    """Model that scores games which want a judge."""
    concurrency: int = 64
    """Episodes under way at once."""
    batch: int | None = None
    """Rows that a local model computes together, if fewer than it would: less memory."""
    references: bool = True
    """Compare with random and perfect play of the same tasks, where the game knows them."""
    ray: str | None = None
    """Play on this Ray cluster: its address, `auto`, or `local` for one on this machine."""
    workers: int | None = None
    """Workers on Ray; by default one for each node."""
    runs: Path = Path("runs")
    """Where run folders are made."""
    resume: Path | None = None
    """A run folder to go on with; give the same settings."""
    json: bool = False
    """Print the result as JSON, and no progress."""

    def run(self) -> None:
        """Play, report, print."""
        from telic.rollouts.play import Cast, play
        from telic.rollouts.report import write_play_report

        spec, name, table = self._what()
        human = "human" in (table.agent, table.partner)
        workers = self._workers(human)
        players = None if workers else table.players()
        started = Started(quiet=self.json)
        try:
            with progress("episodes", quiet=self.json or human) as ticker:
                run = play(
                    spec,
                    Cast(table.players if players is None else lambda: players, table.spec()),
                    (1 if human else 32) if self.n is None else self.n,
                    self.seed,
                    trials=self.trials,
                    judge=self.judge,
                    name=name,
                    folder=self.runs,
                    resume=self.resume,
                    concurrency=1 if human else self.concurrency,
                    references=self.references,
                    workers=workers,
                    on_episode=lambda _: ticker.advance(),
                    on_reply=ticker.hear,
                    on_start=lambda start: started(start, ticker),
                )
        except KeyboardInterrupt:
            raise Interrupted(how_to_resume(started.folder)) from None
        assert run.folder is not None
        report = write_play_report(run.folder, run.results, run.episodes, run.document)
        if self.json:
            results = [result.model_dump(mode="json") for result in run.results]
            print_json({"folder": str(run.folder), "report": str(report), "results": results})
        else:
            print_results(run.results)
            say(f"Report: {report}")
        _refuse_nothing(run)

    def _what(self) -> tuple[dict[str, Any], str, Table]:
        """The game, what the run is called, and who plays."""
        from telic.purpose import Purpose

        purposes: dict[str, Purpose] = {}

        def purpose_of(text: str) -> Purpose | None:
            if text not in purposes and (text.endswith(".toml") or Path(text).is_file() or text == "demo"):
                purposes[text] = Purpose.load(text)
            return purposes.get(text)

        purpose = purpose_of(self.game)
        if purpose is None:
            spec: dict[str, Any] = {"name": self.game}
        elif purpose.game is None:
            raise ConfigError(
                f"{self.game} has no [game], so that there is nothing to play. Add one, such as: [game] name = "
                '"elicitation"; or name the game and give the file as --agent'
            )
        else:
            spec = dict(purpose.game)
        agent = self.agent or (self.game if purpose else "model")
        own = purpose_of(agent)
        purpose_of(self.partner)
        try:
            spec |= parse_settings(self.set)
        except ConfigError as error:
            raise UsageError(f"--set: {error}") from None
        model = self.model or (own.model if own else purpose.model if purpose else MODEL)
        partnered = _has_partner(spec)
        controls = parse_controls(self.controls)
        table = Table(spec["name"], agent, self.partner, model, partnered, purposes, self.batch, controls)
        table.check()
        return spec, purpose.name if purpose else spec["name"], table

    def _workers(self, human: bool) -> RayWorkers | None:
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--batch is {self.batch}; expected 1 or more")
        if self.ray is None:
            if self.workers is not None:
                raise UsageError("--workers goes with --ray")
            return None
        if human:
            raise UsageError("a person cannot play on --ray: the workers have no terminal")
        from telic.rollouts.ray_workers import RayWorkers

        return RayWorkers(self.ray, self.workers)


def _has_partner(spec: dict[str, Any]) -> bool:
    """Whether anybody but the agent is to be played.

    Raises:
        ConfigError: there is no such game, or it does not take these settings.
    """
    from telic.games.base import build
    from telic.rollouts.record import agent_role, by_rules

    game = build(spec)
    return any(not by_rules(game, role) for role in game.roles if role != agent_role(game))


def _refuse_nothing(run: PlayRun) -> None:
    """Fail where nothing came of it at all: a script that goes on should not take that for a result."""
    if all(result.valid == 0 for result in run.results):
        reasons = [reason for result in run.results for reason in (*result.errors, *result.faults)]
        raise RunError(f"no episode came to a valid end: {next(iter(reasons), 'none was played')}")
