"""A canary: a share of the users gets a candidate, until it is clear whether they are less satisfied with it.

Every user counts once, with one conversation: so users are independent, and nobody has more influence than others.
Observations of both versions are paired as they come: those of the candidate since the last pair with those of the
served version since then. So a period in which everybody is less satisfied affects both sides of a pair alike. The
differences are tested by betting (`telic.promotion.sequential`), which is valid under continuous peeking.
"""

from __future__ import annotations

import hashlib
import secrets
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from telic.errors import DataError
from telic.files import read_json, write_json
from telic.promotion.sequential import capital_against, confidence_sequence
from telic.statistics import Interval, mean

__all__ = [
    "Canary",
    "CanaryComparison",
    "CanaryStatus",
    "compare_arms",
    "evidence_against",
    "is_in_canary",
    "paired_differences",
]

CanaryStatus = Literal["running", "rolled back", "no worse", "promoted", "ended"]
"""`no worse`: shown to be no worse within the margin, and waiting for somebody to promote it; `ended`: the settings of
the server changed."""
CanaryVerdict = Literal["worse", "no worse", "undecided"]
FILE = "canary.json"


class Canary(BaseModel):
    """A canary that runs, or the latest one that ran. It is one file, which is replaced as a whole."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    purpose: str
    candidate: str
    """Name of the version that a share of the users gets."""
    served: str
    """Name of the version that all others get."""
    share: float
    salt: str
    """Random: who is in the canary cannot be foretold, and is the same after a restart."""
    started: float
    """Seconds since 1970."""
    status: CanaryStatus = "running"
    reason: str = ""
    """Why it is no longer running."""
    changed: float | None = None
    """When the status changed, in seconds since 1970."""

    @classmethod
    def start(cls, folder: Path, purpose: str, candidate: str, served: str, share: float) -> Canary:
        """Go on with the canary of a folder of versions if it is the same one; otherwise begin one.

        Raises:
            DataError: the record of the last one is damaged.
            RunError: the record cannot be written.
        """
        last, wanted = cls.read(folder), (purpose, candidate, served)
        # With another share, some users change sides: what was seen before does not count.
        if last is not None and (last.purpose, last.candidate, last.served) == wanted and last._goes_on(share):
            return last
        begun = cls(
            purpose=purpose, candidate=candidate, served=served, share=share, salt=secrets.token_hex(16),
            started=time.time(),
        )  # fmt: skip
        begun.write(folder)
        return begun

    def _goes_on(self, share: float) -> bool:
        return self.status == "rolled back" or (self.gives_candidate and self.share == share)

    @classmethod
    def read(cls, folder: Path) -> Canary | None:
        """Read the latest canary of a folder of versions; None if there was none.

        Raises:
            DataError: the record is damaged.
        """
        path = folder / FILE
        if not path.exists():
            return None
        try:
            return cls.model_validate(read_json(path))
        except ValidationError as error:
            raise DataError(f"{str(path)!r} is damaged: {error.errors()[0]['msg']}; delete it to start over") from None

    def write(self, folder: Path) -> None:
        """Replace the record.

        Raises:
            RunError: it cannot be written.
        """
        write_json(folder / FILE, self.model_dump(mode="json"))

    def with_status(self, status: CanaryStatus, reason: str) -> Canary:
        """Return it with another status."""
        return self.model_copy(update={"status": status, "reason": reason, "changed": time.time()})

    @property
    def gives_candidate(self) -> bool:
        """Whether a share of the users gets the candidate."""
        return self.status in ("running", "no worse")

    def arm_of(self, user: str) -> str:
        """Return the name of the version that a user gets while it runs."""
        return self.candidate if is_in_canary(user, self.salt, self.share) else self.served


class CanaryComparison(BaseModel):
    """What is known of the difference between both versions. No user is named."""

    model_config = ConfigDict(frozen=True)

    candidate: Interval
    """Satisfaction of the users with the candidate, with a confidence sequence."""
    served: Interval
    difference: Interval
    """Candidate less served, over pairs, with a confidence sequence."""
    evidence_worse: float
    """Largest capital so far of the bet that the candidate is worse by more than the margin; from `threshold` on it is
    significant."""
    evidence_no_worse: float
    """Likewise, that it is worse by less than the other margin."""
    threshold: float
    verdict: CanaryVerdict

    def __str__(self) -> str:
        return (
            f"satisfaction {self.candidate} against {self.served}, difference {self.difference}, "
            f"n = {self.candidate.n} and {self.served.n} users: {self.verdict}"
        )


def is_in_canary(user: str, salt: str, share: float) -> bool:
    """Return whether a user is in the canary: always the same answer for the same salt."""
    drawn = int.from_bytes(hashlib.sha256(f"{salt}\0{user}".encode()).digest()[:8], "big") / 2**64
    return drawn < share


def compare_arms(
    observations: Iterable[tuple[bool, float]], *, margin: float = 0.0, no_worse: float = 0.05, alpha: float = 0.05
) -> CanaryComparison:
    """Compare the satisfaction of users with the candidate and with the served version.

    Args:
        observations: one for each user, in the order in which they came: whether the user had the candidate, and a
            satisfaction in [0, 1].
        margin: the candidate is `worse` when it is significantly worse by more than this.
        no_worse: it is `no worse` when it is significantly not worse by this.
        alpha: level of each of both tests, and of the intervals.
    """
    seen = list(observations)
    differences = paired_differences(seen)
    worse = evidence_against(differences, -margin, above=True)
    fine = evidence_against(differences, -no_worse, above=False)
    threshold = 1 / alpha
    verdict: CanaryVerdict = "worse" if worse >= threshold else "no worse" if fine >= threshold else "undecided"
    return CanaryComparison(
        candidate=confidence_sequence([value for candidate, value in seen if candidate], alpha=alpha),
        served=confidence_sequence([value for candidate, value in seen if not candidate], alpha=alpha),
        difference=confidence_sequence(differences, alpha=alpha, bounds=(-1, 1)),
        evidence_worse=worse,
        evidence_no_worse=fine,
        threshold=threshold,
        verdict=verdict,
    )


def paired_differences(observations: Sequence[tuple[bool, float]]) -> list[float]:
    """Pair what came since the last pair: the means of both sides, as soon as both have an observation."""
    waiting: dict[bool, list[float]] = {True: [], False: []}
    differences = []
    for candidate, value in observations:
        waiting[candidate].append(value)
        ours, theirs = mean(waiting[True]), mean(waiting[False])
        if ours is not None and theirs is not None:
            differences.append(ours - theirs)
            waiting = {True: [], False: []}
    return differences


def evidence_against(differences: Sequence[float], mean_difference: float, *, above: bool) -> float:
    """Return the largest capital so far of the bet against a mean difference of at least (or at most) a bound."""
    if not differences:
        return 1.0
    x = [(1 + one) / 2 for one in differences]
    return max(1.0, float(capital_against(x, (1 + mean_difference) / 2, above=above).max()))
