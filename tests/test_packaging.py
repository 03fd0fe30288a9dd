"""What an installation brings."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]

ADVISORIES = {
    "h11": ("0.15.0", "CVE-2025-43859"),
    "nicegui": ("3.11.1", "CVE-2026-45553, CVE-2026-45554"),
    "starlette": ("1.3.0", "CVE-2026-54283"),
}
"""By package of the extra `server`: the latest version with a known advisory, and the advisory."""


@pytest.mark.parametrize("name", ADVISORIES)
def test_no_version_with_a_known_advisory_can_be_installed(name: str) -> None:
    version, advisory = ADVISORIES[name]
    [requirement] = [one for one in map(Requirement, PROJECT["optional-dependencies"]["server"]) if one.name == name]
    assert version not in requirement.specifier, advisory
