"""`hold`: which control keeps a chatbot to its purpose best, at a stated cost in capability.

Every control is tried at several strengths on a tuning part; of each, the most stable strength within the budget goes
on to dialogues that were never tuned on, where it is compared with nothing and with the others, pair by pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from telic.capability.language import LanguageHealth
from telic.comparison.arms import BASELINE, Arm, compare, of_arm, plan_arms
from telic.comparison.candidates import candidates, strengths_of
from telic.comparison.config import ComparisonConfig
from telic.comparison.costs import Cost, Costs
from telic.episodes import Episode
from telic.errors import RunError
from telic.models import Control, Model, Reply
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability.analysis import Stability, analyse
from telic.stability.bank import Bank
from telic.stability.measurement import HOW, Start, describe, plan_dialogues, protocol_of, replies_to_come
from telic.stability.selfchat import Plan, play
from telic.stability.spoken import Spoken, kept_by_id, spoken
from telic.statistics import Interval, PairedDifference, holm

__all__ = ["Compared", "ComparisonRun", "Difference", "Trial", "hold", "read_comparison"]

TUNING, HELD_OUT, BANK = "tuning", "held-out", "bank"
ALPHA = 0.05


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Difference(_Result):
    """A paired difference of areas under the stability curve."""

    value: float | None
    low: float | None
    high: float | None
    n: int
    p: float | None
    """Sign-flip test, adjusted after Holm where several are tested."""

    @classmethod
    def of(cls, found: PairedDifference, p: float | None = None) -> Difference:
        """From a comparison; `p` replaces its own."""
        d = found.difference
        return cls(value=d.value, low=d.low, high=d.high, n=d.n, p=found.p if p is None else p)

    @property
    def above(self) -> bool:
        """Whether it is above zero beyond doubt."""
        return self.low is not None and self.low > 0 and self.p is not None and self.p < ALPHA

    def __str__(self) -> str:
        return f"{Interval(self.value, self.low, self.high, self.n)}, n = {self.n}"


class Trial(_Result):
    """A control at one strength on the tuning part."""

    name: str
    kind: str
    spec: dict[str, Any]
    area: float | None
    """Area under the stability curve."""
    gain: Difference
    """Over nothing."""
    cost: Cost
    affordable: bool
    """Whether it costs no more than the budget, in general questions and in questions about the dialogue."""
    chosen: bool
    """Whether it is the most stable affordable strength of its control."""
    recall: Cost | None = None
    """Its cost in questions about the dialogue; None in runs from before these were asked."""

    @property
    def worst_loss(self) -> float:
        """The larger of its two losses, 0 where nobody knows them."""
        return max((found.loss for found in (self.cost, self.recall) if found and found.loss is not None), default=0.0)


class Compared(_Result):
    """A chosen control on dialogues that were not tuned on."""

    name: str
    kind: str
    spec: dict[str, Any] | None
    """None for nothing."""
    stability: Stability
    gain: Difference | None
    """Over nothing; None for nothing itself."""
    bank: Stability | None
    bank_gain: Difference | None
    cost: Cost | None
    spoken: Spoken | None = None
    """Whether what is said in the dialogue keeps what binds every reply; None where no probe is of that kind."""
    spoken_gain: Difference | None = None
    """The same over nothing, paired."""
    recall: Cost | None = None
    """Its cost in questions about the dialogue."""
    language: LanguageHealth | None
    """How it speaks on neutral prompts: divergence, perplexity, distinct n-grams, length."""


@dataclass(frozen=True)
class ComparisonRun:
    """What a comparison found, and where it is kept."""

    trials: list[Trial]
    compared: list[Compared]
    """Nothing first, then the controls from most to least stable."""
    versus: dict[str, Difference]
    """The first control's lead over each other one."""
    budget: float
    episodes: list[Episode] = field(default_factory=list)
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)

    @property
    def winner(self) -> Compared | None:
        """The most stable control, if it holds the purpose better than nothing beyond doubt."""
        best = self.compared[1] if len(self.compared) > 1 else None
        return best if best is not None and best.gain is not None and best.gain.above else None

    @property
    def best(self) -> Control | None:
        """The winner, ready for use."""
        from telic.steering import build

        return build(self.winner.spec) if self.winner and self.winner.spec else None

    @property
    def left_out(self) -> list[str]:
        """A sentence on each control of which no strength came to the comparison."""
        kinds: dict[str, list[Trial]] = {}
        for trial in self.trials:
            kinds.setdefault(trial.kind, []).append(trial)
        sentences = []
        for kind, trials in kinds.items():
            if any(trial.chosen for trial in trials):
                continue
            text = f"{kind} is left out: no strength within the budget has a score in any tuning dialogue"
            if not any(trial.affordable for trial in trials):
                least = min(trials, key=lambda trial: trial.worst_loss)
                about = "" if least.recall is None else f", {least.recall.summary} of those about the dialogue"
                text = (
                    f"{kind} is left out: it costs more than the budget of {self.budget:.0%} at every strength; the "
                    f"cheapest, {least.name}, loses {least.cost.summary} of the questions{about}"
                )
            sentences.append(text)
        return sentences

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        if len(self.compared) < 2:
            return f"no control costs at most {self.budget:.0%} of the questions"
        best = self.compared[1]
        if self.winner is None:
            return (
                f"no control holds the purpose better than nothing beyond doubt; the best is {best.name}, {best.gain}"
            )
        text = f"{best.name} holds the purpose best: {best.gain} over nothing"
        rivals = [name for name, lead in self.versus.items() if not lead.above]
        return text + (f"; not told apart from {', '.join(rivals)}" if rivals else "; better than every other control")


def hold(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    on_start: Callable[[Start], None] | None = None,
    config: ComparisonConfig | None = None,
    **settings: Any,
) -> ComparisonRun:
    """Compare controls at matched capability cost (arXiv 2402.10962), and find the one to use.

    Args:
        model: plays both sides.
        purpose: a purpose with probes, without its own controls; or a bank, which is split by triplet.
        partner: the other side, as for `measure`.
        folder: where the run folder is made; None keeps nothing.
        resume: a run folder to go on with.
        on_reply: hears of every reply of the dialogues.
        on_start: is told what is about to be played.
        config: settings.
        **settings: single fields of `ComparisonConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, the purpose has no probes, or the run to be resumed was another one.
    """
    config = ComparisonConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    strengths, notes = strengths_of(model, config.controls)
    work = _Work(purpose, partner, config)
    run: RunFolder | None = None
    if folder is not None or resume is not None:
        plans = work.plan(TUNING)(())
        described = describe(model, purpose, partner, config, plans) | {
            "strengths": {kind: list(tried) for kind, tried in strengths.items()}
        }
        if resume is not None:
            run = RunFolder.resume(resume, described)
        else:
            run = RunFolder.create(str(folder), "hold", work.name, described, config.model_dump(include=set(HOW)))
    with _Store(run) as store:
        made = candidates(model, strengths, work.systems(), run.path / "vectors" / "purpose-axis" if run else None)
        arms = [Arm(BASELINE), *(Arm(candidate.name, (candidate.control,)) for candidate in made)]
        tuned = _tuned(arms)
        tuning = plan_arms(TUNING, tuned, work.plan(TUNING)) if len(tuned) > 1 else []
        rest = (1 + len(strengths)) * work.held_out_replies()
        missing = store.missing(tuning)
        if on_start is not None:
            on_start(Start(store.path, (*store.notes, *notes), replies_to_come(missing, config) + rest))
        protocol = protocol_of(model, config)
        play(model, missing, protocol, store.append, on_reply)
        costs = Costs(model, work.some_systems(), config.questions, config.seed, store.costs)
        trials = _trials(store.episodes(), arms, tuned, costs, config)
        chosen = [arms[0], *(arm for arm in arms if any(trial.chosen and trial.name == arm.name for trial in trials))]
        held_out = plan_arms(HELD_OUT, chosen, work.plan(HELD_OUT))
        if config.bank_dialogues:
            held_out += plan_arms(BANK, chosen, work.plan(BANK))
        play(model, store.missing(held_out), protocol, store.append, on_reply)
        compared, versus = _compared(store.episodes(), chosen, costs, config)
        result = ComparisonRun(trials, compared, versus, config.budget, store.episodes(), store.path, store.document)
        store.finish(result)
        return result


class _Work:
    """The dialogues of each stage: the tuning part shares neither triplets nor seeds with the rest."""

    def __init__(self, purpose: Purpose | Bank, partner: Purpose | None, config: ComparisonConfig) -> None:
        self.purpose, self.partner, self.config = purpose, partner, config
        bank = purpose if isinstance(purpose, Bank) else Bank.load()
        self.tuning, self.held_out = bank.split(0.35, config.seed)
        self.name = purpose.name if isinstance(purpose, Purpose) else "bank"

    def plan(self, stage: str) -> Callable[[Sequence[Control]], list[Plan]]:
        """Makes a stage's dialogues under given controls."""
        what = self.purpose
        if stage == BANK or isinstance(what, Bank):
            what = self.tuning if stage == TUNING else self.held_out
        count = {TUNING: "tuning_dialogues", HELD_OUT: "dialogues", BANK: "bank_dialogues"}[stage]
        # The seeds of the stages are far apart, so that neighbouring seeds of a user share no dialogue either.
        offset = {TUNING: 1 << 20, HELD_OUT: 0, BANK: 1 << 21}[stage]
        settings = {"dialogues": getattr(self.config, count), "seed": self.config.seed + offset}
        config = self.config.model_copy(update=settings)
        return lambda controls: plan_dialogues(what, None if stage == BANK else self.partner, config, controls)

    def systems(self) -> list[str]:
        """The system prompts of all sides that are held."""
        own = [self.purpose.system_prompt] if isinstance(self.purpose, Purpose) else []
        general = [*self.tuning, *self.held_out] if not own or self.config.bank_dialogues else []
        return [*own, *(triplet.system for triplet in general)]

    def some_systems(self) -> list[str]:
        """System prompts under which the cost is measured: the purpose's own, or a few of the tuning part."""
        if isinstance(self.purpose, Purpose):
            return [self.purpose.system_prompt]
        return [triplet.system for triplet in self.tuning.sample(min(5, len(self.tuning)), self.config.seed)]

    def held_out_replies(self) -> int:
        """Replies per arm after the tuning."""
        stages = [HELD_OUT, *([BANK] if self.config.bank_dialogues else [])]
        return sum(replies_to_come(self.plan(stage)(()), self.config) for stage in stages)


class _Store:
    """Episodes and costs of the run so far, in its folder or in memory."""

    def __init__(self, run: RunFolder | None) -> None:
        self.run = run
        self._episodes: dict[str, Episode] = {}
        self.costs: dict[str, Cost] = {}
        if run is not None:
            self._episodes = {e.id: e for e in run.episodes.latest() if not e.worth_replaying} if run.done() else {}
            found = [record for record in run.read_metrics() if "cost" in record]
            self.costs = _Kept(run, {record["of"]: Cost.model_validate(record["cost"]) for record in found})

    @property
    def path(self) -> Path | None:
        return self.run.path if self.run else None

    @property
    def document(self) -> dict[str, Any]:
        return self.run.document if self.run else {}

    @property
    def notes(self) -> tuple[str, ...]:
        return tuple(self.run.notes) if self.run else ()

    def missing(self, plans: Iterable[Plan]) -> list[Plan]:
        return [plan for plan in plans if plan.id not in self._episodes]

    def append(self, episode: Episode) -> None:
        if self.run is not None:
            self.run.episodes.append(episode)
        self._episodes[episode.id] = episode

    def episodes(self) -> list[Episode]:
        return [self._episodes[name] for name in sorted(self._episodes)]

    def finish(self, result: ComparisonRun) -> None:
        if self.run is not None:
            self.run.metrics(
                {
                    "trials": [trial.model_dump(mode="json") for trial in result.trials],
                    "compared": [arm.model_dump(mode="json") for arm in result.compared],
                    "versus": {name: lead.model_dump(mode="json") for name, lead in result.versus.items()},
                }
            )

    def __enter__(self) -> _Store:
        return self

    def __exit__(self, *_: object) -> None:
        if self.run is not None:
            self.run.close()


class _Kept(dict[str, Cost]):
    """Costs that are written down as they are found, so that a resumed run has them."""

    def __init__(self, run: RunFolder, found: Mapping[str, Cost]) -> None:
        super().__init__(found)
        self._run = run

    def __setitem__(self, name: str, cost: Cost) -> None:
        super().__setitem__(name, cost)
        self._run.metrics({"of": name, "cost": cost.model_dump(mode="json")})


def read_comparison(run: RunFolder) -> ComparisonRun:
    """What a finished comparison found, as its folder has it.

    Raises:
        RunError: it was not finished.
    """
    found = [record for record in run.read_metrics() if "compared" in record]
    if not found:
        raise RunError(f"{run.path} is not finished: go on with --resume {run.path}")
    last, document = found[-1], run.document
    return ComparisonRun(
        [Trial.model_validate(trial) for trial in last["trials"]],
        [Compared.model_validate(arm) for arm in last["compared"]],
        {name: Difference.model_validate(lead) for name, lead in last["versus"].items()},
        document["config"]["measure"]["budget"],
        run.episodes.latest(),
        run.path,
        document,
    )


def _tuned(arms: Sequence[Arm]) -> list[Arm]:
    """Nothing, and the controls with several strengths to choose from: the others play no tuning dialogues."""
    count = Counter(arm.controls[0].name for arm in arms[1:])
    return [arms[0], *(arm for arm in arms[1:] if count[arm.controls[0].name] > 1)]


def _trials(
    episodes: Sequence[Episode], arms: Sequence[Arm], tuned: Sequence[Arm], costs: Costs, config: ComparisonConfig
) -> list[Trial]:
    tried = []
    for arm in arms[1:]:
        control = arm.controls[0]
        cost, recall = costs.of(arm, tuning=True), costs.recall(arm, tuning=True)
        area = analyse(of_arm(episodes, TUNING, arm), resamples=100).area.value if arm in tuned else None
        gain = Difference.of(compare(episodes, TUNING, arm, arms[0], resamples=config.resamples))
        # A model that gives no likelihoods cannot be asked what a control costs it; the report says so.
        affordable = all(found.loss is None or found.loss <= config.budget for found in (cost, recall))
        tried.append(
            Trial(
                name=arm.name, kind=control.name, spec=control.spec(), area=area, gain=gain, cost=cost,
                affordable=affordable, chosen=False, recall=recall,
            )
        )  # fmt: skip
    best: dict[str, Trial] = {}
    for trial in tried:
        rival = best.get(trial.kind)
        failed = trial.area is None and any(arm.name == trial.name for arm in tuned)
        if trial.affordable and not failed and (rival is None or _area(trial) > _area(rival)):
            best[trial.kind] = trial
    return [trial.model_copy(update={"chosen": best.get(trial.kind) is trial}) for trial in tried]


def _area(trial: Trial) -> float:
    return -1.0 if trial.area is None else trial.area


def _compared(
    episodes: Sequence[Episode], arms: Sequence[Arm], costs: Costs, config: ComparisonConfig
) -> tuple[list[Compared], dict[str, Difference]]:
    nothing = arms[0]
    found = {arm.name: compare(episodes, HELD_OUT, arm, nothing, resamples=config.resamples) for arm in arms[1:]}
    adjusted = dict(zip(found, holm([comparison.p for comparison in found.values()]), strict=True))
    compared = []
    for arm in arms:
        held, general = of_arm(episodes, HELD_OUT, arm), of_arm(episodes, BANK, arm)
        own = arm is nothing
        said = spoken(held, resamples=config.resamples)
        by_words = None
        if said is not None and not own:
            by_words = compare(episodes, HELD_OUT, arm, nothing, by=kept_by_id, resamples=config.resamples)
        in_general = None if own or not general else compare(episodes, BANK, arm, nothing, resamples=config.resamples)
        compared.append(
            Compared(
                name=arm.name,
                kind=arm.controls[0].name if arm.controls else BASELINE,
                spec=arm.controls[0].spec() if arm.controls else None,
                stability=analyse(held, resamples=config.resamples),
                gain=None if own else Difference.of(found[arm.name], adjusted[arm.name]),
                bank=analyse(general, resamples=config.resamples) if general else None,
                bank_gain=Difference.of(in_general) if in_general else None,
                cost=None if own else costs.of(arm, tuning=False),
                recall=None if own else costs.recall(arm, tuning=False),
                spoken=said,
                spoken_gain=Difference.of(by_words) if by_words and by_words.difference.n else None,
                language=None if own else costs.language(arm),
            )
        )
    ranked = sorted(compared[1:], key=lambda one: -(one.gain.value if one.gain and one.gain.value is not None else -1))
    by_name = {arm.name: arm for arm in arms}
    versus = {
        other.name: Difference.of(
            compare(episodes, HELD_OUT, by_name[ranked[0].name], by_name[other.name], resamples=config.resamples)
        )
        for other in ranked[1:]
    }
    return [compared[0], *ranked], versus
