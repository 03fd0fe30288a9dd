"""The results of a measurement on recorded dialogues: curves by tokens and by round, and paired differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

from telic.comparison.arms import Arm, compare, of_arm
from telic.comparison.results import ArmDifference
from telic.episodes import Episode
from telic.progress import Shortfall
from telic.runs import RunFolder
from telic.stability.analysis import Stability, analyse_stability
from telic.stability.headline import drift_sentence
from telic.stability.lengths import at_marks
from telic.stability.scores import score_by_round
from telic.statistics import holm

__all__ = ["STAGE", "TranscriptArm", "TranscriptRun", "analyse_transcripts", "read_transcripts"]

STAGE = "recorded"
"""What the ids of the episodes start with."""


class TranscriptArm(BaseModel):
    """The baseline, or a control, along the recorded dialogues."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    by_tokens: Stability
    """Its rounds are tokens of the dialogue, without the system prompt."""
    by_round: Stability
    gain: ArmDifference | None = None
    """Difference to the baseline: mean over all lengths of a dialogue but 0, paired by dialogue. p is adjusted over the
    controls (Holm). None for the first arm."""
    gains: dict[int, ArmDifference] = {}
    """The same at each length, in tokens. p is adjusted over all lengths and controls."""


@dataclass(frozen=True)
class TranscriptRun:
    """The result of a measurement on recorded dialogues, and where it is kept."""

    arms: list[TranscriptArm]
    """The baseline first; or the purpose alone."""
    transcripts: dict[str, Any]
    """What was read: `source`, `dialogues` (in it), `read`, `trunks`, `joined` (dialogues in the trunks, 0 if none were
    joined), `tokens` (of the shortest and the longest trunk), `estimated` (whether tokens are), `step`, `notes`."""
    episodes: list[Episode] = field(default_factory=list)
    folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    """The run folder's `config.toml`."""
    shortfall: Shortfall | None = None
    """How many dialogues a time limit left unread; None if all were read."""

    def at(self, folder: Path | None, document: dict[str, Any], shortfall: Shortfall | None) -> Self:
        """Return the result with its place."""
        return replace(self, folder=folder, document=document, shortfall=shortfall)

    @property
    def headline(self) -> str:
        """The finding in one sentence."""
        first = self.arms[0]
        stability = first.by_tokens
        drift = drift_sentence(stability.drops, stability.drift_round, tokens=True)
        parts = [stability.never_followed, f"{first.name}: {drift}" if len(self.arms) > 1 else drift]
        if len(self.arms) > 1:
            parts.append(self._best())
        return "; ".join(part for part in parts if part)

    def _best(self) -> str:
        best = max(
            self.arms[1:], key=lambda arm: -2.0 if arm.gain is None or arm.gain.value is None else arm.gain.value
        )
        assert best.gain is not None
        if best.gain.significantly_positive:
            return f"{best.name} holds the purpose best: {best.gain} over the baseline"
        return f"no control is significantly better than the baseline; the best is {best.name}, {best.gain}"

    @property
    def reading(self) -> str:
        """What was read, in one sentence."""
        found = self.transcripts
        low, high = found["tokens"]
        about = "about " if found["estimated"] else ""
        text = f"{found['trunks']} recorded dialogue{'s' if found['trunks'] != 1 else ''}"
        if found["joined"]:
            text = (
                f"{found['trunks']} trunks, which are {found['joined']} recorded dialogues joined one after another "
                "(nobody had these conversations as a whole)"
            )
        return (
            f"{text}, of {about}{low} to {high} tokens; drawn from {found['dialogues']} in {found['source']}, of which "
            f"{found['read']} were read"
        )

    def as_dict(self) -> dict[str, Any]:
        """Return the finding and all figures as plain data."""
        return {
            "headline": self.headline,
            "shortfall": self.shortfall.as_dict() if self.shortfall else None,
            "transcripts": self.transcripts,
            "arms": [arm.model_dump(mode="json") for arm in self.arms],
        }


def analyse_transcripts(
    episodes: Iterable[Episode], arms: Sequence[Arm], transcripts: Mapping[str, Any], resamples: int
) -> TranscriptRun:
    """Analyse the episodes of all arms.

    Args:
        episodes: as recorded.
        arms: the baseline first.
        transcripts: what was read; see `TranscriptRun`.
        resamples: bootstrap resamples of each interval.

    Raises:
        DataError: there are no episodes.
    """
    played = list(episodes)
    marked = at_marks(played, transcripts["step"])
    by_tokens = [analyse_stability(of_arm(marked, STAGE, arm), resamples=resamples) for arm in arms]
    means, at_length = _gains(marked, arms, by_tokens[0], resamples)
    return TranscriptRun(
        [
            TranscriptArm(
                name=arm.name,
                by_tokens=by_tokens[number],
                by_round=analyse_stability(of_arm(played, STAGE, arm), resamples=resamples),
                gain=means.get(arm.name),
                gains=at_length.get(arm.name, {}),
            )
            for number, arm in enumerate(arms)
        ],
        dict(transcripts),
        played,
    )


def _gains(
    marked: Sequence[Episode], arms: Sequence[Arm], baseline: Stability, resamples: int
) -> tuple[dict[str, ArmDifference], dict[str, dict[int, ArmDifference]]]:
    """Compare each control with the baseline: over all lengths, and at each."""
    lengths = [point.round for point in baseline.curve]
    whole = [compare(marked, STAGE, arm, arms[0], by=_mean_after_start, resamples=resamples) for arm in arms[1:]]
    means = {
        arm.name: ArmDifference.of(one, p)
        for arm, one, p in zip(arms[1:], whole, holm([one.p for one in whole]), strict=True)
    }
    places = [(arm, length) for arm in arms[1:] for length in lengths]
    single = [
        compare(marked, STAGE, arm, arms[0], by=partial(_score_at, length=length), resamples=resamples)
        for arm, length in places
    ]
    at_length: dict[str, dict[int, ArmDifference]] = {}
    for (arm, length), one, p in zip(places, single, holm([one.p for one in single]), strict=True):
        at_length.setdefault(arm.name, {})[length] = ArmDifference.of(one, p)
    return means, at_length


def _score_at(episodes: Sequence[Episode], length: int) -> dict[str, float | None]:
    return {episode.id: score_by_round(episode).get(length) for episode in episodes}


def _mean_after_start(episodes: Sequence[Episode]) -> dict[str, float | None]:
    """Average each dialogue over its lengths but 0."""
    found: dict[str, float | None] = {}
    for episode in episodes:
        scores = [score for length, score in score_by_round(episode).items() if length]
        found[episode.id] = sum(scores) / len(scores) if scores else None
    return found


def read_transcripts(run: RunFolder) -> TranscriptRun:
    """Analyse the dialogues of a run folder again, also of an unfinished run.

    Raises:
        RunError: the run has no episodes yet.
    """
    document, config = run.document, run.config
    resamples = document.get("settings", {}).get("resamples", 2000)
    last = [record for record in run.read_metrics() if "arms" in record]
    shortfall = Shortfall.from_dict(last[-1]["shortfall"]) if last and last[-1].get("shortfall") else None
    arms = [Arm(name) for name in config["arms"]]
    return analyse_transcripts(run.episodes.latest(), arms, config["transcripts"], resamples).at(
        run.path, document, shortfall
    )
