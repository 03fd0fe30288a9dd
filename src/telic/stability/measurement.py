"""`measure`: does a chatbot hold to its purpose? Self-chats, probes on branches, the stability curve."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from telic.agents.agent import controls_of
from telic.episodes import Episode
from telic.errors import ConfigError
from telic.judges import build_judge, prepare_judge
from telic.models import Control, Model, Reply, Request, Sampling
from telic.models.compatibility import refuse_unsupported
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability.analysis import Stability, analyse
from telic.stability.bank import Bank, Triplet, openers
from telic.stability.config import MeasureConfig
from telic.stability.selfchat import Plan, Probe, Protocol, Side, play
from telic.stability.spoken import Spoken, spoken

__all__ = ["HOW", "StabilityRun", "Start", "describe", "measure", "plan_dialogues", "protocol_of", "replies_to_come"]

HOW = frozenset({"concurrency", "resamples"})
"""Settings that a resumed run may change: they make no difference to what is played."""
_DRAWN = {"temperature": 1.0, "top_p": 0.9, "max_new_tokens": 100}
"""How utterances are drawn unless the settings or the purpose say otherwise (as in the paper, but shorter)."""


@dataclass(frozen=True)
class StabilityRun:
    """What a measurement found, and where it is kept."""

    stability: Stability
    episodes: list[Episode]
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`: what was asked for, and with which versions."""

    @property
    def spoken(self) -> Spoken | None:
        """Whether what is said in the dialogue keeps what binds every reply; None where no probe is of that kind."""
        return spoken(self.episodes, resamples=self.stability.resamples, seed=self.stability.seed)

    @property
    def curve(self) -> Any:
        """Points of the stability curve: round, stability, low, high, n, ..."""
        return self.stability.curve


@dataclass(frozen=True)
class Start:
    """What a measurement is about to play."""

    folder: Path | None
    """The run folder, if one is kept."""
    notes: tuple[str, ...]
    """What is to be known of a resumed run."""
    replies: int
    """Replies that will be generated, if no dialogue ends early."""


def measure(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | None = None,
    controls: Sequence[Control] | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    on_start: Callable[[Start], None] | None = None,
    config: MeasureConfig | None = None,
    **settings: Any,
) -> StabilityRun:
    """Measure instruction stability over rounds (arXiv 2402.10962).

    Args:
        model: plays both sides, whatever `model` the purposes name.
        purpose: a purpose, whose own probes are asked and which answers in the dialogue; or a bank, from which both
            sides are drawn and both are probed.
        partner: the other side; it opens, and its probes are asked too, if it has any. By default the purpose's own
            `partner`, or one drawn from the bank for each dialogue.
        controls: what holds the purpose in place; by default the purpose's own. With a bank, on both sides.
        folder: where the run folder is made; None keeps nothing.
        resume: a run folder to go on with.
        on_reply: hears of every reply (perhaps from another thread, where the model is remote).
        on_start: is told what is about to be played.
        config: settings.
        **settings: single fields of `MeasureConfig`, over those of `config`.

    Raises:
        ConfigError: a setting is wrong, the purpose has no probes, a judge or a control is wrong, or the run to be
            resumed was another one.
        UnsupportedControlError: a control cannot act on this model.
    """
    config = MeasureConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    plans = plan_dialogues(purpose, partner, config, controls)
    protocol = protocol_of(model, config)
    _refuse_early(model, plans)
    tell = on_start or _ignore
    if folder is None and resume is None:
        episodes: list[Episode] = []
        tell(Start(None, (), replies_to_come(plans, config)))
        play(model, plans, protocol, episodes.append, on_reply)
        return StabilityRun(analyse(_ordered(episodes), resamples=config.resamples), _ordered(episodes))
    work = describe(model, purpose, partner, config, plans)
    how = config.model_dump(include=set(HOW))
    if resume is not None:
        run = RunFolder.resume(resume, work)
    else:
        run = RunFolder.create(str(folder), "measure", _name(purpose), work, how)
    with run:
        done = run.done()
        missing = [plan for plan in plans if plan.id not in done]
        tell(Start(run.path, tuple(run.notes), replies_to_come(missing, config)))
        play(model, missing, protocol, run.episodes.append, on_reply)
        episodes = run.episodes.latest()
        stability = analyse(episodes, resamples=config.resamples)
        run.metrics({"stability": stability.model_dump(mode="json")})
        return StabilityRun(stability, episodes, run.path, run.document)


def plan_dialogues(
    purpose: Purpose | Bank,
    partner: Purpose | None,
    config: MeasureConfig,
    controls: Sequence[Control] | None = None,
) -> list[Plan]:
    """Who talks to whom about what, with which seeds: a function of the configuration only.

    Raises:
        ConfigError: the purpose has no probes, or a judge or a control is wrong.
    """
    draw = random.Random(config.seed)
    topics = purpose.openers if isinstance(purpose, Purpose) and purpose.openers else openers()
    order = [topic for _ in range(-(-config.dialogues // len(topics))) for topic in draw.sample(topics, len(topics))]
    if isinstance(purpose, Bank):
        pairs = [
            (_triplet_side(a, config, controls or ()), _triplet_side(b, config, controls or ()))
            for a, b in purpose.pairs(config.dialogues, config.seed)
        ]
    else:
        if not purpose.probes:
            raise ConfigError(
                f"purpose {purpose.name!r} has no [[probes]], so there is nothing to measure. Add at least one "
                '(ask = "...", judge = { contains = "..." }), or measure the bank'
            )
        side = _purpose_side(purpose, config, controls)
        pairs = [(other, side) for other in _partners(purpose, partner, config)]
    return [Plan(f"{number:04d}", draw.getrandbits(48), a, b, order[number]) for number, (a, b) in enumerate(pairs)]


def replies_to_come(plans: Sequence[Plan], config: MeasureConfig) -> int:
    """Number of replies that a whole measurement generates."""
    trunk = max(0, 2 * config.rounds - 1)
    probes = sum(len(side.probes) for plan in plans for side in (plan.a, plan.b))
    return len(plans) * trunk + probes * (config.rounds + 1) * config.samples


def describe(
    model: Model,
    purpose: Purpose | Bank,
    partner: Purpose | None,
    config: MeasureConfig,
    plans: Sequence[Plan],
) -> dict[str, Any]:
    """What defines the work of a run, with all that was left open settled: a resumed run must agree with it."""
    described: dict[str, Any] = {
        "model": model.name,
        "measure": config.model_dump(exclude={*HOW, "temperature", "top_p", "utterance_tokens"}),
        "sampling": {
            name: _settled(side.utterance) for name, side in (("opener", plans[0].a), ("answerer", plans[0].b))
        },
        "controls": [control.spec() for control in plans[0].b.controls],
    }
    if isinstance(purpose, Bank):
        digest = hashlib.sha256("\n".join(triplet.model_dump_json() for triplet in purpose).encode()).hexdigest()
        ids = [triplet.id for triplet in purpose]
        described["bank"] = {"source": purpose.source, "triplets": ids, "sha256": digest[:16]}
    else:
        described["purpose"] = purpose.model_dump(mode="json", exclude_none=True)
    if partner is not None:
        described["partner"] = partner.model_dump(mode="json", exclude_none=True)
    return described


def _settled(sampling: Sampling | None) -> dict[str, Any]:
    drawn = asdict(sampling or Sampling())
    return {name: drawn[name] for name in ("max_new_tokens", "temperature", "top_p", "top_k", "stop")}


def _ignore(_: Start) -> None:
    """Nobody wants to be told."""


def _refuse_early(model: Model, plans: Sequence[Plan]) -> None:
    """Let a model refuse controls, and judges' models be loaded, before a run folder is made."""
    judges = {id(probe.judge): probe.judge for plan in plans for probe in (*plan.a.probes, *plan.b.probes)}
    for judge in judges.values():
        prepare_judge(judge, model)
    requests = [Request((), controls=side.controls) for plan in plans for side in (plan.a, plan.b)]
    refuse_unsupported(model, requests)


def protocol_of(model: Model, config: MeasureConfig) -> Protocol:
    """How dialogues are played on a model, as the settings say."""
    utterance, answer = _sampling(config, None)
    return Protocol(
        rounds=config.rounds,
        samples=config.samples,
        utterance=utterance,
        answer=answer,
        readings=frozenset({"attention"}) & model.readings if config.attention else frozenset(),
        probe_every=config.probe_every,
        concurrency=config.concurrency,
    )


def _sampling(config: MeasureConfig, purpose: Purpose | None) -> tuple[Sampling, Sampling]:
    """How a side's utterances and answers are drawn: as the settings say, else its purpose, else by default."""
    asked = {"temperature": config.temperature, "top_p": config.top_p, "max_new_tokens": config.utterance_tokens}
    own = purpose.sampling.options() if purpose else {}
    utterance = Sampling(**{**_DRAWN, **own, **{name: value for name, value in asked.items() if value is not None}})
    return utterance, replace(utterance, max_new_tokens=config.answer_tokens)


def _triplet_side(
    triplet: Triplet, config: MeasureConfig, controls: Sequence[Control] = (), probed: bool = True
) -> Side:
    probe = Probe(triplet.id, triplet.family, triplet.ask, triplet.build_judge(), triplet.every_reply)
    drawn = _sampling(config, None)
    return Side(triplet.id, triplet.system, (probe,) if probed else (), triplet.family, tuple(controls), *drawn)


def _purpose_side(purpose: Purpose, config: MeasureConfig, controls: Sequence[Control] | None = None) -> Side:
    purpose.check(build_judge)
    probes = tuple(
        Probe(probe.name, probe.family, probe.ask, build_judge(probe.judge), probe.every_reply)
        for probe in purpose.probes
    )
    held = controls_of(purpose) if controls is None else tuple(controls)
    return Side(purpose.name, purpose.system_prompt, probes, "own", held, *_sampling(config, purpose))


def _partners(purpose: Purpose, partner: Purpose | None, config: MeasureConfig) -> list[Side]:
    if partner is not None:
        return [_purpose_side(partner, config)] * config.dialogues
    if purpose.partner:
        utterance, answer = _sampling(config, None)
        side = Side("partner", purpose.partner, family="partner", utterance=utterance, answer=answer)
        return [side] * config.dialogues
    drawn = Bank.load().pairs(config.dialogues, config.seed)
    return [_triplet_side(triplet, config, probed=False) for triplet, _ in drawn]


def _name(purpose: Purpose | Bank) -> str:
    return purpose.name if isinstance(purpose, Purpose) else "bank"


def _ordered(episodes: Any) -> list[Episode]:
    return sorted(episodes, key=lambda episode: episode.id)
