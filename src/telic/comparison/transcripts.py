"""`measure_transcripts`: how well a chatbot holds to its purpose along recorded dialogues, with and without controls.

The trunk is what people really said, so every arm is probed at the same places of the same dialogues: differences are
paired by dialogue. Recorded dialogues differ in the length of their rounds, so results are by tokens as well.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from telic.comparison.arms import Arm, plan_arms
from telic.comparison.transcript_results import STAGE, TranscriptRun, analyse_transcripts
from telic.episodes import BASELINE
from telic.errors import ConfigError
from telic.formats import read_whole_records
from telic.models import Control, Model
from telic.progress import ProgressCallback, Shortfall, track
from telic.purpose import Purpose
from telic.stability.bank import Bank
from telic.stability.config import TOKENS_APART, TranscriptConfig
from telic.stability.lengths import token_step
from telic.stability.measurement import (
    KEPT_SETTINGS,
    describe,
    name_of,
    play_missing,
    refuse_early,
)
from telic.stability.plan import DialoguePlan
from telic.stability.record import RunRecord
from telic.stability.recorded_plan import plan_recorded, read_trunks
from telic.stability.trunks import NamedDialogue, Trunk, TrunkReader

__all__ = ["control_arms", "measure_transcripts"]


def measure_transcripts(
    model: Model,
    purpose: Purpose | Bank,
    transcripts: str | Path | Iterable[NamedDialogue],
    *,
    controls: Sequence[Control] | None = None,
    source: str | None = None,
    folder: str | Path | None = None,
    resume: str | Path | None = None,
    progress: bool | ProgressCallback = False,
    config: TranscriptConfig | None = None,
    **settings: Any,
) -> TranscriptRun:
    """Measure stability along recorded dialogues. Nothing is generated but the answers to the probes.

    Args:
        model: answers the probes.
        purpose: its system prompt replaces the recorded one; or a bank, of which each dialogue gets an instruction.
        transcripts: a file of dialogues (OpenAI's messages, ShareGPT, Telic's episodes), or pairs of a name and a
            dialogue.
        controls: each is an arm, which is compared with the baseline; none for the baseline alone. By default the
            purpose with its own controls is the only arm.
        source: what reports call the transcripts; by default the file.
        folder: where the run folder is made; without it the run is kept in memory only.
        resume: a run folder to go on with.
        progress: True shows it on standard error; a function gets a `ProgressReport` with every reply.
        config: settings.
        **settings: single fields of `TranscriptConfig`, over those of `config`.

    Raises:
        ConfigError: a setting, a judge or a control is wrong, or the run to be resumed had another configuration.
        DataError: a line of the file is no dialogue, or no dialogue can be used.
        UnsupportedControlError: a control cannot act on this model.
    """
    config = TranscriptConfig.of(**{**(config.model_dump(exclude_unset=True) if config else {}), **settings})
    arms = control_arms(controls)
    source = source or (str(transcripts) if isinstance(transcripts, (str, Path)) else "dialogues given in Python")
    beginnings = 0
    if isinstance(transcripts, (str, Path)):
        transcripts, beginnings = _named_dialogues(transcripts)
    dialogues = list(transcripts)
    trunks, reader = read_trunks(model, purpose, dialogues, config)
    reader.counts.count("dialogues left out, because a longer one begins with them", beginnings)

    def plan(used: Sequence[Control]) -> list[DialoguePlan]:
        return plan_recorded(purpose, trunks, config, None if controls is None else used)

    plans = plan_arms(STAGE, arms, plan)
    refuse_early(model, plans)
    step = token_step(config.tokens_apart or TOKENS_APART, max(trunk.lengths[-1] for trunk in trunks))

    def work() -> dict[str, Any]:
        described = describe(model, purpose, None, config, plans)
        described.pop("partner", None)
        return described | {
            "controls": [control.spec() for control in plans[0].b.controls],
            "arms": {arm.name: [control.spec() for control in arm.controls] for arm in arms},
            "transcripts": _describe_trunks(source, len(dialogues), trunks, reader, step),
        }

    kept = config.model_dump(include=set(KEPT_SETTINGS))
    start = RunRecord.start("measure", name_of(purpose), work, kept, root=folder, resume=resume)
    with start as record, track(progress) as tracker:
        play_missing(model, plans, config, record, tracker, what="arms of recorded dialogues")
        groups, missing = ({plan.group for plan in some} for some in (plans, record.missing(plans)))
        shortfall = Shortfall.of(config.minutes, dialogues=(len(groups) - len(missing), len(groups)))
        run = analyse_transcripts(record.episodes, arms, work()["transcripts"], config.resamples).at(
            record.path, record.document, shortfall
        )
        record.add_metrics(run.as_dict())
        return run


def control_arms(controls: Sequence[Control] | None) -> list[Arm]:
    """Return the baseline, then an arm for each control; only the purpose as it is, if no controls are asked for.

    Raises:
        ConfigError: two controls are the same.
    """
    if controls is None:
        return [Arm("purpose")]
    arms = [Arm(BASELINE)]
    for control in controls:
        settings = control.spec()
        name = "-".join([settings.pop("name"), *(f"{key}={value}" for key, value in settings.items())])
        if any(arm.name == name for arm in arms):
            raise ConfigError(f"control {name!r} is given twice; each is an arm of its own")
        arms.append(Arm(name, (control,)))
    return arms


def _named_dialogues(path: str | Path) -> tuple[list[NamedDialogue], int]:
    """Read a file of dialogues, each with its id or its place as its name; count the beginnings left out."""
    whole, beginnings = read_whole_records(path)
    return [
        (str(record.get("id") or f"{Path(path).name}:{number}"), found) for number, record, found in whole
    ], beginnings


def _describe_trunks(
    source: str, dialogues: int, trunks: Sequence[Trunk], reader: TrunkReader, step: int
) -> dict[str, Any]:
    """Describe what is read, so that a resumed run reads the same; and what was left out."""
    digest = hashlib.sha256()
    for trunk in trunks:
        digest.update(repr(asdict(trunk)).encode())
    return {
        "source": source,
        "dialogues": dialogues,
        "read": reader.counts.dialogues,
        "trunks": len(trunks),
        "joined": sum(len(trunk.names) for trunk in trunks) if reader.join else 0,
        "tokens": [min(trunk.lengths[-1] for trunk in trunks), max(trunk.lengths[-1] for trunk in trunks)],
        "estimated": reader.estimates,
        "step": step,
        "notes": reader.counts.sentences(),
        "sha256": digest.hexdigest()[:16],
    }
