"""`measure`: does a chatbot hold to its purpose? Self-chats, probes on branches, the stability curve."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from telic.episodes import Episode
from telic.errors import ConfigError
from telic.judges import build
from telic.models import Control, Model, Reply, Request, Sampling
from telic.models.compatibility import refuse_unsupported
from telic.models.control import build as build_control
from telic.purpose import Purpose
from telic.runs import RunFolder
from telic.stability.analysis import Stability, analyse
from telic.stability.bank import Bank, Triplet, openers
from telic.stability.config import MeasureConfig
from telic.stability.selfchat import Plan, Probe, Protocol, Side, play

__all__ = ["StabilityRun", "measure", "plan_dialogues", "replies_to_come"]


@dataclass(frozen=True)
class StabilityRun:
    """What a measurement found, and where it is kept."""

    stability: Stability
    episodes: list[Episode]
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`: what was asked for, and with which versions."""

    @property
    def curve(self) -> Any:
        """Points of the stability curve: round, stability, low, high, n, ..."""
        return self.stability.curve


def measure(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | None = None,
    controls: Sequence[Control] = (),
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    on_reply: Callable[[Reply], None] | None = None,
    on_folder: Callable[[Path, list[str]], None] | None = None,
    config: MeasureConfig | None = None,
    **settings: Any,
) -> StabilityRun:
    """Measure instruction stability over rounds (arXiv 2402.10962).

    Args:
        model: plays both sides.
        purpose: a purpose, whose own probes are asked and which answers in the dialogue; or a bank, from which both
            sides are drawn and both are probed.
        partner: the other side; it opens, and its probes are asked too. By default the purpose's own `partner`, or
            one drawn from the bank for each dialogue.
        controls: what holds the purpose in place; by default the purpose's own.
        folder: where the run folder is made; None keeps nothing.
        resume: a run folder to go on with.
        on_reply: hears of every reply.
        on_folder: is told the run folder as soon as there is one, with what is to be known of a resumed run.
        config: settings.
        **settings: single fields of `MeasureConfig`, over those of `config`.

    Raises:
        ConfigError: the purpose has no probes, a judge or a control is wrong, or a resumed run was another one.
        UnsupportedControlError: a control cannot act on this model.
    """
    config = MeasureConfig(**{**(config.model_dump() if config else {}), **settings})
    plans = plan_dialogues(purpose, partner, config, controls)
    protocol = _protocol(model, config)
    _refuse_early(model, plans)
    if folder is None and resume is None:
        episodes: list[Episode] = []
        play(model, plans, protocol, episodes.append, on_reply)
        return StabilityRun(analyse(_ordered(episodes), resamples=config.resamples), _ordered(episodes))
    work = describe(model, purpose, partner, config, controls)
    run = RunFolder.resume(resume, work) if resume else RunFolder.create(str(folder), "measure", _name(purpose), work)
    with run:
        if on_folder is not None:
            on_folder(run.path, run.notes)
        done = run.done()
        play(model, [plan for plan in plans if plan.id not in done], protocol, run.episodes.append, on_reply)
        episodes = _ordered(run.episodes)
        stability = analyse(episodes, resamples=config.resamples)
        run.metrics({"stability": stability.model_dump(mode="json")})
        return StabilityRun(stability, episodes, run.path, run.document)


def plan_dialogues(
    purpose: Purpose | Bank, partner: Purpose | None, config: MeasureConfig, controls: Sequence[Control] = ()
) -> list[Plan]:
    """Who talks to whom about what, with which seeds: a function of the configuration only."""
    draw = random.Random(config.seed)
    topics = purpose.openers if isinstance(purpose, Purpose) and purpose.openers else openers()
    order = [topic for _ in range(-(-config.dialogues // len(topics))) for topic in draw.sample(topics, len(topics))]
    if isinstance(purpose, Bank):
        pairs = [
            (_triplet_side(a, controls), _triplet_side(b, controls))
            for a, b in purpose.pairs(config.dialogues, config.seed)
        ]
    else:
        side = _purpose_side(purpose, controls)
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
    controls: Sequence[Control] = (),
) -> dict[str, Any]:
    """What defines the work of a run: a resumed run must agree with it."""
    described: dict[str, Any] = {
        "model": model.name,
        "measure": config.model_dump(exclude={"concurrency", "resamples"}),
        "controls": [control.name for control in controls],
    }
    if isinstance(purpose, Bank):
        described["bank"] = {"source": purpose.source, "triplets": [triplet.id for triplet in purpose]}
    else:
        described["purpose"] = purpose.model_dump(mode="json", exclude_none=True)
    if partner is not None:
        described["partner"] = partner.model_dump(mode="json", exclude_none=True)
    return described


def _refuse_early(model: Model, plans: Sequence[Plan]) -> None:
    """Let a model refuse controls before a run folder is made."""
    requests = [Request((), controls=side.controls) for plan in plans for side in (plan.a, plan.b)]
    refuse_unsupported(model, requests)


def _protocol(model: Model, config: MeasureConfig) -> Protocol:
    drawn = Sampling(temperature=config.temperature, top_p=config.top_p)
    return Protocol(
        rounds=config.rounds,
        samples=config.samples,
        utterance=replace(drawn, max_new_tokens=config.utterance_tokens),
        answer=replace(drawn, max_new_tokens=config.answer_tokens),
        readings=frozenset({"attention"}) & model.readings if config.attention else frozenset(),
        concurrency=config.concurrency,
    )


def _triplet_side(triplet: Triplet, controls: Sequence[Control] = (), probed: bool = True) -> Side:
    probe = Probe(triplet.id, triplet.family, triplet.ask, triplet.build_judge())
    return Side(triplet.id, triplet.system, (probe,) if probed else (), triplet.family, tuple(controls))


def _purpose_side(purpose: Purpose, controls: Sequence[Control] = ()) -> Side:
    if not purpose.probes:
        raise ConfigError(
            f"purpose {purpose.name!r} has no [[probes]], so there is nothing to measure. Add at least one "
            '(ask = "...", judge = { contains = "..." }), or measure the bank'
        )
    purpose.check(build)
    probes = tuple(Probe(probe.name, probe.family, probe.ask, build(probe.judge)) for probe in purpose.probes)
    held = tuple(controls) or tuple(build_control(spec) for spec in purpose.controls)
    return Side(purpose.name, purpose.system_prompt, probes, "own", held)


def _partners(purpose: Purpose, partner: Purpose | None, config: MeasureConfig) -> list[Side]:
    if partner is not None:
        return [_purpose_side(partner)] * config.dialogues
    if purpose.partner:
        return [Side("partner", purpose.partner, family="partner")] * config.dialogues
    drawn = Bank.load().pairs(config.dialogues, config.seed)
    return [_triplet_side(triplet, probed=False) for triplet, _ in drawn]


def _name(purpose: Purpose | Bank) -> str:
    return purpose.name if isinstance(purpose, Purpose) else "bank"


def _ordered(episodes: Any) -> list[Episode]:
    return sorted(episodes, key=lambda episode: episode.id)
