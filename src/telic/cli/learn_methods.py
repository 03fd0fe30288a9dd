"""`telic learn --method`: what is trained on the conversations of a purpose."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from telic.cli.output import print_json, print_line, print_table
from telic.cli.usage import Interrupted, UsageError
from telic.progress import ProgressDisplay

if TYPE_CHECKING:
    from telic.episodes import Episode
    from telic.learners.result import Learned
    from telic.purpose import Purpose

__all__ = ["LearnMethod", "MethodOptions", "learn_by_method"]

LearnMethod = Literal["planner", "kto", "dpo", "sft", "reward_head"]
"""`planner`: a planner. `kto`, `dpo`, `sft`: an adapter of the model. `reward_head`: what chooses the best of several
replies."""
TUNING = ("kto", "dpo", "sft")
MEASURES = {
    "reward_margin": "reward margin of good over bad replies",
    "accuracy": "share of pairs in which the better reply has the higher reward",
    "nll_before": "negative log-likelihood per token of good replies, before",
    "nll_after": "the same, after",
    "nll_change": "its change",
    "auc": "AUC of the reward head",
    "auc_of_length": "AUC of the reply's length alone",
    "gain_over_length": "difference",
}
"""What is printed, if it was measured."""


@dataclass
class MethodOptions:
    """Options about what is trained."""

    method: LearnMethod | None = None
    """Train on the conversations, and evaluate on those of other users: a planner, which starts from the one that the
    purpose names; an adapter of the purpose's model (kto, dpo, sft); or a reward head, which chooses the best of
    several replies. The purpose file is not changed."""
    minutes: float | None = None
    """With --method kto, dpo or sft: train for at most about this many minutes."""
    out: Path | None = None
    """With --method kto, dpo, sft or reward_head: folder in which the result's folder is made. By default learned/
    beside the purpose file."""
    set: tuple[str, ...] = ()
    """With --method planner: its settings, such as beta=0.1 rl_steps=1000."""
    resume: Path | None = None
    """With --method planner: run folder of an interrupted training to continue. The other methods continue by
    themselves."""

    def check_method(self) -> None:
        """Refuse options that the method does not take.

        Raises:
            UsageError: which, and with which methods it goes.
        """
        given = {
            "--minutes": (self.minutes is not None, TUNING),
            "--out": (self.out is not None, (*TUNING, "reward_head")),
            "--set": (bool(self.set), ("planner",)),
            "--resume": (self.resume is not None, ("planner",)),
        }
        for option, (there, methods) in given.items():
            if there and self.method not in methods:
                raise UsageError(f"{option} requires --method {' or '.join(methods)}")


def learn_by_method(
    options: MethodOptions, labelled: Iterable[Episode], purpose: Purpose, file: Path, *, as_json: bool, quiet: bool
) -> None:
    """Train an adapter or a reward head on the conversations of a purpose, and print what came of it.

    Raises:
        TelicError: as the method's own function.
    """
    folder = options.out or (file.parent if file.is_file() else Path()) / "learned"
    try:
        with ProgressDisplay(quiet=quiet) as display:
            if options.method == "reward_head":
                from telic.learners.reward_head import train_reward_head

                learned = train_reward_head(labelled, purpose, folder=folder, progress=display)
            else:
                from telic.learners.tuning import TuningConfig, tune

                config = TuningConfig.of(method=options.method, minutes=options.minutes)
                learned = tune(labelled, purpose, folder=folder, config=config, progress=display)
    except KeyboardInterrupt:
        raise Interrupted("The same command continues from the last checkpoint.") from None
    if as_json:
        document = {
            "method": options.method,
            "folder": str(learned.folder),
            "purpose_changes": dict(learned.purpose_changes),
        }
        print_json({**document, **learned.metrics})
        return
    _print(learned, file)


def _print(learned: Learned, file: Path) -> None:
    metrics: Mapping[str, Any] = learned.metrics
    if "loss_before" in metrics:
        counts = metrics["examples"]
        print_line(
            f"{counts['train']} examples of {counts['train users']} users, evaluated on {counts['held out']} of "
            f"{counts['held out users']} others: loss {metrics['loss_before']:.4f} before, {metrics['loss_after']:.4f} "
            f"after step {metrics['best_step']} of {metrics['planned_steps']} ({metrics['seconds']:.0f} s)"
        )
        if metrics["time_was_over"]:
            print_line("The time limit was reached. The same command continues from the last checkpoint.")
    else:
        print_line(
            f"{metrics['train']} replies, evaluated on {metrics['held_out']} of {metrics['held_out_users']} other users"
        )
    found = {**metrics, **metrics.get("held_out", {})} if "loss_before" in metrics else metrics
    rows = [(text, *_interval(found[name])) for name, text in MEASURES.items() if name in found]
    print_table(("on held-out users", "", "95 % interval"), rows)
    print_line()
    if not learned.purpose_changes:
        rival = "the reply's length alone" if learned.method == "reward_head" else "what is served"
        print_line(f"Nothing to change: on the held-out users it is not significantly better than {rival}.")
    for key, value in learned.purpose_changes.items():
        print_line(
            f"To use it, write into {file}: {key} = {value!r}" if isinstance(value, str) else f"  {key} = {value}"
        )
    print_line(f"Folder: {learned.folder}")


def _interval(found: Mapping[str, Any]) -> tuple[str, str]:
    value = "-" if found["value"] is None else f"{found['value']:.3f}"
    known = found["low"] is not None and found["high"] is not None
    return value, f"[{found['low']:.3f}, {found['high']:.3f}]" if known else "-"
