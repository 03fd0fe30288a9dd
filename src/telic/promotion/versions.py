"""The versions of a chatbot on disk.

    versions/
      promoted.json     which version is served; replaced as a whole
      v1/
        version.json    parent, method, changes, digests
        sources.txt     ids of the conversations that it was trained on
        gate.json       the result of its gate, once that was run
        artefacts/      what the learner wrote

A version is written into a draft folder, which is then renamed, so a killed process leaves whole versions only. The
status of a version follows from `promoted.json`: no two files could contradict each other.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from telic.errors import ConfigError, DataError, RunError
from telic.files import read_json, write_atomically, write_json
from telic.promotion.candidates import LearnedCandidate, content_digest, keep_artefacts, resolve_changes
from telic.promotion.records import BASE, Promotion, PromotionChange, Version, VersionStatus, is_version_name
from telic.purpose import Purpose
from telic.registry import suggest
from telic.run_lock import HeldLockError, wait_for_lock

__all__ = ["DEFAULT_FOLDER", "LATEST", "Versions", "mark_all_deleted"]

DEFAULT_FOLDER = "versions"
"""Name of the folder beside the purpose file."""
LATEST = "latest"
"""What commands call the newest version."""
POINTER, RECORD, SOURCES, ARTEFACTS, DRAFT = "promoted.json", "version.json", "sources.txt", "artefacts", ".draft-"
LOCK_SECONDS = 10.0
"""How long a change waits for that of another process."""

M = TypeVar("M", bound=BaseModel)


class Versions:
    """The versions of one purpose.

    Args:
        folder: where they are; it need not exist.
        purpose: name of the purpose.
    """

    def __init__(self, folder: str | Path, purpose: str) -> None:
        self.folder, self.purpose = Path(folder), purpose

    @classmethod
    def of(cls, purpose: Purpose, folder: str | Path | None = None) -> Versions:
        """Return the versions of a purpose: in `folder`, or where its [serve] says, or in `versions/` beside the file.

        Raises:
            ConfigError: the setting is no text.
        """
        if folder is not None:
            return cls(folder, purpose.name)
        named = purpose.serve.get("versions", DEFAULT_FOLDER)
        if not isinstance(named, str) or not named:
            raise ConfigError(f"{purpose.where('serve', 'versions')}: found {named!r}; expected a folder")
        return cls((purpose.file.parent if purpose.file else Path()) / named, purpose.name)

    def all(self) -> list[Version]:
        """Read all versions, in the order of their numbers.

        Raises:
            DataError: a record is damaged.
        """
        names = [one.name for one in self.folder.iterdir()] if self.folder.is_dir() else []
        found = [self._read(name) for name in names if is_version_name(name)]
        return sorted((one for one in found if one.purpose == self.purpose), key=lambda one: one.number)

    def get(self, name: str) -> Version:
        """Return a version by its name, or the newest one for `latest`.

        Raises:
            ConfigError: there is no such version.
            DataError: its record is damaged.
        """
        known = self.all()
        if name == LATEST and known:
            return known[-1]
        for one in known:
            if one.name == name:
                return one
        names = [one.name for one in known]
        hint = suggest(name, names) if names else "; register one with: telic learn PURPOSE --candidate FOLDER"
        raise ConfigError(f"{str(self.folder)!r} has no version {name!r} of {self.purpose!r}{hint}")

    def path(self, name: str) -> Path:
        """Return the folder of a version."""
        return self.folder / name

    @property
    def promotion(self) -> Promotion:
        """Which version is promoted.

        Raises:
            DataError: the file is damaged.
        """
        path = self.folder / POINTER
        if not path.exists():
            return Promotion(purpose=self.purpose)
        found = _validated(Promotion, path)
        return found if found.purpose == self.purpose else Promotion(purpose=self.purpose)

    def fingerprint(self, name: str) -> tuple[object, ...]:
        """Return what changes when another version is promoted, or the record of this one is written; reads no file.

        Args:
            name: of a version; it need not exist.
        """
        return _stat(self.folder / POINTER), _stat(self.folder / name / RECORD)

    def status(self, version: Version, promotion: Promotion | None = None) -> VersionStatus:
        """Return the status of a version."""
        promotion = self.promotion if promotion is None else promotion
        if promotion.version == version.name:
            return "promoted"
        if version.rejected:
            return "rejected"
        return "retired" if any(one.version == version.name for one in promotion.log) else "candidate"

    def sources(self, version: Version) -> list[str]:
        """Read the ids of the conversations that a version was trained on."""
        try:
            return (self.path(version.name) / SOURCES).read_text(encoding="utf-8").splitlines()
        except OSError as error:
            raise DataError(f"the sources of {version.name} cannot be read: {error.strerror}") from None

    def apply(self, purpose: Purpose, name: str) -> Purpose:
        """Return a purpose with the changes of a version; `base` for none.

        Raises:
            ConfigError: there is no such version, or its changes do not fit the purpose.
        """
        if name == BASE:
            return purpose
        version = self.get(name)
        try:
            return purpose.with_changes(resolve_changes(version.changes, self.folder))
        except ConfigError as error:
            raise ConfigError(f"version {name} does not fit the purpose {purpose.name!r}: {error}") from None

    def register(self, candidate: LearnedCandidate, purpose: Purpose) -> tuple[Version, bool]:
        """Add a candidate. One that was registered before is found again.

        Returns:
            The version, and whether it is new.

        Raises:
            ConfigError: the folder has versions of another purpose, or the changes do not fit.
            DataError: the candidate is incomplete.
            RunError: it cannot be written.
        """
        with self._changing():
            return self._register(candidate, purpose)

    def _register(self, candidate: LearnedCandidate, purpose: Purpose) -> tuple[Version, bool]:
        self._refuse_other_purposes()
        for left in self.folder.glob(f"{DRAFT}*"):  # of a killed process
            shutil.rmtree(left, ignore_errors=True)
        known, parent = self.all(), self.promotion.version
        name = f"v{1 + max((one.number for one in known), default=0)}"
        draft = self.folder / f"{DRAFT}{os.getpid()}"
        draft.mkdir()
        near = purpose.file.parent if purpose.file else Path()
        own = keep_artefacts(candidate, draft / ARTEFACTS, f"{name}/{ARTEFACTS}", near)
        digest = content_digest(draft / ARTEFACTS)
        for one in known:
            if one.content == digest and one.parent == parent:
                shutil.rmtree(draft)
                return one, False
        before = self.get(parent) if parent != BASE else None
        inherited = before.changes if before else {}
        of_parent = _lines(self.path(parent) / SOURCES) if before else ()  # what it keeps was trained on them
        sources = tuple(dict.fromkeys([*candidate.sources, *of_parent]))
        ids = "".join(f"{one}\n" for one in sources)
        version = Version(
            name=name, purpose=self.purpose, parent=parent, created=time.time(), method=candidate.method,
            changes={**inherited, **own}, metrics=dict(candidate.metrics), content=digest,
            sources=len(sources), sources_sha256=hashlib.sha256(ids.encode()).hexdigest(),
        )  # fmt: skip
        write_atomically(draft / SOURCES, ids)
        write_json(draft / RECORD, version.model_dump(mode="json"))
        purpose.with_changes(version.changes)  # refuses changes that do not fit, before the version exists
        draft.rename(self.folder / name)
        return version, True

    def promote(self, name: str, *, how: str = "promoted", reason: str = "") -> Promotion:
        """Make a version the one that is served. The caller has made sure that it may be.

        Raises:
            ConfigError: there is no such version.
            RunError: it cannot be written.
        """
        with self._changing():
            version, before = self.get(name), self.promotion
            stack = before.stack if before.version == version.name else (*before.stack, version.name)
            return self._point(before, stack, how, reason)

    def rollback(self, reason: str = "") -> Promotion:
        """Serve the version before the promoted one again, or the purpose file alone.

        Raises:
            RunError: none is promoted.
        """
        with self._changing():
            before = self.promotion
            if not before.stack:
                raise RunError(f"no version of {self.purpose!r} is promoted, so there is nothing to roll back")
            return self._point(before, before.stack[:-1], "rolled back", reason)

    def reject(self, name: str, reason: str) -> Version:
        """Mark a version as rejected; an empty reason takes that back.

        Raises:
            ConfigError: there is no such version.
        """
        return self.update(name, rejected=reason)

    def update(self, name: str, **fields: Any) -> Version:
        """Change fields of the record of a version.

        Raises:
            ConfigError: there is no such version.
        """
        with self._changing():
            version = self.get(name).model_copy(update=fields)
            write_json(self.path(version.name) / RECORD, version.model_dump(mode="json"))
        return version

    def mark_deleted(self, conversations: Collection[str]) -> list[Version]:
        """Mark the versions that were trained on conversations that are deleted now.

        Args:
            conversations: ids of all deleted conversations that are known; those of earlier calls may be among them.

        Returns:
            The versions that were trained on some of them.
        """
        deleted, marked = set(conversations), []
        for version in self.all() if deleted else ():
            path = self.path(version.name) / SOURCES
            known = set(_lines(path.with_name("deleted.txt")))
            found = {one for one in _lines(path) if one in deleted}
            if not found:
                continue
            if not found <= known or version.deleted_sources != len(known):
                write_atomically(path.with_name("deleted.txt"), "".join(f"{one}\n" for one in sorted(found | known)))
                version = self.update(version.name, deleted_sources=len(found | known))
            marked.append(version)
        return marked

    def _point(self, before: Promotion, stack: tuple[str, ...], how: Any, reason: str) -> Promotion:
        version = stack[-1] if stack else BASE
        change = PromotionChange(version=version, time=time.time(), how=how, reason=reason)
        after = Promotion(purpose=self.purpose, stack=stack, log=(*before.log, change))
        write_json(self.folder / POINTER, after.model_dump(mode="json"))
        return after

    def _read(self, name: str) -> Version:
        return _validated(Version, self.folder / name / RECORD)

    def _refuse_other_purposes(self) -> None:
        for path in self.folder.glob(f"v*/{RECORD}"):
            other = _validated(Version, path).purpose
            if other != self.purpose:
                raise ConfigError(
                    f"{str(self.folder)!r} has versions of the purpose {other!r}; give {self.purpose!r} a folder of "
                    'its own: [serve] versions = "versions-2"'
                )

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock: one process changes the versions at a time."""
        lock = None
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = wait_for_lock(self.folder / ".lock", LOCK_SECONDS)
            yield
        except HeldLockError as error:
            raise RunError(f"{error.args[0]} is changing {str(self.folder)!r}; try again") from None
        except OSError as error:
            raise RunError(f"cannot write {str(self.folder)!r}: {error.strerror or error}") from error
        finally:
            if lock is not None:
                os.close(lock)


def mark_all_deleted(folder: str | Path, conversations: Collection[str]) -> list[Version]:
    """Mark the versions of all purposes in a folder that were trained on deleted conversations.

    Args:
        folder: of versions; it need not exist.
        conversations: ids of deleted conversations.

    Raises:
        DataError: the record of a version is damaged.
        RunError: it cannot be written.
    """
    records = sorted(Path(folder).glob(f"v*/{RECORD}"))
    purposes = dict.fromkeys(_validated(Version, path).purpose for path in records)
    return [one for purpose in purposes for one in Versions(folder, purpose).mark_deleted(conversations)]


def _validated(form: type[M], path: Path) -> M:
    try:
        return form.model_validate(read_json(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{str(path)!r} is damaged: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


def _stat(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
