"""A working tree beside the user's checkout: a `git worktree` of a repository, or a copy of a folder without git.

It lives in a locked temporary folder. What killed processes left is removed when the next tree is opened.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from telic.errors import WorkspaceError
from telic.workspaces.git import changed_paths, describe_git_error, git, try_git
from telic.workspaces.guards import guard_path
from telic.workspaces.locked_folder import PREFIX, LockedFolder, is_stale, remove_stale_folders

__all__ = ["WorkingTree"]

LEFT_OUT = shutil.ignore_patterns(".venv", "venv", "node_modules", "__pycache__", ".tox", ".nox", ".mypy_cache", ".git")
"""Folders that a copy leaves out: they are made from the others, and large."""
DIFF = (
    *("diff", "--cached", "--binary", "--no-ext-diff", "--no-textconv", "--no-color", "--no-renames"),
    *("--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "--submodule=short"),
)
"""Whatever the user's settings say, `git apply` has to read the result."""


class WorkingTree:
    """The files of a repository at a commit, to be changed freely.

    Args:
        source: a folder: a git checkout, or any other folder.
        base: the commit to start from; only for a git checkout.

    Raises:
        WorkspaceError: there is no such folder or commit, or git is not installed.
    """

    def __init__(self, source: str | Path, base: str = "HEAD") -> None:
        source = Path(source).expanduser().resolve()
        if not source.is_dir():
            raise WorkspaceError(f"{str(source)!r} is not a folder")
        top = try_git(source, "rev-parse", "--show-toplevel")
        self.has_git = top.returncode == 0
        """Whether the source is a git checkout."""
        if not self.has_git and "dubious ownership" in top.stderr:
            raise WorkspaceError(describe_git_error(top))
        self.source = Path(top.stdout.removesuffix("\n")).resolve() if self.has_git else source
        """The user's checkout or folder."""
        _remove_stale(self.source if self.has_git else None)
        self._folder = LockedFolder()
        self._home = self._folder.path
        self.root = self._home / self._home.name
        """The folder of the working tree."""
        self._base_tree: Path | None = None
        try:
            self.base = self._add_worktree(base) if self.has_git else self._copy(source)
            """The commit that it started from."""
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def base_tree(self) -> Path:
        """A second working tree, at the base; made when it is first asked for."""
        if self._base_tree is None:
            path = self._home / "base"
            git(self.root, "worktree", "add", "--detach", "--quiet", str(path), self.base)
            self._base_tree = path
        return self._base_tree

    def files(self) -> list[str]:
        """List the files that git tracks or would track, sorted."""
        listed = git(self.root, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
        return sorted({path for path in listed if path and os.path.lexists(self.root / path)})

    def all_files(self) -> list[str]:
        """List all files, those that git ignores included, sorted."""
        return sorted(filter(None, git(self.root, "ls-files", "-z", "--cached", "--others").split("\0")))

    def submodules(self) -> list[str]:
        """List the paths of the repository's submodules. They are not part of the tree."""
        rows = git(self.root, "ls-files", "-z", "--stage").split("\0")
        return [row.partition("\t")[2] for row in rows if row.startswith("160000 ")]

    def diff(self, paths: Sequence[str] = ()) -> str:
        """Return the changes since the base as a patch, new files included; of some paths, or of all."""
        git(self.root, "add", "--all")
        return git(self.root, *DIFF, self.base, "--", *paths)

    def apply(self, patch: str) -> list[str]:
        """Apply a patch to the working tree, as a whole or not at all.

        Returns:
            The paths that it changed.

        Raises:
            WorkspaceError: it does not fit, or it changes what a workspace may not change.
        """
        return _apply(self.root, patch, submodules=self.submodules())

    def restore(self, paths: Iterable[str]) -> None:
        """Give files the content that they had at the base; those that did not exist are deleted."""
        known = set(git(self.root, "ls-tree", "-r", "-z", "--name-only", self.base).split("\0"))
        wanted = sorted(paths)
        for path in set(wanted) - known:
            (self.root / path).unlink(missing_ok=True)
        if old := [path for path in wanted if path in known]:
            git(self.root, "checkout", "--quiet", self.base, "--", *old)

    def revert(self) -> None:
        """Undo all changes."""
        git(self.root, "reset", "--hard", "--quiet", self.base)
        git(self.root, "clean", "-ffdxq")

    def accept(self) -> list[str]:
        """Apply the changes to the user's checkout, as a whole or not at all. Nothing is committed there.

        Returns:
            The paths that changed.

        Raises:
            WorkspaceError: the checkout was changed at the same places in the meantime; the message lists the files.
        """
        patch = self.diff()
        if not patch:
            return []
        outside = None if self.has_git else self.source.parent
        try:
            return _apply(self.source, patch, ceiling=outside)
        except WorkspaceError as error:
            if changed := self.changed_meanwhile(patch):
                files = ", ".join(map(repr, changed))
                raise WorkspaceError(
                    f"{str(self.source)!r} was changed since the workspace was opened, at the same places: {files}. "
                    "Nothing was applied. Undo or commit those changes and start again, or apply the patch by hand."
                ) from error
            raise

    def changed_meanwhile(self, patch: str) -> list[str]:
        """List the files of a patch whose content in the user's checkout is not that of the base."""
        changed = []
        for path in changed_paths(self.root, patch):
            place = self.source / path
            now = git(self.root, "hash-object", "--no-filters", "--", str(place)).strip() if place.is_file() else ""
            then = try_git(self.root, "rev-parse", "--verify", "--quiet", f"{self.base}:{path}").stdout.strip()
            if now != then:
                changed.append(path)
        return changed

    def close(self) -> None:
        """Delete the working tree. The user's checkout stays as it is."""
        if self._folder.is_open and self.has_git:
            _forget(self.source, self._home)
        self._folder.close()

    def _add_worktree(self, base: str) -> str:
        found = try_git(self.source, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
        if found.returncode:
            raise WorkspaceError(f"the repository {str(self.source)!r} has no commit {base!r}")
        commit = found.stdout.strip()
        git(self.source, "worktree", "add", "--detach", "--quiet", str(self.root), commit)
        return commit

    def _copy(self, source: Path) -> str:
        try:
            shutil.copytree(source, self.root, symlinks=True, ignore=LEFT_OUT)
        except OSError as error:
            [first, *_] = error.args[0] if isinstance(error, shutil.Error) else [(str(source), "", str(error))]
            raise WorkspaceError(f"{first[0]!r} cannot be copied: {first[2]}") from None
        git(self._home, "init", "--quiet", f"--separate-git-dir={self._home / 'git'}", str(self.root))
        git(self.root, "add", "--all")
        git(self.root, "commit", "--quiet", "--allow-empty", "--no-gpg-sign", "--no-verify", "-m", "base")
        return git(self.root, "rev-parse", "HEAD").strip()


def _apply(root: Path, patch: str, *, submodules: Sequence[str] = (), ceiling: Path | None = None) -> list[str]:
    paths = changed_paths(root, patch)
    for path in paths:
        guard_path(root, path, writing=True, submodules=submodules)
    result = try_git(root, "apply", "--whitespace=nowarn", "-", text=patch, ceiling=ceiling)
    if result.returncode:
        raise WorkspaceError(f"the patch does not fit: {describe_git_error(result)}")
    return paths


def _remove_stale(repository: Path | None) -> None:
    """Remove what killed processes left: first git's records of working trees, then the trees."""
    if repository is not None:
        listed = git(repository, "worktree", "list", "--porcelain").splitlines()
        trees = [Path(line.removeprefix("worktree ")) for line in listed if line.startswith("worktree ")]
        ours = {tree.parent for tree in trees if tree.parent.name.startswith(PREFIX)}
        for home in {home for home in ours if is_stale(home) or not home.exists()}:
            _forget(repository, home)
    remove_stale_folders()


def _forget(repository: Path, home: Path) -> None:
    """Delete the working trees in a folder, and git's records of them; the user's own records stay, stale or not."""
    for name in (home.name, "base"):
        shutil.rmtree(home / name, ignore_errors=True)
        try_git(repository, "worktree", "remove", "--force", "--force", str(home / name))
