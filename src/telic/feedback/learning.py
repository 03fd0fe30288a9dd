"""`learn`: label conversations, analyse them, and keep the analysis in a run folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from telic.episodes import Episode
from telic.feedback.analysis import Analysis, analyse_conclusions
from telic.feedback.combination import Combination
from telic.feedback.labelling import Labeller
from telic.feedback.parallel import PartedSource, conclude_in_parallel, seldom_collecting
from telic.feedback.summaries import Conclusion, conclude
from telic.judges import Judge
from telic.progress import Phase, ProgressCallback, ProgressTracker, track
from telic.runs import RunFolder

__all__ = ["LabelledEpisodes", "LearnRun", "learn"]

COUNTED = 100
"""Conversations between two reports of progress."""


@dataclass(frozen=True)
class LabelledEpisodes:
    """Episodes, labelled each time that they are read, so that none has to be kept."""

    source: Iterable[Episode]
    """It can be read more than once: a list, a `LogFile`, the conversations of a store."""
    combination: Combination | None = None
    limits: Sequence[Judge] = ()

    def __iter__(self) -> Iterator[Episode]:
        return Labeller(self.combination, limits=self.limits).label_all(self.source)


@dataclass(frozen=True)
class LearnRun:
    """What was learnt from conversations."""

    analysis: Analysis
    labelled: LabelledEpisodes
    """The labelled episodes, for an export or a buffer."""
    folder: Path | None


def learn(
    source: Iterable[Episode],
    *,
    name: str = "conversations",
    combination: Combination | None = None,
    limits: Sequence[Judge] = (),
    folder: str | Path | None = None,
    resamples: int = 2000,
    processes: int = 1,
    influence_cap: float | None = None,
    progress: bool | ProgressCallback = False,
) -> LearnRun:
    """Infer from what users said and did how good the replies were, and analyse it.

    Args:
        source: conversations as episodes, the oldest first; it may be read again later.
        name: what they belong to, for the run folder and the report.
        combination: weights of the evidence; by default those that come with Telic.
        limits: judges of limits: blame for a refusal that a limit demands is left out.
        folder: folder in which the run's folder is made; None for none.
        resamples: of each bootstrap, at most.
        processes: that label conversations, if the source is a `PartedSource`, as a store is. A script that asks for
            several needs `if __name__ == "__main__":`, because each of them imports it.
        influence_cap: largest share of a user in every estimate; None for none.
        progress: what gets reports of the progress; True for a display.

    Raises:
        ConfigError: the cap is no share.
        DataError: there is no conversation with a reply, or a file holds what is no conversation.
        RunError: the run folder cannot be written.
    """
    labelled = LabelledEpisodes(source, combination, limits)
    if folder is None:
        with track(progress) as tracker:
            return LearnRun(_analyse(labelled, resamples, processes, influence_cap, tracker), labelled, None)
    weights = Combination.bundled() if combination is None else combination
    config = {"source": str(name), "resamples": resamples, "weights": dict(weights.weights)}
    if influence_cap is not None:
        config["influence_cap"] = influence_cap
    with RunFolder.create(folder, "learn", name, config) as run, track(progress) as tracker:
        analysis = _analyse(labelled, resamples, processes, influence_cap, tracker)
        run.append_metrics({"headline": analysis.headline, "analysis": analysis.model_dump(mode="json")})
    return LearnRun(analysis, labelled, run.path)


def _analyse(
    labelled: LabelledEpisodes, resamples: int, processes: int, influence_cap: float | None, tracker: ProgressTracker
) -> Analysis:
    tracker.start(phases=[Phase("reading", "conversations")])
    tracker.begin("reading")
    conclusions: Iterator[Conclusion | None] = map(conclude, labelled)
    if processes > 1 and isinstance(labelled.source, PartedSource):
        conclusions = conclude_in_parallel(labelled.source, processes, labelled.combination, labelled.limits)
    with seldom_collecting():
        return analyse_conclusions(_counted(conclusions, tracker), resamples, influence_cap=influence_cap)


def _counted(conclusions: Iterator[Conclusion | None], tracker: ProgressTracker) -> Iterator[Conclusion | None]:
    while batch := list(islice(conclusions, COUNTED)):
        yield from batch
        tracker.advance(len(batch))
