"""Training of a monitor from the run folder of an attack, and its score beside its rivals'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from telic.errors import ConfigError, ModelError
from telic.models import Model, load
from telic.purpose_parts import Limit
from telic.redteam.monitor.dialogues import TurnDialogue, read_attack_dialogues, record_features
from telic.redteam.monitor.features import FeatureKind
from telic.redteam.monitor.fitting import MonitorParts, fit_monitor, split_dialogues
from telic.redteam.monitor.monitor import save_monitor
from telic.redteam.monitor.rivals import (
    JUDGE,
    TEXT,
    TurnWatcher,
    figures_of,
    judge_watcher,
    monitor_watcher,
    text_watcher,
)
from telic.runs import RunFolder
from telic.steering.saving import Origin

__all__ = ["train_monitor"]

LEAST = 8
"""Least number of dialogues of each kind."""


def train_monitor(
    folder: str | Path,
    *,
    features: FeatureKind | None = None,
    model: Model | None = None,
    held_out: Sequence[str] = (),
    out: str | Path | None = None,
    rivals: bool = True,
    seed: int = 0,
) -> Path:
    """Train a monitor from the episodes of a run folder of `telic attack`, and score it beside its rivals.

    Args:
        folder: the run folder; it needs attacks that succeeded, and benign users.
        features: the model's states, or text features; by default states if the model shows them.
        model: the model that was attacked; by default it is loaded by its name.
        held_out: attackers that it is not trained on, but tested on.
        out: where it is written; by default the folder `monitor` in the run folder.
        rivals: also score a classifier of the user's words, and the model as the judge of every turn. The model is
            asked once for each turn of the dialogues for tuning and for the test.
        seed: of the split.

    Returns:
        The monitor's folder, for the defence `monitor`. Its `config.json` has the scores.

    Raises:
        ConfigError: the run has too few dialogues of a kind, or an attacker to hold out is not in it.
        ModelError: the model cannot be loaded, or cannot read a dialogue.
        RunError: the folder is no run folder.
    """
    dialogues = read_attack_dialogues(folder)
    _check_counts(dialogues, held_out)
    if model is None and features != "text":
        model = load(dialogues[0].model)
    kind: FeatureKind = features or ("state" if model is not None and "state" in model.readings else "text")
    recorded = [
        (one, turns) for one, turns in zip(dialogues, record_features(dialogues, kind, model), strict=True) if turns
    ]
    monitor = fit_monitor(recorded, kind, held_out=held_out, seed=seed)
    parts = split_dialogues(recorded, held_out=held_out, seed=seed)
    own = monitor_watcher(monitor, parts)
    figures: dict[str, Any] = {**monitor.figures, **figures_of(own)}
    if held_out:
        figures["held out"] = {"attackers": sorted(held_out), **figures["held out"]}
    if rivals:
        others = {} if kind == "text" else {TEXT: figures_of(text_watcher(recorded, held_out=held_out, seed=seed), own)}
        figures["rivals"] = {**others, JUDGE: _judge_figures(folder, model, parts, own)}
    monitor = replace(monitor, figures=figures)
    if kind == "state" and model is not None:
        monitor = replace(monitor, origin=Origin.of(model))
    return save_monitor(monitor, out or Path(folder) / "monitor")


def _check_counts(dialogues: Sequence[TurnDialogue], held_out: Sequence[str]) -> None:
    known = {one.attacker for one in dialogues}
    for name in held_out:
        if name not in known:
            raise ConfigError(f"held_out: the run has no attacker {name!r}; it has {', '.join(sorted(known))}")
    trained = [one for one in dialogues if one.attacker not in held_out]
    counts = {
        "benign dialogues": sum(not one.attacked for one in trained),
        "attacks that succeeded": sum(one.closure is not None for one in trained),
    }
    for what, count in counts.items():
        if count < LEAST:
            raise ConfigError(
                f"a monitor needs {LEAST} {what} or more, but the run has {count}; play more dialogues, or raise "
                "the number of rounds"
            )


def _judge_figures(folder: str | Path, model: Model | None, parts: MonitorParts, own: TurnWatcher) -> dict[str, Any]:
    """Return the figures of the model as judge, or the reason for which there are none."""
    named = RunFolder.open(folder).config.get("purpose", {}).get("limits", [])
    if not named:
        return {"reason": "the run's configuration names no limits to judge by"}
    if model is None:
        return {"reason": "no model was given; name it with --model"}
    try:
        return figures_of(judge_watcher(model, [Limit.model_validate(one) for one in named], parts), own)
    except ModelError as error:
        return {"reason": str(error)}
