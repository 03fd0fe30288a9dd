"""`train`: from a purpose with a game to a planner that plays it better, judged on scenarios that it never saw.

Each stage writes into the run's folder and is not done again by a resumed run:

    episodes/natural         the unsteered model plays; its states are kept
    self-clone               a planner that changes nothing: the start, and a check of the machinery
    advantage-1, -2, ...     what did better than usual is cloned, from episodes of the planner before
    td3bc                    perturbed actions are played, and TD3+BC learns what to add to the last clone
    episodes/held-out-*      the best of these on validation episodes against its rivals
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from telic.agents.agent import controls_of
from telic.agents.player import ModelPlayer, Player
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.games.base import Game, build
from telic.models import Control, Model, Reply
from telic.models.local import LocalModel
from telic.planner.acts import distil
from telic.planner.cloning import CloneConfig, clone
from telic.planner.config import PROMPTS, TrainConfig
from telic.planner.evaluation import Judged, judge_arms, returns_by_task
from telic.planner.experience import Experience
from telic.planner.planner import Planner
from telic.planner.saving import from_pretrained, save_pretrained
from telic.planner.td3bc import TD3BC, TD3BCConfig
from telic.purpose import Purpose
from telic.rollouts.play import play
from telic.rollouts.record import agent_role, by_rules
from telic.runs import RunFolder
from telic.statistics import mean
from telic.steering.prompt import Prompt

__all__ = ["Stage", "TrainRun", "train"]

NATURAL, SELF_CLONE, CONSTANT, TD3 = "natural", "self-clone", "constant", "td3bc"
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


@dataclass(frozen=True)
class TrainRun:
    """A trained planner, and how it was judged."""

    planner: Planner
    stage: str
    """The stage that it is of."""
    path: Path
    """Where it is saved."""
    validation: dict[str, float]
    """Mean return of each stage on the validation episodes."""
    judged: list[Judged]
    """The unsteered model, the planner, and its rivals, on held-out scenarios."""
    folder: Path
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def better(self) -> bool:
        """Whether it plays better than the unsteered model beyond doubt."""
        gain = self._arm.gain
        return gain is not None and gain.low is not None and gain.low > 0

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        base, own = self.judged[0], self._arm
        verdict = "better than" if self.better else "not shown to be better than"
        return (
            f"the planner ({self.stage}) returns {own.returns} an episode, {verdict} the unsteered model's "
            f"{base.returns}; gain {own.gain}, n = {own.returns.n}"
        )

    @property
    def _arm(self) -> Judged:
        return next(arm for arm in self.judged if arm.name == "planner")


def train(
    model: Model,
    purpose: Purpose,
    *,
    folder: str | Path = "runs",
    resume: str | Path | None = None,
    on_start: Callable[[Path], None] | None = None,
    on_stage: Callable[[Stage], None] | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    config: TrainConfig | None = None,
    **settings: Any,
) -> TrainRun:
    """Train a planner of dialogue action tokens (arXiv 2406.11978) for a purpose's game, and judge it.

    Args:
        model: frozen; a local one.
        purpose: with a game. Its controls act as well, its planner does not.
        folder: where the run folder is made.
        resume: a run folder to go on with.
        on_start: is told the run folder.
        on_stage: is told of every stage as it ends.
        on_reply: hears of every reply.
        config: settings.
        **settings: single fields of `TrainConfig`, over those of `config`.

    Raises:
        ConfigError: the purpose has no game, the model is no local one, or the run to be resumed was another one.
        DataError: nothing that was said earned more than is usual: there is nothing to learn from.
    """
    config = TrainConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    if not isinstance(model, LocalModel):
        raise ConfigError(f"model {model.name!r} does not run in this process, so that its gradient cannot be had")
    if purpose.game is None:
        raise ConfigError(
            f"purpose {purpose.name!r} has no game, which says what success is; add one, such as: [game] name = "
            '"elicitation"'
        )
    described = {
        "model": model.name,
        "purpose": purpose.model_dump(mode="json", exclude_none=True, exclude={"planner"}),
        "train": config.model_dump(mode="json", exclude={"concurrency"}, exclude_none=True),
    }
    if resume is not None:
        run = RunFolder.resume(resume, described)
    else:
        run = RunFolder.create(folder, "train", purpose.name, described, {"concurrency": config.concurrency})
    if on_start is not None:
        on_start(run.path)
    with run:
        return _Training(model, purpose, config, run, on_stage, on_reply).run()


class _Training:
    def __init__(
        self,
        model: LocalModel,
        purpose: Purpose,
        config: TrainConfig,
        run: RunFolder,
        on_stage: Callable[[Stage], None] | None,
        on_reply: Callable[[Reply], None] | None,
    ) -> None:
        self.model, self.config, self.folder, self._run = model, config, run.path, run
        self.purpose = purpose.model_copy(update={"planner": None})
        self.spec = dict(purpose.game or {})
        self._tell: Callable[[Stage], None] = on_stage or (lambda _: None)
        self._on_reply = on_reply

    def run(self) -> TrainRun:
        """All stages, then the choice, then the judgement."""
        config = self.config
        unsteered = Planner.new(self.model, tokens=0, action_size=1, seed=config.seed)
        natural = self._experience(NATURAL, unsteered)
        # A check and no gain, so that a quarter of the utterances will do.
        stages = {SELF_CLONE: self._clone(SELF_CLONE, self._new(), natural.examples[::4], None)}
        latest, known = stages[SELF_CLONE], [natural]
        for number in range(1, config.rounds_of_cloning + 1):
            if number > 1:
                known.append(self._experience(f"advantage-{number - 1}", latest, shift=number - 1))
            latest = stages[f"advantage-{number}"] = self._improve(f"advantage-{number}", self._new(), known[-1:])
        if config.rl_steps:
            stages[TD3] = self._reinforce(latest)
        validation = {name: self._validated(name, planner) for name, planner in stages.items()}
        chosen = max((name for name in stages if name != SELF_CLONE), key=lambda name: validation[name])
        constant = self._improve(CONSTANT, self._new(reads="nothing"), [natural]) if config.baselines else None
        judged = self._judge(unsteered, stages[SELF_CLONE], constant, stages[chosen])
        path = self.folder / "planner"
        figures = {arm.name: str(arm.returns) for arm in judged}
        note = f"Trained on the game `{self.spec['name']}`; returns of {config.held_out} held-out episodes:"
        save_pretrained(stages[chosen], path, model=self.model, figures=figures, note=note)
        self._run.metrics(
            {"chosen": chosen, "validation": validation, "judged": [arm.model_dump(mode="json") for arm in judged]}
        )
        return TrainRun(stages[chosen], chosen, path, validation, judged, self.folder, self._run.document)

    def _new(self, **options: Any) -> Planner:
        """An untrained planner, its acts distilled once."""
        config = self.config
        if config.mapping == "acts":
            home = self.folder / "acts"
            if not (home / "config.json").is_file():
                acts = distil(self.model, tokens=config.tokens, config=CloneConfig(seed=config.seed))
                save_pretrained(Planner.new(self.model, acts=acts, seed=config.seed), home, model=self.model)
            if not options:
                return from_pretrained(home, model=self.model)
        made: dict[str, Any] = {"tokens": config.tokens, "action_size": config.action_size, "seed": config.seed}
        return Planner.new(self.model, **made, **options)

    # --- Episodes ---

    def _player(self, controls: Sequence[Control], name: str) -> ModelPlayer:
        own = controls_of(self.purpose)
        drawn: dict[str, Any] = {"max_new_tokens": self.config.max_new_tokens, "temperature": self.config.temperature}
        return ModelPlayer(self.model, self.purpose, [*own, *controls], name=name, **drawn)

    def _episodes(self, what: str, part: str, controls: Sequence[Control], n: int, shift: int = 0) -> list[Episode]:
        """Play, or read what was played; the seed follows from the part alone, so that arms play the same."""
        spec, home = self._spec_of(part), self.folder / "episodes" / what
        game = build(spec)
        agent = agent_role(game)
        players: dict[str, Player] = {"agent": self._player(controls, what)}
        if any(not by_rules(game, role) for role in game.roles if role != agent):
            players["partner"] = ModelPlayer(self.model, name="partner")
        begun = next(iter(sorted(home.glob("play-*"))), None)
        seed = (self.config.seed * len(PARTS) + PARTS[part]) * SHIFTS + shift
        where: dict[str, Any] = {"folder": home} if begun is None else {"resume": begun}
        run = play(
            spec, players, n, seed, references=False, concurrency=self.config.concurrency, on_reply=self._on_reply,
            **where,
        )  # fmt: skip
        return run.episodes

    def _spec_of(self, part: str) -> dict[str, Any]:
        """The game's table for a part: a game with a split of its own keeps held-out scenarios apart by that too."""
        game: Game = build(self.spec)
        if "split" not in self.spec and hasattr(game, "split"):
            return {**self.spec, "split": "test" if part == "held-out" else "train"}
        return self.spec

    def _experience(self, what: str, planner: Planner, sigma: float = 0.0, *, shift: int = 0) -> Experience:
        """Play the training part, each time other scenarios of it."""
        begun, control = time.monotonic(), planner.control(sigma)
        episodes = self._episodes(what, "train", [control], self.config.episodes, shift)
        found = Experience.of(episodes, self._spec_of("train"), self._player([control], what))
        self._done(f"episodes/{what}", begun, {"return": mean(returns_by_task(episodes).values()) or 0.0})
        return found

    # --- Stages ---

    def _clone(self, name: str, planner: Planner, examples: Sequence[Any], weights: Any) -> Planner:
        """Clone utterances into a planner, unless that was done before."""
        home, begun, config = self.folder / name, time.monotonic(), self.config
        if (home / "config.json").is_file():
            return from_pretrained(home, model=self.model)
        how = CloneConfig(epochs=config.clone_epochs, lr=config.clone_lr, seed=config.seed)
        found = clone(planner, self.model, examples, weights, how, folder=home / "state")
        save_pretrained(planner, home, model=self.model)
        figures = {"examples": found.examples, "steps": found.steps, "first": found.losses[0], "last": found.losses[-1]}
        self._done(name, begun, figures)
        return planner

    def _improve(self, name: str, planner: Planner, known: Iterable[Experience]) -> Planner:
        """Clone what did better than usual."""
        examples: list[Any] = []
        weights: list[float] = []
        for experience in known:
            better, weighed = experience.weighed(
                self.config.gamma, self.config.beta, cut=self.config.cut_after_question
            )
            examples += better
            weights += weighed.tolist()
        return self._clone(name, planner, examples, weights)

    def _reinforce(self, planner: Planner) -> Planner:
        """Play with perturbed actions, and learn by TD3+BC what to add."""
        home, config = self.folder / TD3, self.config
        if (home / "config.json").is_file():
            return from_pretrained(home, model=self.model)
        explored = self._experience("explored", planner, config.sigma, shift=SHIFTS - 1)
        begun = time.monotonic()
        data = explored.transitions.with_clone(planner.policy.clone)
        learner = TD3BC(data, TD3BCConfig(alpha=config.alpha, gamma=config.gamma, seed=config.seed))
        told: dict[str, float] = {}
        for told in learner.learn(config.rl_steps):
            self._run.metrics({"td3bc": told})
        better = planner.with_residual(learner.actor, learner.standardise)
        save_pretrained(better, home, model=self.model)
        self._done(TD3, begun, told)
        return better

    # --- Judgement ---

    def _validated(self, name: str, planner: Planner) -> float:
        episodes = self._episodes(f"validation-{name}", "validation", [planner.control()], self.config.validation)
        return mean(returns_by_task(episodes).values()) or 0.0

    def _judge(
        self, unsteered: Planner, self_clone: Planner, constant: Planner | None, planner: Planner
    ) -> list[Judged]:
        begun, config = time.monotonic(), self.config
        arms: dict[str, list[Control]] = {"unsteered": [unsteered.control()], "planner": [planner.control()]}
        text = config.prompt or PROMPTS.get(self.spec["name"])
        if config.baselines:
            arms["self-clone"] = [self_clone.control()]
            if constant is not None:
                arms["constant prefix"] = [constant.control()]
            if text:
                arms["prompt"] = [Prompt(text=text)]
                arms["planner and prompt"] = [Prompt(text=text), planner.control()]
        played = {
            name: (
                self._player(controls, name),
                self._episodes(f"held-out-{name.replace(' ', '-')}", "held-out", controls, config.held_out),
            )
            for name, controls in arms.items()
        }
        judged = judge_arms(self.model, played, self._spec_of("held-out"), resamples=config.resamples, seed=config.seed)
        self._done("judgement", begun, {"arms": len(judged)})
        return judged

    def _done(self, name: str, begun: float, figures: dict[str, float]) -> None:
        stage = Stage(name, time.monotonic() - begun, dict(figures))
        self._run.metrics({"stage": stage.name, "seconds": stage.seconds, "figures": stage.figures})
        self._tell(stage)
