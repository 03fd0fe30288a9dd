"""The sessions on issues (`telic pair`) that the dashboard shows: those of the key's holder, in the folder of runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from telic.errors import DataError
from telic.issues.live import LiveSession, read_live_session
from telic.runs import RunFolder

__all__ = ["ShownIssue", "find_issue", "list_issues"]


@dataclass(frozen=True)
class ShownIssue:
    """A session on an issue."""

    folder: Path
    session: LiveSession
    is_running: bool
    """Whether its process is there, so that it can be answered."""

    @property
    def is_answerable(self) -> bool:
        """Whether it waits for an answer on the page."""
        return self.is_running and self.session.on_page and bool(self.session.waits_for)

    @property
    def status(self) -> str:
        """Where it stands, in a few words."""
        session = self.session
        if session.stage == "done":
            return {"accept": "accepted", "revert": "discarded"}.get(session.decision, "over")
        if not self.is_running:
            return "interrupted"
        if session.waits_for:
            return "waits for you"
        return {"look": "looks at the repository", "write": "writes a patch"}.get(session.stage, "at work")


def list_issues(root: str | Path, holder: str, limit: int) -> list[ShownIssue]:
    """Return the sessions that a holder of a key may see, latest first. Damaged ones are left out."""
    found: list[ShownIssue] = []
    for run in reversed(RunFolder.list(root)):
        found += _of(run, holder)
        if len(found) >= limit:
            break
    return found


def find_issue(root: str | Path, name: str, holder: str) -> ShownIssue | None:
    """Return a session by the name of its folder; None if there is none that the holder may see."""
    run = next((run for run in RunFolder.list(root) if run.path.name == name), None)
    return None if run is None else next(_of(run, holder), None)


def _of(run: RunFolder, holder: str) -> Iterator[ShownIssue]:
    try:
        session = read_live_session(run.path)
    except DataError:
        return
    if session is not None and session.user == holder:
        yield ShownIssue(run.path, session, run.is_locked)
