"""The repository of an issue as a git checkout of one commit, for workspaces to start from."""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path, PurePosixPath
from types import TracebackType
from typing import Self

from telic.errors import DataError
from telic.issues.issue import Issue
from telic.workspaces.git import git
from telic.workspaces.locked_folder import LockedFolder

__all__ = ["IssueCheckout"]

LARGEST_ARCHIVE = 1 << 30
"""Bytes of an archive's files together."""


class IssueCheckout:
    """A git checkout that holds the repository of an issue; the issue's own repository is not changed.

    A git checkout is used as it is. An archive or another folder is unpacked into a temporary checkout of one commit.

    Raises:
        DataError: the repository does not exist, or the archive cannot be unpacked.
    """

    def __init__(self, issue: Issue) -> None:
        self._folder: LockedFolder | None = None
        source = issue.repository
        if not source.exists():
            raise DataError(f"issue {issue.id!r}: its repository {str(source)!r} does not exist")
        if source.is_dir() and (source / ".git").exists() and not issue.left_out:
            self.path, self.base = source, issue.base
            return
        self._folder = LockedFolder()
        self.path, self.base = self._folder.path / "repository", "HEAD"
        self.path.mkdir()
        try:
            self._fill(source, issue)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Delete the temporary checkout, if there is one."""
        if self._folder is not None:
            self._folder.close()

    def _fill(self, source: Path, issue: Issue) -> None:
        if source.is_dir():
            left_out = shutil.ignore_patterns(".git", "__pycache__", *issue.left_out)
            shutil.copytree(source, self.path, symlinks=True, dirs_exist_ok=True, ignore=left_out)
        else:
            _unpack(source, self.path)
        for path in self.path.rglob("*"):  # a copy of a read-only folder is read-only too
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() else path.stat().st_mode | 0o644)
        git(self.path, "init", "--quiet")
        git(self.path, "add", "--all", "--force")
        git(self.path, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--no-verify", "-m", "base")


def _unpack(archive: Path, folder: Path) -> None:
    try:
        with tarfile.open(archive) as file:
            size = 0
            for member in file:
                if ".git" in PurePosixPath(member.name.lower()).parts:
                    continue  # it could name another repository, or settings that reach outside
                size += member.size
                if size > LARGEST_ARCHIVE:
                    raise DataError(f"{str(archive)!r} holds more than {LARGEST_ARCHIVE >> 20} MiB")
                file.extract(member, folder, filter="data")
    except (OSError, tarfile.TarError) as error:
        raise DataError(f"{str(archive)!r} cannot be unpacked: {error}") from None
