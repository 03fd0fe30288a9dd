"""An issue: what a user wants changed in a repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Issue"]


@dataclass(frozen=True, slots=True)
class Issue:
    """An issue, as its author knows it and as it is first told."""

    id: str
    title: str
    full_text: str
    """Everything that its author knows."""
    hidden_text: str
    """What the author says at first: the full text without what has to be asked for."""
    repository: Path
    """A git checkout, a folder, or an archive (`.tar.gz`) of one."""
    base: str = "HEAD"
    """The commit to start from, if the repository is a git checkout."""
    must_turn_green: tuple[str, ...] = ()
    """Tests that fail now and have to pass: single tests, files or folders, as pytest names them."""
    must_stay_green: tuple[str, ...] = ()
    """Tests that pass now and still have to."""
    test_patch: str = ""
    """The patch that brings the tests. It is applied for judging only, so that nobody sees them before."""
    test_folders: tuple[str, ...] = ()
    """Folders that belong to the tests, besides those that hold them."""
    gold_patch: str = ""
    """A patch that resolves the issue, if one is known."""
    environment: str = ""
    """Name of the recipe that its tests need; by default they run in Telic's own environment."""
    left_out: tuple[str, ...] = ()
    """Folders of the repository that are not part of the issue, such as one with the solution."""

    @property
    def test_files(self) -> tuple[str, ...]:
        """The files and folders of its tests."""
        tests = (*self.must_turn_green, *self.must_stay_green)
        return tuple(sorted({test.partition("::")[0] for test in tests}))
