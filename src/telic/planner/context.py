"""What the stages of a training share: episodes to learn from, cloning that is not done twice, a word on each stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from telic.agents.agent import controls_of
from telic.agents.model_player import ModelPlayer
from telic.agents.player import Player
from telic.agents.scripted import TalkingPlayer
from telic.dialogue import Dialogue, Message
from telic.episodes import Episode
from telic.games.base import build_game
from telic.models import Control, Reply
from telic.models.local import LocalModel
from telic.planner.cloning import CloneConfig, clone
from telic.planner.config import TrainConfig
from telic.planner.control import PlannerControl
from telic.planner.dialogue_acts import ActSet, Reciter
from telic.planner.evaluation import returns_by_task
from telic.planner.experience import Experience, utterances
from telic.planner.gradient import Example
from telic.planner.planner import Planner
from telic.planner.saving import from_pretrained, save_pretrained
from telic.purpose import Purpose
from telic.rollouts.play import play
from telic.rollouts.record import agent_role
from telic.runs import RunFolder
from telic.statistics import mean

__all__ = ["Stage", "TrainingContext"]

SHIFTS = 64
"""Collections of one part that have scenarios of their own."""
PARTS = {"train": 0, "validation": 1, "held-out": 2}
"""Seeds of the parts, beside the user's: no two parts share a scenario, whether or not the game has a split."""


@dataclass(frozen=True)
class Stage:
    """What has just been done."""

    name: str
    seconds: float
    figures: dict[str, float]


class TrainingContext:
    """A model, a purpose with a game, and a run folder.

    Args:
        model: frozen.
        purpose: with a game; its own planner, if it has one, does not act.
        config: settings.
        run: where everything is kept.
        on_stage: is told of every stage as it ends.
        on_reply: hears of every reply.
    """

    def __init__(
        self,
        model: LocalModel,
        purpose: Purpose,
        config: TrainConfig,
        run: RunFolder,
        on_stage: Callable[[Stage], None] | None,
        on_reply: Callable[[Reply], None] | None,
    ) -> None:
        self.model, self.config, self.folder, self.run = model, config, run.path, run
        self.purpose = purpose.model_copy(update={"planner": None})
        self.game = dict(purpose.game or {})
        self._tell: Callable[[Stage], None] = on_stage or (lambda _: None)
        self._on_reply = on_reply

    @property
    def unsteered(self) -> PlannerControl:
        """Changes nothing; but the states are kept."""
        return Planner.new(self.model, tokens=0, action_size=1, seed=self.config.seed).control()

    def player(self, controls: Sequence[Control], name: str) -> ModelPlayer:
        """Who plays the role under test, with these controls beside the purpose's own."""
        drawn: dict[str, Any] = {"max_new_tokens": self.config.max_new_tokens, "temperature": self.config.temperature}
        return ModelPlayer(self.model, self.purpose, [*controls_of(self.purpose), *controls], name=name, **drawn)

    def spec_of(self, part: str) -> dict[str, Any]:
        """The game's table for a part: a game with a split of its own keeps held-out scenarios apart by that too."""
        if "split" not in self.game and build_game(self.game).has_held_out:
            return {**self.game, "split": "test" if part == "held-out" else "train"}
        return self.game

    def episodes(self, what: str, part: str, player: Player, n: int, shift: int = 0) -> list[Episode]:
        """Play, or read what was played; the seed follows from the part alone, so that arms play the same."""
        spec, home = self.spec_of(part), self.folder / "episodes" / what
        game = build_game(spec)
        agent = agent_role(game)
        players = {"agent": player}
        if any(not game.played_by_rules(role) for role in game.roles if role != agent):
            players["partner"] = ModelPlayer(self.model, name="partner")
        begun = next(iter(sorted(home.glob("play-*"))), None)
        seed = (self.config.seed * len(PARTS) + PARTS[part]) * SHIFTS + shift
        where: dict[str, Any] = {"folder": home} if begun is None else {"resume": begun}
        run = play(
            spec, players, n, seed, references=False, concurrency=self.config.concurrency, on_reply=self._on_reply,
            **where,
        )  # fmt: skip
        return run.episodes

    def experience(self, what: str, control: Control, n: int, *, shift: int = 0) -> Experience:
        """Play the training part; every shift has other scenarios of it."""
        begun, player = time.monotonic(), self.player([control], what)
        episodes = self.episodes(what, "train", player, n, shift)
        found = Experience.of(episodes, self.spec_of("train"), player)
        self.done(f"episodes/{what}", begun, {"return": mean(returns_by_task(episodes).values()) or 0.0})
        # Collections number their episodes alike, and are put together to learn from.
        names = tuple(f"{what}/{name}" for name in found.transitions.episodes)
        return replace(found, transitions=replace(found.transitions, episodes=names))

    def reciter(self, acts: ActSet) -> TalkingPlayer:
        """Who says the acts as they are written, by chance."""
        return TalkingPlayer("reciter", partial(Reciter, acts))

    def rehearsal(self, acts: ActSet, n: int) -> list[tuple[Message, ...]]:
        """What the model is told before each turn of episodes in which the acts are recited.

        Every other time without the game's instructions: as `chat` and `serve` tell it, the purpose alone.
        """
        what, begun = "rehearsal", time.monotonic()
        episodes = self.episodes(what, "train", self.reciter(acts), n)
        self.done(f"episodes/{what}", begun, {"return": mean(returns_by_task(episodes).values()) or 0.0})
        spec, player = self.spec_of("train"), self.player([], what)
        told = [said.messages for episode in episodes for said in utterances(episode, spec, player)]
        own = self.purpose.system_prompt or None
        return [
            tuple(Dialogue(messages[1:]).with_system(own)) if place % 2 and messages[0].role == "system" else messages
            for place, messages in enumerate(told)
        ]

    def clone(
        self, name: str, planner: Planner, examples: Sequence[Example], weights: Any = None, *, soft: bool = False
    ) -> Planner:
        """Clone utterances into a planner; softly, it is to leave the model as it is."""

        def learn() -> tuple[Planner, dict[str, float]]:
            config = self.config
            how = CloneConfig(epochs=config.clone_epochs, lr=config.clone_lr, soft=soft, seed=config.seed)
            found = clone(planner, self.model, examples, weights, how, folder=self.folder / name / "state")
            losses = {"first": found.losses[0], "last": found.losses[-1]}
            return planner, {"examples": found.examples, "steps": found.steps, **losses}

        return self.once(name, learn)

    def once(self, name: str, learn: Callable[[], tuple[Planner, dict[str, float]]]) -> Planner:
        """Make a planner and save it, or take the one that was saved when that was done before.

        Args:
            name: of the stage, and of its folder.
            learn: returns the planner, and figures to tell.
        """
        home, begun = self.folder / name, time.monotonic()
        if (home / "config.json").is_file():
            return from_pretrained(home, model=self.model)
        planner, figures = learn()
        save_pretrained(planner, home, model=self.model)
        self.done(name, begun, figures)
        return planner

    def done(self, name: str, begun: float, figures: dict[str, float]) -> None:
        """Write down and tell what a stage came to; `begun` is when, in monotonic seconds."""
        stage = Stage(name, time.monotonic() - begun, dict(figures))
        self.run.metrics({"stage": stage.name, "seconds": stage.seconds, "figures": stage.figures})
        self._tell(stage)
