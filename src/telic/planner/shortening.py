"""What a resumed training does again, where a time limit had cut a stage short.

Every stage learns from those before it. So once a stage that was cut short is completed, all later ones are done anew,
and the training ends as one without a limit. What they had left is moved aside, not deleted.
"""

from __future__ import annotations

from pathlib import Path

from telic.runs import RunFolder

__all__ = ["note_cut", "set_aside_after_cut"]

ASIDE = "shortened"
"""Folder in the run folder, in which is what was made from less."""
PLAYED = ("held-out-", "validation-")
"""What the collections of the evaluation start with, the last part first."""


def note_cut(run: RunFolder, name: str) -> None:
    """Note that a time limit cut a stage or a collection short."""
    run.append_metrics({"cut": name})


def set_aside_after_cut(run: RunFolder) -> None:
    """Move aside what a run made after the first stage that was cut short, and the end of that stage's training."""
    cut, complete = _first_cut(run)
    if cut is None:
        return
    number = 1
    while (run.path / f"{ASIDE}-{number}").exists():
        number += 1
    aside = run.path / f"{ASIDE}-{number}"
    trained = [path for path in run.path.iterdir() if path.is_dir() and (path / "config.json").is_file()]
    for path in [*trained, *(run.path / "episodes").glob("*")]:
        if path in trained and path.name == cut:  # its training goes on from the state after its last epoch
            for part in path.iterdir():
                if part.name != "state":
                    _move(part, aside / path.name / part.name)
        elif _is_later(path.name, cut, complete, played=path not in trained):
            _move(path, aside / path.relative_to(run.path))
    run.append_metrics({"set_aside_after": cut})


def _first_cut(run: RunFolder) -> tuple[str | None, set[str]]:
    """Return the first stage that was cut short and not completed since, and the stages that were complete before."""
    cut: str | None = None
    complete: set[str] = set()
    for record in run.read_metrics():
        if "set_aside_after" in record:
            cut = None
        elif cut is None and "cut" in record:
            cut = str(record["cut"])
        elif cut is None and "stage" in record:
            complete.add(str(record["stage"]))
    return cut, complete


def _is_later(name: str, cut: str, complete: set[str], *, played: bool) -> bool:
    """Whether a collection or a trained planner depends on the stage that was cut short."""
    if name == cut:
        return False
    for part in PLAYED:
        if cut.startswith(part):  # the planners are complete
            return played and name.startswith(PLAYED[0]) and part != PLAYED[0]
        if played and name.startswith(part):
            return True
    return (f"episodes/{name}" if played else name) not in complete


def _move(path: Path, to: Path) -> None:
    to.parent.mkdir(parents=True, exist_ok=True)
    path.rename(to)
