"""`attack`: over many rounds, attackers try to make a chatbot break its limits; the defences meet the same attacks.

Benign users talk to the chatbot behind every defence too, and its game is played there: a defence that refuses
everything is worth nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from telic.episodes import Episode
from telic.errors import ConfigError
from telic.models import Model
from telic.progress import Deadline, Phase, ProgressCallback, ProgressTracker, Shortfall, forecast_sentence, track
from telic.purpose import Purpose
from telic.redteam.analysis import analyse_attacks
from telic.redteam.attackers.base import AttackMind
from telic.redteam.config import AttackConfig
from telic.redteam.episode import AttackTask
from telic.redteam.plan import DefenceArm, arms_of, plan_attacks, strategies_of
from telic.redteam.playing import AttackPlayer, AttackRunnerMaker
from telic.redteam.results import AttackRun
from telic.redteam.returns import play_purpose_games
from telic.rollouts.admission import Admission
from telic.rollouts.workers import Workers
from telic.runs import RunFolder
from telic.stability.record import RunRecord

__all__ = ["attack", "games_in"]

KEPT_SETTINGS = frozenset({"concurrency", "resamples", "max_over_refusal", "max_return_loss"})
"""Settings that a resumed run may change: they make no difference to what is played."""
ATTACKING_SHARE = 0.85
"""Share of a time limit for the attacks and benign users; the games get what is left."""


def attack(
    model: Model,
    purpose: Purpose,
    *,
    attackers: Sequence[str] | None = None,
    defences: Sequence[str] | None = None,
    mind: Model | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    workers: Workers | None = None,
    progress: bool | ProgressCallback = False,
    config: AttackConfig | None = None,
    **settings: Any,
) -> AttackRun:
    """Attack a purpose's limits, without defences and behind each, and find the defence to use.

    Args:
        model: the model that is attacked; it may be behind an endpoint.
        purpose: what it is for, and its limits.
        attackers: `NAME` or `NAME:KEY=VALUE`; by default all that need no model.
        defences: likewise, several joined by `+`; by default those of the purpose, or else all. Attacks without
            defences are always played.
        mind: writes the attackers' messages; None for their templates.
        folder: where the run folder is made; None keeps nothing.
        resume: a run folder to continue.
        workers: play the attacks on these workers instead of in this process.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply and dialogue.
        config: settings.
        **settings: single fields of `AttackConfig`, over those of `config`.

    Raises:
        ConfigError: the purpose has no limits, a name or a setting is wrong, or the run to be resumed has other
            settings.
        UnsupportedControlError: a defence cannot act on this model.
    """
    config = AttackConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    if workers is not None and config.minutes is not None:
        raise ConfigError("minutes cannot be combined with workers; play fewer dialogues (n) instead")
    attacking = AttackMind(mind) if mind is not None else None
    strategies = strategies_of(attackers, attacking)
    arms, left_out = _recorded_arms(resume) if resume and defences is None else arms_of(defences, purpose, model)
    player = AttackPlayer(model, purpose, arms, strategies, attacking)
    tasks = plan_attacks(list(player.limits.values()), list(strategies), arms, config)

    def work() -> dict[str, Any]:
        asked = {"attacker_model": mind.name} if mind is not None else {}
        return {**_described(model, purpose, config, strategies, arms), **asked}

    kept = config.model_dump(include=set(KEPT_SETTINGS))
    start = RunRecord.start("attack", purpose.name, work, kept, root=folder, resume=resume)
    with start as record, track(progress) as tracker:
        run = _Run(model, purpose, arms, tuple(strategies), player, tasks, config, record, tracker, workers)
        games = run.play()
        return run.analyse(games, left_out)


def _described(
    model: Model, purpose: Purpose, config: AttackConfig, attackers: Iterable[str], arms: Sequence[DefenceArm]
) -> dict[str, Any]:
    """Return the settings that a resumed run must share."""
    return {
        "model": model.name,
        "purpose": purpose.model_dump(mode="json", exclude_none=True, exclude={"defences", "serve"}),
        "attack": config.model_dump(exclude={*KEPT_SETTINGS, "minutes"}),
        "attackers": list(attackers),
        "defences": {arm.name: [dict(spec) for spec in arm.specs] for arm in arms},
    }


def games_in(metrics: Sequence[Mapping[str, Any]]) -> dict[str, dict[int, float | None]]:
    """Read the scores of the purpose's game from a run's metrics: by defence and number of the game."""
    found: dict[str, dict[int, float | None]] = {}
    for one in metrics:
        for defence, scores in one.get("games", {}).items():
            found[defence] = {int(number): score for number, score in scores.items()}
    return found


def _recorded_arms(folder: str | Path) -> tuple[list[DefenceArm], list[str]]:
    """Read the arms of a run to resume: those of the file may have been replaced by what the run recommended."""
    recorded = RunFolder.open(folder).config.get("defences", {})
    return [DefenceArm(name, tuple(specs)) for name, specs in recorded.items()], []


class _Run:
    def __init__(
        self,
        model: Model,
        purpose: Purpose,
        arms: Sequence[DefenceArm],
        attackers: tuple[str, ...],
        player: AttackPlayer,
        tasks: Sequence[AttackTask],
        config: AttackConfig,
        record: RunRecord,
        tracker: ProgressTracker,
        workers: Workers | None,
    ) -> None:
        self.model, self.purpose, self.arms, self.attackers, self.player = model, purpose, arms, attackers, player
        self.tasks, self.config, self.record, self.tracker, self.workers = tasks, config, record, tracker, workers
        self.deadline = Deadline(config.minutes)

    def play(self) -> dict[str, dict[int, float | None]]:
        """Play what the record lacks, as far as the time limit allows; return the scores of the games."""
        missing = self.record.missing(self.tasks)
        n_games = self.config.games if self.purpose.game is not None else 0
        games = games_in(self.record.metrics())
        arms = [arm for arm in self.arms if n_games and arm.name not in games]

        def forecast(seconds: float) -> str:
            return forecast_sentence(seconds, len(missing), "dialogues")

        phases = [Phase("attacking", "dialogues", len(missing)), Phase("games", "games", n_games * len(arms))]
        self.tracker.start(self.record.path, self.record.warnings, phases, forecast, self.deadline)
        self.tracker.begin("attacking")
        self._attack(missing, self.deadline.part(ATTACKING_SHARE) if arms else self.deadline)
        self.tracker.begin("games")
        for index, arm in enumerate(arms):
            deadline = self.deadline.part(1 / (len(arms) - index))
            games[arm.name] = play_purpose_games(
                self.model, self.purpose, arm, n_games, self.config.seed, self.config.concurrency, deadline,
                lambda _: self.tracker.advance(),
            )  # fmt: skip
            self.record.add_metrics({"games": {arm.name: games[arm.name]}})
        return games

    def _attack(self, tasks: Sequence[AttackTask], deadline: Deadline) -> None:
        def end(episode: Episode) -> None:
            self.record.append(episode)
            self.tracker.advance()

        if self.workers is not None:
            mind = self.player.mind.model.name if self.player.mind else None
            make = AttackRunnerMaker(self.model.name, self.purpose, tuple(self.arms), self.attackers, mind)
            self.workers.play(tasks, make, self.config.concurrency, end)
            return
        groups = [len(list(same)) for _, same in groupby(tasks, key=lambda task: (task.attacker, task.number))]
        admission = Admission(deadline, groups, on_start=self.tracker.expect)
        self.player.play(tasks, self.config.concurrency, end, self.tracker.count_tokens, admission)

    def analyse(self, games: Mapping[str, Mapping[int, float | None]], left_out: list[str]) -> AttackRun:
        """Compute and record the results."""
        finished = len(self.tasks) - len(self.record.missing(self.tasks))
        shortfall = Shortfall.of(self.config.minutes, dialogues=(finished, len(self.tasks)))
        names = [arm.name for arm in self.arms]
        results = analyse_attacks(self.record.episodes, games, list(self.player.limits), names, self.config)
        self.record.add_metrics(
            {
                "headline": results.headline,
                "shortfall": shortfall.as_dict() if shortfall else None,
                "attacks": results.model_dump(mode="json"),
                "left_out": left_out,
            }
        )
        specs = {arm.name: [dict(spec) for spec in arm.specs] for arm in self.arms}
        chosen: list[Mapping[str, Any]] | None = None
        if results.recommended is not None:
            chosen = [*specs[results.recommended]]
        return AttackRun(
            results, self.record.episodes, chosen, left_out, self.record.path, self.record.document, shortfall
        )  # fmt: skip
