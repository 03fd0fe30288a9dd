"""What is kept of a version, and which one is promoted."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = ["BASE", "Promotion", "PromotionChange", "Version", "VersionStatus", "is_version_name"]

BASE = "base"
"""Name of the purpose file as it is written, without the changes of a version."""
VersionStatus = Literal["candidate", "promoted", "rejected", "retired"]
"""`candidate`: registered; `promoted`: the one that is served; `rejected`: the gate or the canary refused it;
`retired`: it was promoted before."""
_NAME = re.compile(r"v[1-9]\d{0,8}")


class Version(BaseModel):
    """A version of a chatbot: what a learner made, and the settings of the purpose file that it changes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    """`v1`, `v2`, ..."""
    purpose: str
    """Name of the purpose."""
    parent: str
    """The version that was promoted when it was registered, whose changes it includes; `base` for the file alone."""
    created: float
    """Seconds since 1970."""
    method: str
    """The learner that made it."""
    changes: dict[str, Any]
    """All settings of the purpose file that differ, those of its parents included. A `path` in them is relative to the
    folder of the versions."""
    metrics: dict[str, Any] = Field(default_factory=dict)
    """What the learner reported."""
    content: str
    """SHA-256 of its artefacts."""
    sources: int = 0
    """Number of conversations that it was trained on; `sources.txt` has their ids."""
    sources_sha256: str = ""
    deleted_sources: int = 0
    """How many of them were deleted since."""
    rejected: str = ""
    """Why it was rejected; empty if it was not."""

    @property
    def number(self) -> int:
        """The number in its name."""
        return int(self.name[1:])


class PromotionChange(BaseModel):
    """A promotion or a rollback."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    """What is served from then on."""
    time: float
    """Seconds since 1970."""
    how: Literal["promoted", "forced", "rolled back"]
    reason: str = ""


class Promotion(BaseModel):
    """Which version is promoted. It is one small file, which is replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str
    stack: tuple[str, ...] = ()
    """The promoted versions; the last one is served, and a rollback goes to the one before. Empty: the file alone."""
    log: tuple[PromotionChange, ...] = ()
    """All changes so far."""

    @property
    def version(self) -> str:
        """The version that is served."""
        return self.stack[-1] if self.stack else BASE


def is_version_name(name: str) -> bool:
    """Return whether a text has the form of a version's name."""
    return _NAME.fullmatch(name) is not None
