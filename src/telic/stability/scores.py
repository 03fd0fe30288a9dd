"""Scores by dialogue, probe and round: what every part of the analysis starts from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from telic.episodes import Branch, Episode
from telic.statistics import mean

__all__ = ["NumberedBranch", "ProbeKey", "Scores", "numbered_branches", "score_by_round", "scores_by_side", "scores_of"]

NumberedBranch = tuple[int, Branch]
"""Number of the dialogue, and a branch of it."""
ProbeKey = tuple[int, str, str]
"""Number of the dialogue, role, probe: what is compared with itself over rounds."""
Scores = dict[ProbeKey, dict[int, float]]
"""Mean score by round; a round without a score is absent."""


def numbered_branches(episodes: Sequence[Episode]) -> list[NumberedBranch]:
    """List the branches of all dialogues."""
    return [(number, branch) for number, episode in enumerate(episodes) for branch in episode.branches]


def scores_of(observed: Sequence[NumberedBranch]) -> Scores:
    """Average the scores of each probe's answers, by round."""
    answers: defaultdict[ProbeKey, defaultdict[int, list[float | None]]] = defaultdict(lambda: defaultdict(list))
    for dialogue, branch in observed:
        found = answers[dialogue, branch.role, branch.probe][branch.round]
        found.extend(answer.score for answer in branch.answers)
    return {
        key: {round_: score for round_, found in rounds.items() if (score := mean(found)) is not None}
        for key, rounds in answers.items()
    }


def score_by_round(episode: Episode) -> dict[int, float]:
    """Average the scores of one dialogue at each round that has any."""
    by_round: defaultdict[int, list[float]] = defaultdict(list)
    for rounds in scores_of(numbered_branches([episode])).values():
        for round_, score in rounds.items():
            by_round[round_].append(score)
    return {round_: sum(found) / len(found) for round_, found in sorted(by_round.items())}


def scores_by_side(scores: Scores) -> dict[tuple[int, str], dict[int, float]]:
    """Average the scores over the probes of each side (dialogue, role), by round."""
    sides: defaultdict[tuple[int, str], defaultdict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    for (dialogue, role, _), rounds in scores.items():
        for round_, score in rounds.items():
            sides[dialogue, role][round_].append(score)
    return {
        side: {round_: sum(found) / len(found) for round_, found in rounds.items()} for side, rounds in sides.items()
    }
