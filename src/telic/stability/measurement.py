"""`measure`: how well a chatbot holds to its purpose, by self-chats with probes on branches."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from telic.episodes import Branch, Episode
from telic.judges import prepare_judge
from telic.models import Control, Model, Request, Sampling
from telic.models.compatibility import refuse_unsupported
from telic.progress import (
    Deadline,
    Phase,
    ProgressCallback,
    ProgressTracker,
    Shortfall,
    forecast_sentence,
    track,
)
from telic.purpose import Purpose
from telic.stability.analysis import Stability, analyse_stability
from telic.stability.bank import Bank
from telic.stability.config import MeasureConfig
from telic.stability.curves import CurvePoint
from telic.stability.plan import DialoguePlan, plan_dialogues, protocol_of, replies_to_come
from telic.stability.record import RunRecord
from telic.stability.selfchat import play_dialogues
from telic.stability.utterances import UtteranceStability, analyse_utterances

__all__ = [
    "CHANGEABLE_SETTINGS",
    "KEPT_SETTINGS",
    "StabilityRun",
    "describe",
    "describe_bank",
    "measure",
    "name_of",
    "play_missing",
    "refuse_early",
]

CHANGEABLE_SETTINGS = frozenset({"concurrency", "resamples", "minutes"})
"""Settings that a resumed run may change: they make no difference to what is played, or only to how much of it."""
KEPT_SETTINGS = CHANGEABLE_SETTINGS - {"minutes"}
"""Those that are written into the run folder. A limit of time is one session's: a resumed run plays the rest."""


@dataclass(frozen=True)
class StabilityRun:
    """The result of a measurement, and where it is kept."""

    stability: Stability
    episodes: list[Episode]
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`: the configuration and the versions."""
    shortfall: Shortfall | None = None
    """How many dialogues a time limit left unplayed; None if all were played."""

    @property
    def spoken(self) -> UtteranceStability | None:
        """How far the utterances follow the probes with `every_reply`; None where there is no such probe."""
        return analyse_utterances(self.episodes, resamples=self.stability.resamples, seed=self.stability.seed)

    @property
    def curve(self) -> list[CurvePoint]:
        """The stability curve: round, stability, low, high, n, ..."""
        return self.stability.curve


def measure(
    model: Model,
    purpose: Purpose | Bank,
    *,
    partner: Purpose | Bank | None = None,
    controls: Sequence[Control] | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool | ProgressCallback = False,
    config: MeasureConfig | None = None,
    **settings: Any,
) -> StabilityRun:
    """Measure instruction stability over rounds (arXiv 2402.10962).

    Args:
        model: plays both sides, whatever `model` the purposes name.
        purpose: a purpose, whose own probes are asked and which answers in the dialogue; or a bank, from which both
            sides are drawn and both are probed.
        partner: the other side; it opens. The probes of a purpose are asked too; of a bank, the personas are drawn. By
            default the purpose's own `partner`, or else plain users who want what the purpose offers.
        controls: controls of the purpose's side, by default its own; with a bank, of both sides.
        folder: where the run folder is made; without it the run is kept in memory only.
        resume: a run folder to go on with.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply.
        config: settings.
        **settings: single fields of `MeasureConfig`, over those of `config`.

    Raises:
        ConfigError: a setting, a judge or a control is wrong, or the run to be resumed had another configuration.
        UnsupportedControlError: a control cannot act on this model.
    """
    config = MeasureConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    plans = plan_dialogues(purpose, partner, config, controls)
    refuse_early(model, plans)
    kept = config.model_dump(include=set(KEPT_SETTINGS))

    def work() -> dict[str, Any]:
        return describe(model, purpose, partner, config, plans)

    start = RunRecord.start("measure", name_of(purpose), work, kept, root=folder, resume=resume)
    with start as record, track(progress) as tracker:
        play_missing(model, plans, config, record, tracker)
        return _analyse(record, plans, config)


def play_missing(
    model: Model,
    plans: Sequence[DialoguePlan],
    config: MeasureConfig,
    record: RunRecord,
    tracker: ProgressTracker,
    *,
    announce: bool = True,
    on_branch: Callable[[Episode, Branch], None] | None = None,
    what: str | None = None,
) -> None:
    """Play the dialogues that a record lacks, as far as the time limit allows.

    Args:
        model: plays both sides.
        plans: all dialogues.
        config: settings.
        record: has the dialogues so far, and gets the others.
        tracker: reports the progress.
        announce: say beforehand how long it takes, if it takes long.
        on_branch: see `play_dialogues`.
        what: what a forecast counts; by default dialogues of so many rounds.
    """
    missing, deadline = record.missing(plans), Deadline(config.minutes)

    def forecast(seconds: float) -> str:
        return forecast_sentence(seconds, len(missing), what or f"dialogues of {config.rounds} rounds")

    playing = Phase("playing", "replies", replies_to_come(missing, config))
    tracker.start(record.path, record.warnings, [playing], forecast if announce else None, deadline)
    tracker.begin("playing")
    protocol = protocol_of(model, config)
    play_dialogues(model, missing, protocol, record.append, tracker.count_reply, deadline, on_branch, tracker.expect)


def _analyse(record: RunRecord, plans: Sequence[DialoguePlan], config: MeasureConfig) -> StabilityRun:
    """Analyse what was played, and record it."""
    finished = len(plans) - len(record.missing(plans))
    shortfall = Shortfall.of(config.minutes, dialogues=(finished, len(plans)))
    stability = analyse_stability(record.episodes, resamples=config.resamples)
    record.add_metrics(
        {
            "headline": stability.headline,
            "shortfall": shortfall.as_dict() if shortfall else None,
            "stability": stability.model_dump(mode="json"),
        }
    )
    return StabilityRun(stability, record.episodes, record.path, record.document, shortfall)


def describe(
    model: Model,
    purpose: Purpose | Bank,
    partner: Purpose | Bank | None,
    config: MeasureConfig,
    plans: Sequence[DialoguePlan],
) -> dict[str, Any]:
    """Describe the work of a run with all defaults filled in; a resumed run must have the same."""
    described: dict[str, Any] = {
        "model": model.name,
        "measure": config.model_dump(exclude={*CHANGEABLE_SETTINGS, "temperature", "top_p", "utterance_tokens"}),
        "sampling": {
            name: _sampling_of(side.utterance) for name, side in (("opener", plans[0].a), ("answerer", plans[0].b))
        },
        "controls": [control.spec() for control in plans[0].b.controls],
    }
    if isinstance(purpose, Bank):
        described["bank"] = describe_bank(purpose)
    else:
        # Not the purpose's own controls: `controls` says which were used, and `hold` writes its winner into the file.
        described["purpose"] = purpose.model_dump(mode="json", exclude_none=True, exclude={"controls"})
        if partner is None and not purpose.partner:
            described["partner"] = "plain users"
    if isinstance(partner, Bank):
        described["partner"] = describe_bank(partner)
    elif partner is not None:
        described["partner"] = partner.model_dump(mode="json", exclude_none=True)
    return described


def describe_bank(bank: Bank) -> dict[str, Any]:
    """Describe a bank so that another one is told from it."""
    # Not what an instruction demands: that changes no dialogue, and a bank may be given it later.
    texts = [triplet.model_dump_json(exclude={"demand"}) for triplet in bank]
    digest = hashlib.sha256("\n".join(texts).encode()).hexdigest()
    return {"source": bank.source, "triplets": [triplet.id for triplet in bank], "sha256": digest[:16]}


def _sampling_of(sampling: Sampling | None) -> dict[str, Any]:
    fields = asdict(sampling or Sampling())
    return {name: fields[name] for name in ("max_new_tokens", "temperature", "top_p", "top_k", "stop")}


def refuse_early(model: Model, plans: Sequence[DialoguePlan]) -> None:
    """Load judges' models and check the controls before a run folder is made.

    Raises:
        ModelError: a judge's model cannot be loaded.
        UnsupportedControlError: a control cannot act on this model.
    """
    judges = {id(probe.judge): probe.judge for plan in plans for probe in (*plan.a.probes, *plan.b.probes)}
    for judge in judges.values():
        prepare_judge(judge, model)
    requests = [Request((), controls=side.controls) for plan in plans for side in (plan.a, plan.b)]
    refuse_unsupported(model, requests)


def name_of(purpose: Purpose | Bank) -> str:
    """Name the run of a purpose or a bank."""
    return purpose.name if isinstance(purpose, Purpose) else "bank"
