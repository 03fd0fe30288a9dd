"""`telic learn --method planner`: train a planner from the conversations of a purpose."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from telic.cli.output import load_model, print_json, print_line, print_table
from telic.cli.usage import Interrupted, UsageError
from telic.errors import ConfigError
from telic.models.catalog import locate
from telic.progress import ProgressDisplay
from telic.registry import parse_settings

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.learners import Learned
    from telic.purpose import Purpose

__all__ = ["train_planner_version"]


class PlannerOptions(Protocol):
    """The options of `telic learn` that a training reads."""

    model: str | None
    set: tuple[str, ...]
    resume: Path | None
    runs: Path
    json: bool
    quiet: bool


def train_planner_version(options: PlannerOptions, purpose: Purpose, labelled: Iterable[Episode]) -> None:
    """Train a planner from conversations, and print what was learnt.

    Args:
        options: of the command.
        purpose: the purpose whose chatbot is trained.
        labelled: its conversations, labelled.

    Raises:
        UsageError: a setting is malformed.
        ConfigError: the model does not run in this process; or see `learn_planner`.
        DataError: see `learn_planner`.
    """
    try:
        settings = parse_settings(options.set)
    except ConfigError as error:
        raise UsageError(f"--set: {error}") from None
    name = options.model or purpose.model
    if locate(name)[0] in ("built-in", "endpoint"):
        raise ConfigError(
            f"model {name!r} does not run in this process, and training needs its gradient; expected a local model"
        )
    from telic.learners import PlannerLearningConfig, learn_planner

    config = PlannerLearningConfig.of(**settings)
    model = load_model(options.model or purpose)
    display = ProgressDisplay(quiet=options.quiet)
    try:
        with display:
            learned = learn_planner(
                model, purpose, labelled, folder=options.runs, resume=options.resume, progress=display, config=config
            )
    except KeyboardInterrupt:
        hint = f". To continue: telic learn ... --method planner --resume {display.folder}" if display.folder else ""
        raise Interrupted(f"finished stages are saved{hint}") from None
    if options.json:
        document = {"method": learned.method, "folder": str(learned.folder), "conversations": len(learned.sources)}
        print_json({**document, "purpose_changes": learned.purpose_changes, "metrics": learned.metrics})
    else:
        _print(learned)


def _print(learned: Learned) -> None:
    """Print what was learnt for people."""
    metrics = learned.metrics
    rows = [
        (name, f"{one['share_before']:.2f}", f"{one['share_after']:.2f}", f"{one['advantage']:+.2f}")
        for name, one in metrics.get("acts", {}).items()
    ]
    if rows:
        print_table(("act", "share before", "share after", "advantage"), rows)
        print_line()
    for outlier in metrics["outliers"]:
        print_line(
            f"User {outlier['user']!r} has {outlier['share']:.0%} of the influence; scaled by {outlier['factor']:.2f}."
        )
    for reason, count in metrics.get("skipped", {}).items():
        print_line(f"Left out: {count} conversations {reason}.")
    print_line(f"Learnt from {len(learned.sources)} conversations: {learned.folder}")
    print_line(f"To try it, name it in the purpose file: [planner] path = {str(learned.folder)!r}")
