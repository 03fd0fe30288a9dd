"""`telic play`: a game between two agents."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from telic.cli.controls import parse_controls
from telic.cli.human_play import keep_typed, restore_typed
from telic.cli.output import load_model, print_json, print_line, print_shortfall
from telic.cli.play_view import print_results
from telic.cli.resuming import resume_hint
from telic.cli.thread_options import ThreadOptions
from telic.cli.usage import Interrupted, UsageError
from telic.errors import ConfigError, RunError
from telic.models.capabilities import LimitsBatch
from telic.models.catalog import locate
from telic.models.credentials import check_model_name
from telic.progress import ProgressDisplay
from telic.registry import parse_settings

if TYPE_CHECKING:
    from telic.agents.player import Player
    from telic.models import Model
    from telic.purpose import Purpose
    from telic.rollouts import PlayRun
    from telic.rollouts.workers import Workers

__all__ = ["Play"]

MODEL = "smollm2"


@dataclass(frozen=True)
class PlayersConfig:
    """The players of a run: what another process needs to make them."""

    game: str
    """Name of the game."""
    agent: str
    partner: str
    model: str
    """Name of the model that the player `model` uses."""
    has_partner: bool
    """Whether a role besides the agent needs a player; the rules may play all others."""
    purposes: Mapping[str, Purpose]
    """Purposes of the players, by file."""
    batch: int | None = None
    """Maximum batch size of a local model."""
    controls: tuple[Any, ...] | None = None
    """Controls of the agent to use instead of its purpose's."""

    def players(self) -> dict[str, Player]:
        """Make the players. A model that both use is loaded once."""
        models: dict[str, Model] = {}
        return {side: self._player(side, models) for side in self._sides()}

    def spec(self) -> dict[str, Any]:
        """Return the settings of the players as plain data."""
        return {side: self._spec_of(side) for side in self._sides()}

    def check(self) -> None:
        """Raise an error for an unknown player before a model is loaded."""
        for side in self._sides():
            name = self._model_of(side)
            if name is None:
                self._player(side, {})
            check_model_name(name)

    def gpus(self) -> int:
        """Count the GPUs that a process needs for its models on vLLM."""
        from telic.models.vllm.settings import replica_gpus

        sources: dict[str, str | Purpose] = {}
        for side in self._sides():
            name, purpose = self._model_of(side), self.purposes.get(self._player_name(side))
            if name is not None:
                own = purpose if purpose is not None and purpose.model == name and purpose.vllm else None
                sources[name if own is None else f"{name} with {own.vllm}"] = own or name
        return replica_gpus(sources.values())

    def _sides(self) -> tuple[str, ...]:
        return ("agent", "partner") if self.has_partner else ("agent",)

    def _model_of(self, side: str) -> str | None:
        """Return the name of a side's model, or None."""
        kind, _, name = self._player_name(side).partition(":")
        if kind in ("model", "pair"):
            return name or self.model
        purpose = self.purposes.get(self._player_name(side))
        return None if purpose is None else self.model if side == "agent" else purpose.model

    def _player(self, side: str, models: dict[str, Model]) -> Player:
        from telic.agents.human import HumanPlayer
        from telic.agents.model_player import ModelPlayer
        from telic.agents.scripted import scripted_player

        spec, name = self._player_name(side), self._model_of(side)
        if name is None:
            return HumanPlayer() if spec == "human" else scripted_player(spec, self.game)
        purpose = self.purposes.get(spec)
        own = purpose if purpose is not None and purpose.model == name and (purpose.adapter or purpose.vllm) else None
        key = name if own is None else f"{name} with {own.adapter_path} and {own.vllm}"
        if key not in models:
            model = models[key] = load_model(own or name)
            if self.batch is not None and isinstance(model, LimitsBatch):
                model.max_batch = self.batch
        if spec.partition(":")[0] == "pair":
            from telic.assistants.pairing import PairPlayer, PairProgrammer

            return PairPlayer(PairProgrammer(models[key]))
        controls = self.controls if side == "agent" else None
        return ModelPlayer(models[key], purpose, controls)

    def _spec_of(self, side: str) -> dict[str, Any]:
        name, spec = self._model_of(side), self._player_name(side)
        if name is None:
            return {"scripted": spec}
        purpose = self.purposes.get(spec)
        described: dict[str, Any] = {"model": name, **({"pair": True} if spec.partition(":")[0] == "pair" else {})}
        if purpose is not None:
            described["purpose"] = purpose.model_dump(mode="json", exclude_none=True)
        if side == "agent" and self.controls is not None:
            described["controls"] = [control.spec() for control in self.controls]
        return described

    def _player_name(self, side: str) -> str:
        return self.agent if side == "agent" else self.partner


@dataclass
class Play(ThreadOptions):
    """Play a game between two agents, many episodes at once.

    A PLAYER is `model`, `model:NAME`, a purpose file, `human` (you, in this terminal), `random`, `oracle`, `eliza`,
    `parry`, `restaurant`, or another scripted player of the game. In the game `issue`, `pair` or `pair:NAME` is a pair
    programmer with the model.

    Examples:
        telic play travel.toml
        telic play elicitation --agent human
        telic play negotiation --agent travel.toml --partner concession -n 64
        telic play elicitation --set rounds=3 domain=support --model fake
        telic play issue --agent pair --set setting=hidden
        telic play --resume runs/play-elicitation-20260101-120000
    """

    game: tyro.conf.Positional[str] = "elicitation"
    """Name of a game, or a purpose file with a [game]."""
    agent: str | None = None
    """Player of the role under test. By default the purpose, or else the model."""
    partner: str = "model"
    """Player of the other roles, except those that the game's rules play."""
    n: Annotated[int | None, tyro.conf.arg(aliases=["-n"])] = None
    """Number of tasks. By default 32, or 1 if a person plays."""
    trials: int = 1
    """Number of times each task is played. With two or more, the results include pass^k."""
    seed: int = 0
    """Seed of the tasks and the players."""
    set: tuple[str, ...] = ()
    """Settings of the game, such as `rounds=3 domain=support`."""
    model: str | None = None
    """Model that the player `model` uses. By default the one that the purpose names, or else smollm2."""
    version: str | None = None
    """Version of the purpose to use: v1, v2, ..., `latest`, or `base` for the purpose file as written. By default the
    promoted version."""
    controls: tuple[str, ...] = ()
    """Controls of the agent, instead of its purpose's own; `none` for none."""
    judge: str | None = None
    """Model that scores the games that need a judge."""
    concurrency: int = 64
    """Number of episodes played at once."""
    batch: int | None = None
    """Maximum batch size of a local model. A smaller batch needs less memory."""
    minutes: float | None = None
    """Play only what fits in about this many minutes, and report on that part; a resumed run plays the rest."""
    references: bool = True
    """Compare with random and perfect play of the same tasks, if the game has both."""
    ray: str | None = None
    """Play on a Ray cluster: its address, `auto`, or `local` to start one on this machine."""
    workers: int | None = None
    """Number of workers on Ray. By default one per node; with a model on vLLM, as many as the GPUs allow."""
    runs: Path = Path("runs")
    """Folder in which the run folder is created."""
    resume: Path | None = None
    """Run folder of an interrupted run to continue. Its options come from the folder and need not be repeated."""
    trust: bool = False
    """Trust the purpose files: their judges may call functions in the Python files beside them."""
    json: bool = False
    """Print the results as JSON."""
    quiet: bool = False
    """Show no progress and no notices on standard error."""

    def run(self) -> None:
        """Play, write the report, and print the results."""
        from telic.rollouts import PlayerFactory, play
        from telic.rollouts.report import write_play_report

        spec, name, config = self._resolve()
        human = "human" in (config.agent, config.partner)
        workers = self._workers(human, config)
        players = None if workers else config.players()
        restore_typed(self.resume, players)
        display = ProgressDisplay(quiet=self.quiet, counts=not human)
        try:
            with display:
                run = play(
                    spec,
                    PlayerFactory(config.players if players is None else lambda: players, config.spec()),
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
                    minutes=self.minutes,
                    progress=display,
                )
        except KeyboardInterrupt:
            keep_typed(display.folder, players)
            raise Interrupted(resume_hint(display.folder or self.resume)) from None
        assert run.folder is not None
        keep_typed(run.folder, players)
        report = write_play_report(run.folder, run.results, run.episodes, run.document)
        if self.json:
            results = [result.model_dump(mode="json") for result in run.results]
            limit = run.shortfall.as_dict() if run.shortfall else None
            print_json({"folder": str(run.folder), "report": str(report), "results": results, "shortfall": limit})
        else:
            print_results(run.results)
            print_shortfall(run.shortfall, run.folder)
            print_line(f"Report: {report}")
        _require_valid(run)

    def _resolve(self) -> tuple[dict[str, Any], str, PlayersConfig]:
        """Return the table of the game, the name of the run, and the players."""
        from telic.promotion import load_version
        from telic.purpose import Purpose

        purposes: dict[str, Purpose] = {}

        def purpose_of(text: str) -> Purpose | None:
            if text not in purposes and (text.endswith(".toml") or Path(text).is_file() or text == "demo"):
                own = text in (self.game, self.agent)
                purposes[text] = (
                    load_version(text, self.version, trust=self.trust).purpose
                    if own
                    else Purpose.load(text, trust=self.trust)
                )
            return purposes.get(text)

        purpose = purpose_of(self.game)
        if purpose is None:
            spec: dict[str, Any] = {"name": self.game}
        elif purpose.game is None:
            raise ConfigError(
                f'{self.game} has no [game]; add one, such as: [game] name = "elicitation", or name a game and pass '
                "the file as --agent"
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
        has_partner = _has_partner(spec)
        controls = parse_controls(self.controls)
        if self.judge is not None:
            locate(self.judge)  # raises an error before a run folder is made
        config = PlayersConfig(spec["name"], agent, self.partner, model, has_partner, purposes, self.batch, controls)
        config.check()
        check_model_name(self.judge, "--judge")
        return spec, purpose.name if purpose else spec["name"], config

    def _workers(self, human: bool, config: PlayersConfig) -> Workers | None:
        if self.minutes is not None and not self.minutes > 0:
            raise UsageError(f"--minutes is {self.minutes}; expected a number greater than 0")
        if self.batch is not None and self.batch < 1:
            raise UsageError(f"--batch is {self.batch}; expected 1 or more")
        if self.ray is None:
            if self.workers is not None:
                raise UsageError(
                    f"--workers is {self.workers}, but --ray is not set; add --ray local, or omit --workers"
                )
            return None
        if human:
            raise UsageError("a person cannot play with --ray: the workers have no terminal")
        from telic.rollouts.ray_workers import RayWorkers

        return RayWorkers(self.ray, self.workers, replica_gpus=config.gpus())


def _has_partner(spec: dict[str, Any]) -> bool:
    """Return whether a role besides the agent needs a player.

    Raises:
        ConfigError: the game is unknown, or a setting is wrong.
    """
    from telic.games.base import build_game
    from telic.rollouts.record import agent_role

    game = build_game(spec)
    return any(not game.played_by_rules(role) for role in game.roles if role != agent_role(game))


def _require_valid(run: PlayRun) -> None:
    """Raise an error if no episode is valid, so that a shell script stops."""
    if all(result.valid == 0 for result in run.results):
        reasons = [reason for result in run.results for reason in (*result.errors, *result.faults)]
        raise RunError(f"no valid episode: {next(iter(reasons), 'none was played')}")
