"""Checkpoints of a training: which of them are whole, and when to stop."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback

from telic.progress import Deadline, ProgressTracker

__all__ = ["TrainingWatch", "latest_checkpoint"]

WHOLE = "whole"
"""File of a checkpoint that was written to its end."""
_NAME = re.compile(r"checkpoint-(\d+)")
SPARE = 1.5
"""An evaluation may take so much longer than the last one."""


def latest_checkpoint(folder: Path) -> Path | None:
    """Return the latest whole checkpoint of a folder; those that were cut off are removed."""
    found: dict[int, Path] = {}
    for path in folder.glob("checkpoint-*"):
        named = _NAME.fullmatch(path.name)
        if named is None or not (path / WHOLE).is_file():
            shutil.rmtree(path, ignore_errors=True)
        else:
            found[int(named[1])] = path
    return found[max(found)] if found else None


class TrainingWatch(TrainerCallback):  # type: ignore[misc]
    """Marks whole checkpoints, reports progress, and stops a training whose time is over.

    Args:
        tracker: gets the steps.
        deadline: of the training; enough of it is kept for the last evaluations.
    """

    def __init__(self, tracker: ProgressTracker, deadline: Deadline) -> None:
        self._tracker, self._deadline = tracker, deadline
        self._evaluation_seconds = 0.0
        self._started = deadline.clock()
        self.ran_out = False
        """Whether it was stopped because its time is over."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Start the count at the step of the checkpoint."""
        self._tracker.begin("training", state.max_steps)
        self._tracker.reach(state.global_step, state.max_steps)
        self._started = self._deadline.clock()

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Note when a step, and perhaps an evaluation after it, begins."""
        self._started = self._deadline.clock()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> Any:  # noqa: ARG002
        """Count a step, and stop if there is just time for the last evaluation and the comparison."""
        self._tracker.reach(state.global_step, state.max_steps)
        self._started = self._deadline.clock()
        if self._deadline.limited and self._deadline.remaining < 2 * SPARE * self._evaluation_seconds:
            self.ran_out = state.global_step < state.max_steps
            control.should_evaluate = control.should_save = control.should_training_stop = True
        return control

    def on_evaluate(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Note how long an evaluation took."""
        self._evaluation_seconds = self._deadline.clock() - self._started

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        """Mark the checkpoint as whole."""
        (Path(args.output_dir) / f"checkpoint-{state.global_step}" / WHOLE).touch()
