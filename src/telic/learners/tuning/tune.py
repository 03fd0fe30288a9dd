"""`tune`: train an adapter of a purpose's model on what users made of its replies.

folder/kto-1f2e3d4c/     made of the model, the settings and the examples: the same again goes on here
. learned.json           the result; a folder without it is unfinished
. adapter-120/           the adapter after 120 steps, as PEFT writes it
. work/                  checkpoints, removed at the end unless the time was over
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from telic.episodes import Episode
from telic.errors import ConfigError, RunError
from telic.learners.result import LEARNED, Learned, NotedEpisodes
from telic.learners.tuning.config import TuningConfig
from telic.models.catalog import load_weights, locate
from telic.progress import Deadline, Phase, ProgressCallback, ProgressTracker, track
from telic.purpose import Purpose
from telic.run_lock import HeldLockError, acquire_lock

__all__ = ["require_trainable", "tune"]

WORK, LOCK = "work", "lock"


def tune(
    labelled: Iterable[Episode],
    purpose: Purpose,
    *,
    folder: str | Path,
    config: TuningConfig | None = None,
    progress: bool | ProgressCallback = False,
    **settings: Any,
) -> Learned:
    """Train an adapter on labelled conversations, and evaluate it on those of other users.

    It starts from the model without an adapter, also where the purpose names one: the new adapter takes its place.
    An interrupted training goes on from its last checkpoint if it is called again with the same model, settings and
    examples. The purpose file, and adapters that were made before, stay as they are.

    Args:
        labelled: labelled episodes, as `LabelledEpisodes` yields them; they are read twice.
        purpose: names the model, and the system prompt that is trained with.
        folder: folder in which the result's folder is made.
        config: the settings.
        progress: what gets reports of the progress; True for a display.
        **settings: fields of `TuningConfig`, instead of `config`.

    Returns:
        The result. `purpose_changes` is empty if the loss on the held-out users did not fall.

    Raises:
        ConfigError: the model does not run in this process, or there is too little to learn from.
        MissingExtraError: the extra `train` is not installed.
        RunError: another process trains the same, or the folder cannot be written.
    """
    config = config if config is not None else TuningConfig.of(**settings)
    require_trainable(purpose.model)
    from telic.learners.tuning.examples import make_examples
    from telic.rendering import Template

    deadline = Deadline(config.minutes)
    model, tokenizer = load_weights(purpose.model)
    noted = NotedEpisodes(labelled)
    examples = make_examples(noted, Template(tokenizer), purpose.system_prompt, config)
    identity = [purpose.model, config.identity, asdict(examples)]
    digest = hashlib.sha256(json.dumps(identity, default=str).encode()).hexdigest()[:8]
    own = Path(folder) / f"{config.method}-{digest}"
    with _locked(own), track(progress) as tracker:
        if (own / LEARNED).is_file() and not (own / WORK).is_dir():
            return Learned.load(own)
        phases = [Phase("training", "steps"), Phase("evaluating", "replies", 0)]
        tracker.start(phases=phases, deadline=deadline)
        return _train(model, tokenizer, examples, purpose, config, own, noted.ids, deadline, tracker)


def require_trainable(model: str) -> None:
    """Refuse a model that no adapter can be trained for.

    Raises:
        ConfigError: it does not run in this process.
        ModelError: it is unknown.
        MissingExtraError: the extra `train` is not installed.
    """
    if locate(model)[0] in ("built-in", "endpoint"):
        raise ConfigError(
            f"model {model!r} does not run in this process, and training needs its gradient; expected a local model. "
            "Export the data instead: telic learn --export kto FILE"
        )
    from telic.models.local.adapters import require_training

    require_training("tuning a model")


def _train(
    model: Any,
    tokenizer: Any,
    examples: Any,
    purpose: Purpose,
    config: TuningConfig,
    folder: Path,
    sources: tuple[str, ...],
    deadline: Deadline,
    tracker: ProgressTracker,
) -> Learned:
    from telic.learners.tuning.checkpoints import TrainingWatch, latest_checkpoint
    from telic.learners.tuning.evaluation import evaluate_adapter
    from telic.learners.tuning.trainers import make_trainer, quiet_training
    from telic.models.local.adapters import save_adapter

    watch = TrainingWatch(tracker, deadline)
    checkpoint = latest_checkpoint(folder / WORK)
    began = deadline.clock()
    with quiet_training():
        trainer = make_trainer(model, tokenizer, examples, config, folder / WORK, [watch])
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    seconds = deadline.clock() - began
    losses = [(entry["step"], entry["eval_loss"]) for entry in trainer.state.log_history if "eval_loss" in entry]
    best = min(losses, key=lambda one: one[1])
    tracker.begin("evaluating", 2 * len(examples.held_out) * (2 if config.method == "dpo" else 1))
    held_out = evaluate_adapter(trainer.model, examples.held_out, config, tracker.advance)
    metrics = {
        "model": purpose.model,
        "settings": config.model_dump(),
        "examples": examples.counts,
        "loss_before": losses[0][1],
        "loss_after": best[1],
        "best_step": best[0],
        "steps": trainer.state.global_step,
        "planned_steps": trainer.state.max_steps,
        "time_was_over": watch.ran_out,
        "seconds": round(seconds, 1),
        "resumed": checkpoint is not None,
        "held_out": held_out,
    }
    changes = {}
    if best[0] > 0 and best[1] < losses[0][1]:
        adapter = folder / f"adapter-{trainer.state.global_step}"
        _save_once(adapter, lambda draft: save_adapter(trainer.model, draft, purpose.model))
        changes = {"adapter": purpose.relative_path(adapter)}
    learned = Learned(config.method, changes, folder, metrics, sources)
    learned.save()
    if not watch.ran_out:
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return learned


def _save_once(folder: Path, save: Callable[[Path], None]) -> None:
    """Write a folder, whole or not at all; one that is there stays as it is, since a server may load it."""
    if folder.exists():
        return
    draft = folder.parent / f".{folder.name}"
    shutil.rmtree(draft, ignore_errors=True)
    save(draft)
    draft.rename(folder)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = acquire_lock(folder / LOCK)
    except HeldLockError as error:
        raise RunError(f"{str(folder)!r} is in use by {error}; wait until it ends") from None
    except OSError as error:
        raise RunError(f"cannot write {str(folder)!r}: {error.strerror}") from None
    try:
        yield
    finally:
        os.close(lock)
