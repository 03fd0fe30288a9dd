"""The result of a gate, and whether it still counts."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from telic.errors import DataError
from telic.files import read_json, write_json
from telic.promotion.candidates import content_digest
from telic.promotion.records import Version
from telic.promotion.versions import ARTEFACTS, Versions
from telic.purpose import Purpose
from telic.statistics import Interval, bootstrap_mean, paired_difference

__all__ = [
    "CheckVerdict",
    "GateCheck",
    "GateResult",
    "newest_passed",
    "purpose_digest",
    "verdict_of",
    "why_not_promoted",
]

CheckVerdict = Literal["passed", "worse", "inconclusive", "skipped"]
"""`worse`: significantly worse by more than the margin; `inconclusive`: the data do not show that it is no worse;
`skipped`: the check does not apply."""
GATE = "gate.json"
ONE_SIDED = 0.90
"""Level of a two-sided interval of which each end is a one-sided 95 % bound."""


class GateCheck(BaseModel):
    """One comparison of the candidate with the served version. Higher is better in all of them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    verdict: CheckVerdict
    measure: str = ""
    """What is compared."""
    candidate: Interval | None = None
    served: Interval | None = None
    difference: Interval | None = None
    """Candidate less served, paired. The lower end is a one-sided 95 % bound."""
    margin: float | None = None
    """The check is passed if the lower end is above its negative."""
    note: str = ""

    @classmethod
    def paired(
        cls,
        name: str,
        measure: str,
        candidate: Mapping[Any, float | None],
        served: Mapping[Any, float | None],
        margin: float,
        *,
        bounds: tuple[float, float] | None = (0.0, 1.0),
        resamples: int = 2000,
        seed: int = 0,
    ) -> GateCheck:
        """Compare values of the same units.

        Args:
            name: name of the check.
            measure: what the values are.
            candidate: a value by unit; None is missing.
            served: likewise.
            margin: how much worse the candidate may be.
            bounds: the range of a value, if it has one; else that of the values counts where all differences are equal.
            resamples: of the bootstrap.
            seed: of the bootstrap.
        """
        units = [unit for unit in candidate if unit in served]
        ours, theirs = [candidate[unit] for unit in units], [served[unit] for unit in units]
        how: dict[str, Any] = {"resamples": resamples, "seed": seed}
        apart = None if bounds is None else (bounds[0] - bounds[1], bounds[1] - bounds[0])
        found = paired_difference(ours, theirs, confidence=ONE_SIDED, bounds=apart, **how).difference
        if (
            found.low is None and found.n > 1
        ):  # all differences are equal: a pair of another kind may be as rare as 3 / n
            present = [value for value in (*ours, *theirs) if value is not None]
            reach = max(present) - min(present)
            found = paired_difference(ours, theirs, confidence=ONE_SIDED, bounds=(-reach, reach), **how).difference
        return cls(
            name=name,
            verdict=verdict_of(found, margin),
            measure=measure,
            candidate=bootstrap_mean(ours, bounds=bounds, **how),
            served=bootstrap_mean(theirs, bounds=bounds, **how),
            difference=found,
            margin=margin,
            note="" if found.n else "no unit has a value for both versions",
        )


class GateResult(BaseModel):
    """All checks of a version."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: str
    served: str
    """The version with which it was compared."""
    model: str
    created: float = Field(default_factory=time.time)
    """Seconds since 1970."""
    purpose_sha256: str
    """Of what the purpose file says the chatbot is for: another file needs another gate."""
    content: str
    """SHA-256 of the artefacts that were compared."""
    settings: dict[str, Any]
    checks: list[GateCheck]
    passed: bool
    headline: str

    @classmethod
    def read(cls, versions: Versions, name: str) -> GateResult | None:
        """Read the result of a version's gate; None if it was not run.

        Raises:
            DataError: it is damaged.
        """
        path = versions.path(name) / GATE
        if not path.exists():
            return None
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(map(str, first["loc"]))
            raise DataError(f"{str(path)!r} is damaged: {where}: {first['msg']}; run the gate again") from None

    def write(self, versions: Versions) -> None:
        """Keep it with its version.

        Raises:
            RunError: it cannot be written.
        """
        write_json(versions.path(self.version) / GATE, self.model_dump(mode="json"))


def verdict_of(difference: Interval, margin: float) -> CheckVerdict:
    """Return whether an interval of a difference shows that it is no worse than the negative margin."""
    if difference.low is not None and difference.low > -margin:
        return "passed"
    return "worse" if difference.high is not None and difference.high < -margin else "inconclusive"


def purpose_digest(written: Purpose) -> str:
    """Compute the SHA-256 of a purpose file's values. How it is served is no part of it."""
    return hashlib.sha256(written.model_dump_json(exclude={"serve"}).encode()).hexdigest()


def why_not_promoted(versions: Versions, version: Version, written: Purpose) -> str:
    """Return why a version may not be promoted; empty if it may."""
    gate = GateResult.read(versions, version.name)
    again = f"; run it with: telic learn PURPOSE --gate {version.name}"
    if version.rejected and (gate is None or gate.passed):
        return f"{version.name} was rejected: {version.rejected}"
    if gate is None:
        return f"the gate of {version.name} was not run{again}"
    if not gate.passed:
        return f"{version.name} has not passed its gate: {gate.headline}"
    if gate.served != versions.promotion.version:
        served = versions.promotion.version
        return f"the gate compared {version.name} with {gate.served}, but {served} is served now{again}"
    if gate.purpose_sha256 != purpose_digest(written):
        return f"the purpose file has changed since the gate of {version.name}{again}"
    if gate.content != content_digest(versions.path(version.name) / ARTEFACTS):
        return f"the artefacts of {version.name} have changed since its gate{again}"
    return ""


def newest_passed(versions: Versions, written: Purpose) -> Version | None:
    """Return the newest candidate that may be promoted; None if there is none."""
    for version in reversed(versions.all()):
        if versions.status(version) == "candidate" and not why_not_promoted(versions, version, written):
            return version
    return None
