"""A purpose file with versions, for tests of what is served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from telic.promotion import PromotedPurpose, load_version
from telic.promotion.candidates import LearnedCandidate
from telic.promotion.gate_results import GateResult, purpose_digest

PURPOSE = 'name = "travel"\nmodel = "fake"\nsystem = "You are Mia, a travel agent."\n'


def purpose_file(folder: Path) -> Path:
    path = folder / "travel.toml"
    path.write_text(PURPOSE)
    return path


def add_version(path: Path, *, sources: tuple[str, ...] = (), passed: bool | None = True, **changes: Any) -> str:
    """Register a candidate; its gate is passed, or failed, or None: was not run."""
    release = load_version(path)
    number = len(release.versions.all()) + 1
    folder = path.parent / f"learned-{number}"
    folder.mkdir()
    document = {"method": "test", "purpose_changes": changes or {"system": f"Version {number}."}, "sources": sources}
    (folder / "learned.json").write_text(json.dumps(document))
    version, _ = release.versions.register(LearnedCandidate.read(folder), release.written)
    if passed is not None:
        GateResult(
            version=version.name, served=release.version, model="fake", content=version.content, settings={}, checks=[],
            purpose_sha256=purpose_digest(release.written), passed=passed, headline="made by a test",
        ).write(release.versions)  # fmt: skip
    return version.name


def release_of(path: Path, version: str | None = None) -> PromotedPurpose:
    return load_version(path, version)
