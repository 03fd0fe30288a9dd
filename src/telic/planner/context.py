"""What the stages of a training share: playing, collecting experience, loading what is done, and reporting."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol

from telic.agents.agent import controls_of
from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.agents.scripted import TalkingPlayer
from telic.dialogue import Dialogue, Message
from telic.episodes import Episode
from telic.games.base import build_game
from telic.models import Control, Model
from telic.models.local import LocalModel
from telic.planner.cloning import CloneConfig, clone_utterances
from telic.planner.config import PlannerTrainingConfig
from telic.planner.control import PlannerControl
from telic.planner.dialogue_acts import DialogueActSet, RandomActTalker
from telic.planner.evaluation import returns_by_task
from telic.planner.experience import Experience, utterance_examples
from telic.planner.gradient import UtteranceExample
from telic.planner.planner import Planner
from telic.planner.saving import load_planner, save_planner
from telic.planner.shortening import note_cut
from telic.progress import Deadline, ProgressTracker
from telic.progress.report import duration
from telic.purpose import Purpose
from telic.rollouts.play import play
from telic.rollouts.record import agent_role
from telic.runs import RunFolder
from telic.statistics import mean

__all__ = ["Stage", "TrainingContext", "TrainingPlayers"]

COLLECTIONS = 64
"""Number of collections of a part that have scenarios of their own."""
PART_SEEDS = {"train": 0, "validation": 1, "held-out": 2}
"""Seed offset of each part, so that parts never share a scenario, even in a game without a split."""


@dataclass(frozen=True)
class Stage:
    """A completed stage of the training."""

    name: str
    seconds: float
    figures: dict[str, float]

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {value:.4g}" for name, value in self.figures.items())
        return f"{self.name}: {figures} ({duration(self.seconds)})"


class TrainingPlayers(Protocol):
    """Makes the players of a game in which more is to be done than to speak."""

    def player(self, model: Model, purpose: Purpose, controls: Sequence[Control], **options: Any) -> ModelPlayer:
        """Make the player of the role under test; `controls` act on what the planner decides about."""
        ...

    def reciter(self, model: Model, purpose: Purpose, acts: DialogueActSet) -> Player:
        """Make a player that recites random acts."""
        ...

    def spec(self) -> dict[str, Any]:
        """Return their settings. A run resumes only with the same ones."""
        ...


class TrainingContext:
    """A model, a purpose with a game, and a run folder.

    Args:
        model: the frozen model.
        purpose: a purpose with a game. Its own planner, if it has one, does not act.
        config: settings.
        run: the run folder.
        on_stage: called with every completed stage.
        tracker: counts what each stage does.
        deadline: of the whole training; each phase gets a share of the time.
        players: makes the players, if the game has players of its own.
    """

    def __init__(
        self,
        model: LocalModel,
        purpose: Purpose,
        config: PlannerTrainingConfig,
        run: RunFolder,
        on_stage: Callable[[Stage], None] | None,
        tracker: ProgressTracker,
        deadline: Deadline,
        players: TrainingPlayers | None = None,
    ) -> None:
        self.model, self.config, self.folder, self.run = model, config, run.path, run
        self.purpose = purpose.model_copy(update={"planner": None})
        self.game = dict(purpose.game or {})
        self._on_stage: Callable[[Stage], None] = on_stage or (lambda _: None)
        self.tracker, self.deadline, self._players = tracker, deadline, players
        self.cut: dict[str, tuple[int, int]] = {}
        """What the deadline cut short: how much of it was done, and planned."""

    @property
    def baseline_control(self) -> PlannerControl:
        """A planner without prefix tokens: it changes nothing, but records the states."""
        return PlannerControl(planner=Planner.new(self.model, tokens=0, action_size=1, seed=self.config.seed))

    def player(self, controls: Sequence[Control], name: str) -> ModelPlayer:
        """Make the player of the role under test, with these controls beside the purpose's own."""
        sampling: dict[str, Any] = {
            "max_new_tokens": self.config.max_new_tokens,
            "temperature": self.config.temperature,
        }
        acting = [*controls_of(self.purpose), *controls]
        if self._players is not None:
            return self._players.player(self.model, self.purpose, acting, name=name, **sampling)
        return ModelPlayer(self.model, self.purpose, acting, name=name, **sampling)

    def act_player(self, acts: DialogueActSet) -> Player:
        """Make a player of the role under test that recites random acts."""
        if self._players is not None:
            return self._players.reciter(self.model, self.purpose, acts)
        return TalkingPlayer("reciter", partial(RandomActTalker, acts))

    def game_spec(self, part: str) -> dict[str, Any]:
        """Make the game's table for a part. Of a game with a split, the held-out part has the test split."""
        if "split" not in self.game and build_game(self.game).has_held_out:
            return {**self.game, "split": "test" if part == "held-out" else "train"}
        return self.game

    def play(self, name: str, part: str, player: Player, n: int, collection: int = 0) -> list[Episode]:
        """Play episodes, or load those that were played before.

        Args:
            name: folder of the episodes.
            part: `train`, `validation` or `held-out`. The seed depends on the part and the collection only, so that all
                arms play the same scenarios.
            player: the player of the role under test.
            n: number of episodes.
            collection: number of the collection; each has other scenarios.
        """
        spec, folder = self.game_spec(part), self.folder / "episodes" / name
        game = build_game(spec)
        agent = agent_role(game)
        players = {"agent": player}
        if any(not game.played_by_rules(role) for role in game.roles if role != agent):
            players["partner"] = ModelPlayer(self.model, name="partner")
        started = next(iter(sorted(folder.glob("play-*"))), None)
        seed = (self.config.seed * len(PART_SEEDS) + PART_SEEDS[part]) * COLLECTIONS + collection
        where: dict[str, Any] = {"folder": folder} if started is None else {"resume": started}
        deadline = self.begin_phase(name if name != f"advantage-{collection}" else f"{name}-episodes")
        run = play(
            spec, players, n, seed, references=False, concurrency=self.config.concurrency,
            minutes=deadline, progress=self.tracker.follow, **where,
        )  # fmt: skip
        self.note_cut(name, "episodes", len(run.episodes), n)
        return run.episodes

    def begin_phase(self, name: str) -> Deadline:
        """Begin a phase; returns its deadline."""
        self.tracker.begin(name)
        return self.deadline.part(self.tracker.share())

    def note_cut(self, name: str, unit: str, done: int, planned: int) -> None:
        """Note what was done of a phase, if the deadline cut it short."""
        if done < planned and self.deadline.limited:
            self.cut[f"{name} {unit}"] = (done, planned)
            note_cut(self.run, f"episodes/{name}" if unit == "episodes" else name)

    def collect(self, name: str, control: Control, n: int, *, collection: int = 0) -> Experience:
        """Play episodes of the training part under a control, and make training data of them."""
        start, player = time.monotonic(), self.player([control], name)
        episodes = self.play(name, "train", player, n, collection)
        found = Experience.of(episodes, self.game_spec("train"), player)
        self._finish_episodes(name, start, episodes)
        # Every collection numbers its episodes from zero, and several are concatenated to learn from.
        names = tuple(f"{name}/{episode}" for episode in found.transitions.episodes)
        return replace(found, transitions=replace(found.transitions, episodes=names))

    def act_dialogues(self, acts: DialogueActSet, n: int) -> list[tuple[Message, ...]]:
        """Play episodes in which acts are recited, and return the messages that the model reads before each turn.

        Every other one goes without the game's instructions: `chat` and `serve` show the model the purpose alone.
        """
        name, start = "rehearsal", time.monotonic()
        episodes = self.play(name, "train", self.act_player(acts), n)
        self._finish_episodes(name, start, episodes)
        spec, player = self.game_spec("train"), self.player([], name)
        histories = [example.messages for e in episodes for example in utterance_examples(e, spec, player)]
        own = self.purpose.system_prompt or None
        return [
            tuple(Dialogue(messages[1:]).with_system(own)) if number % 2 and messages[0].role == "system" else messages
            for number, messages in enumerate(histories)
        ]

    def clone_utterances(
        self,
        name: str,
        planner: Planner,
        examples: Sequence[UtteranceExample],
        weights: Any = None,
        *,
        soft: bool = False,
    ) -> Planner:
        """Clone utterances into a planner, as a stage of this name; `soft` to leave the model unchanged."""

        def train() -> tuple[Planner, dict[str, float]]:
            config = self.config
            settings = CloneConfig(epochs=config.clone_epochs, lr=config.clone_lr, soft=soft, seed=config.seed)
            folder, deadline = self.folder / name / "state", self.begin_phase(name)
            found = clone_utterances(
                planner, self.model, examples, weights, settings, folder=folder,
                on_epoch=lambda *_: self.tracker.advance(), deadline=deadline,
            )  # fmt: skip
            self.note_cut(name, "epochs", len(found.losses), config.clone_epochs)
            losses = {"first": found.losses[0], "last": found.losses[-1]}
            return planner, {"examples": found.examples, "steps": found.steps, **losses}

        return self.load_or_train(name, train)

    def load_or_train(self, name: str, train: Callable[[], tuple[Planner, dict[str, float]]]) -> Planner:
        """Load the planner of a stage, or train and save it.

        Args:
            name: name of the stage, and of its folder.
            train: returns the planner, and figures to report.
        """
        folder, start = self.folder / name, time.monotonic()
        if (folder / "config.json").is_file():
            return load_planner(folder, model=self.model)
        planner, figures = train()
        save_planner(planner, folder, model=self.model)
        self.finish_stage(name, start, figures)
        return planner

    def finish_stage(self, name: str, start: float, figures: dict[str, float]) -> None:
        """Record and report a completed stage that started at `start`, in monotonic seconds."""
        stage = Stage(name, time.monotonic() - start, dict(figures))
        self.run.append_metrics({"stage": stage.name, "seconds": stage.seconds, "figures": stage.figures})
        self.tracker.notify(str(stage))
        self._on_stage(stage)

    def _finish_episodes(self, name: str, start: float, episodes: Sequence[Episode]) -> None:
        self.finish_stage(f"episodes/{name}", start, {"return": mean(returns_by_task(episodes).values()) or 0.0})
