"""Which paths of a workspace may be read and written."""

from __future__ import annotations

import re
import stat
from collections.abc import Collection
from fnmatch import translate
from functools import cache
from pathlib import Path, PurePosixPath

from telic.errors import WorkspaceError

__all__ = ["guard_path", "is_private", "is_secret"]

PRIVATE = (".env", ".env.*", ".envrc", ".netrc", ".npmrc", ".pypirc", ".pgpass", ".htpasswd", ".git-credentials")
"""Files that hold credentials. Neither the model nor untrusted code gets them."""
SECRET: tuple[str, ...] = (
    *PRIVATE,
    "*.pem",
    "*.key",
    "*.p12",
    "*.pfx",
    "*.jks",
    "*.keystore",
    "id_rsa*",
    "id_dsa*",
    "id_ecdsa*",
)
SECRET += ("id_ed25519*", "credentials", "credentials.*", "secrets.*", "*.kdbx", "*.ovpn", "service-account*.json")
"""Files that may hold a key. The model does not read them; code does, as tests use keys of their own."""
SECRET_FOLDERS = frozenset({".aws", ".ssh", ".gnupg", ".kube", ".docker"})
EXAMPLES = (".env.example", ".env.sample", ".env.template", ".env.dist", "secrets.py", "credentials.py")
"""Names like those of secret files that hold none."""
RUN_BY_GIT = frozenset({".gitmodules", ".gitattributes", ".githooks", ".husky", ".pre-commit-config.yaml"})
"""Files and folders that make git run programs on the user's machine."""
_GIT_FOLDER = re.compile(r"\.git|git~\d+", re.IGNORECASE)
"""`.git`, and what Windows and macOS take for it."""
_IGNORED_CHARACTERS = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def guard_path(root: Path, path: str, *, writing: bool = False, submodules: Collection[str] = ()) -> Path:
    """Return the place of a path in a workspace.

    Args:
        root: the workspace's folder, resolved.
        path: relative to it, with `/` between names.
        writing: whether the file is to be changed or created.
        submodules: paths of the repository's submodules.

    Raises:
        WorkspaceError: the path leads outside, to git's own files, to a submodule or to a secret; or it is written
            through a symbolic link, or would change what git runs.
    """
    if not path or "\0" in path or "\\" in path or path.startswith(("/", "~")) or re.match("[A-Za-z]:", path):
        raise WorkspaceError(f"{path!r} is not a path in the workspace; give one relative to its folder, with '/'")
    parts = PurePosixPath(path).parts
    if ".." in parts:
        raise WorkspaceError(f"{path!r} contains '..'; give the path from the workspace's folder")
    _refuse_names(path, parts, writing)
    for submodule in submodules:
        if parts[: len(PurePosixPath(submodule).parts)] == PurePosixPath(submodule).parts:
            raise WorkspaceError(f"{path!r} is in the submodule {submodule!r}, which is not part of the workspace")
    place = root.joinpath(*parts)
    resolved = place.resolve()
    if resolved != root and root not in resolved.parents:
        raise WorkspaceError(f"{path!r} leads outside of the workspace through a symbolic link")
    if resolved != place:
        if writing:
            raise WorkspaceError(f"{path!r} leads through a symbolic link; change the file that it points to")
        _refuse_names(path, resolved.relative_to(root).parts, writing)
    if place.exists() and not place.is_dir() and not stat.S_ISREG(place.stat().st_mode):
        raise WorkspaceError(f"{path!r} is not a file")
    return place


def _refuse_names(path: str, parts: tuple[str, ...], writing: bool) -> None:
    for part in parts:
        if _GIT_FOLDER.fullmatch(_IGNORED_CHARACTERS.sub("", part).rstrip(". ")):
            raise WorkspaceError(f"{path!r} belongs to git; the workspace's own functions read and write that")
    if writing and (found := RUN_BY_GIT & {part.lower() for part in parts}):
        raise WorkspaceError(f"{path!r}: {min(found)!r} can make git run programs; a person has to change it")
    if is_secret("/".join(parts)):
        raise WorkspaceError(f"{path!r} may hold secrets and is not read or written")


def is_secret(path: str) -> bool:
    """Return whether a file may hold a key or a password, by its name."""
    return _matches(path, SECRET)


def is_private(path: str) -> bool:
    """Return whether a file holds credentials of a person, by its name. Untrusted code does not get it."""
    return _matches(path, PRIVATE)


def _matches(path: str, patterns: tuple[str, ...]) -> bool:
    parts = PurePosixPath(path.lower()).parts
    if not parts or parts[-1] in EXAMPLES:
        return False
    return bool(SECRET_FOLDERS & set(parts)) or bool(_one_of(patterns).fullmatch(parts[-1]))


@cache
def _one_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(translate, patterns)))
