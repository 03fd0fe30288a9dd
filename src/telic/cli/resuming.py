"""Resuming a run: its folder has the arguments that it was started with, so that `--resume FOLDER` is enough."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from telic.cli.human_play import TYPED
from telic.cli.usage import UsageError
from telic.runs import RunFolder

__all__ = ["resume_hint", "resumed_arguments"]

RESUMABLE = ("demo", "measure", "hold", "play", "train", "attack", "pair")


def resume_hint(folder: Path | None) -> str:
    """Say how to resume an interrupted run; `folder` is its run folder, None before it had one."""
    if folder is None:
        return "nothing was played yet"
    run = RunFolder.open(folder)
    return f"{_kept(run)}. To continue: telic {run.document['verb']} --resume {folder}"


def _kept(run: RunFolder) -> str:
    if run.document["verb"] == "pair":
        return "the session is saved"
    finished = len(run.done())
    if finished:
        return f"{finished} finished {'episode is' if finished == 1 else 'episodes are'} saved"
    if (run.path / TYPED).is_file():
        return "what you have said is saved"
    return "finished stages are saved" if run.document["verb"] == "train" else "no episode was finished"


def resumed_arguments(command: str, arguments: Sequence[str]) -> list[str] | None:
    """Return the arguments that a run to resume was started with.

    Args:
        command: name of the command.
        arguments: its arguments.

    Returns:
        None if no run is to be resumed, or if it was started from Python.

    Raises:
        UsageError: another command started the run.
        RunError: there is no such run, or it cannot be read.
    """
    folder = _folder_to_resume(arguments)
    if folder is None or command not in RESUMABLE:
        return None
    document = RunFolder.open(folder).document
    verb = document.get("verb")
    if verb != command:
        hint = f"Continue it with: telic {verb} --resume {folder}" if verb in RESUMABLE else "It cannot be resumed."
        raise UsageError(f"--resume: {folder} is a run of {verb!r}; expected a run of {command!r}. {hint}")
    return document.get("arguments")


def _folder_to_resume(arguments: Sequence[str]) -> str | None:
    for index, argument in enumerate(arguments):
        if argument.startswith("--resume="):
            return argument.partition("=")[2]
        if argument == "--resume" and index + 1 < len(arguments):
            return arguments[index + 1]
    return None
