"""Assignment: two players, each of whom sees part of a table, match reviewers with papers.

The optimization game of Lin et al. (arXiv 2305.20076): 8 reviewers, 8 papers, and a table of how well each reviewer
suits each paper (0 to 99). A player sees a cell with probability 0.4, multiplied by a scale of its own, so the two
cannot simply compare numbers. A cell that nobody sees counts 50. Episodes are drawn so that the best assignment on the
pooled information scores at least a quarter more than the best guess of either player. Both may propose a full
assignment; the normalised score is its sum divided by the best possible sum.

Random proposals reach a mean of 0.610, people 0.921 (134 games). If no draw out of 10,000 meets the condition, the last
one is played, as in the recorded games (6 of 134 players there could do well alone).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from telic.games.assignment_draws import SIZE, best_assignment, draw_assignment
from telic.games.base import IllegalActError, References
from telic.games.decisions import Decision, DecisionGame, mentions

__all__ = ["PAPERS", "REVIEWERS", "AssignmentGame", "read_assignment"]

PAPERS = ("Atlas", "Beacon", "Cobalt", "Dynamo", "Ember", "Fathom", "Glacier", "Harbor")
REVIEWERS = (
    "Amina Diallo", "Bruno Keller", "Chiara Rossi", "Dmitri Volkov",
    "Elena Marin", "Farid Nouri", "Greta Lund", "Hiro Tanaka",
)  # fmt: skip

_NAMES = (*PAPERS, *REVIEWERS, *(name.split()[0] for name in REVIEWERS), *(name.split()[1] for name in REVIEWERS))


@dataclass
class AssignmentGame(DecisionGame):
    """The assignment game; a decision is the reviewer of each paper."""

    name: ClassVar[str] = "assignment"
    roles: ClassVar[tuple[str, ...]] = ("agent", "partner")

    max_turns: int = 60
    """Hard cap of accepted acts. Recorded games of people have a mean of 16 and a maximum of 59."""

    def _draw(self, seed: int) -> None:
        drawn = draw_assignment(seed)
        self._table = drawn.table
        scales = np.random.default_rng((seed, 1)).uniform(1, 10, size=2)
        self._shown = [
            np.where(seen, (drawn.table * scale).astype(int), -1)
            for seen, scale in zip(drawn.seen, scales, strict=True)
        ]
        self._scales = scales
        self.best = self.value(self.optimum())

    def optimum(self) -> Decision:
        """Return the best assignment: the reviewer of each paper."""
        return tuple(best_assignment(self._table.T).tolist())

    def value(self, decision: Decision) -> int:
        """Return the sum over the assignment on the pooled table."""
        return total(self._table, decision)

    def parts(self, decision: Decision) -> tuple[str, ...]:
        """Return the reviewers, paper by paper."""
        return tuple(REVIEWERS[reviewer] for reviewer in decision)

    def references(self) -> References:
        """Return the random and the perfect player, and the score of people in arXiv 2305.20076."""
        return References(lower="random", upper="oracle", human=0.921, human_episodes=134)

    def private(self, role: str) -> Mapping[str, Any]:
        """Return the player's scale and its table (reviewer, paper) as shown; -1 marks a hidden cell."""
        side = self.roles.index(role)
        return {"scale": float(self._scales[side]), "table": self._shown[side].tolist()}

    def _instruct(self, role: str) -> str:
        shown = self._shown[self.roles.index(role)]
        known = []
        for number, paper in enumerate(PAPERS):
            seen = [f"{reviewer} {shown[i, number]}" for i, reviewer in enumerate(REVIEWERS) if shown[i, number] >= 0]
            known.append(f"- {paper}: {', '.join(seen) or 'nothing'}")
        return "\n".join(
            [
                "You and a partner assign reviewers to papers, one reviewer to each paper and one paper to each "
                "reviewer. The better the reviewers suit their papers in sum, the better for both of you.",
                "Each of you knows only how well some reviewers suit some papers. Higher is better. Your partner knows "
                "other pairs, and your partner's numbers are on another scale: tell each other what is high and what "
                "is low rather than compare numbers. A pair that neither of you knows counts as average.",
                f"Reviewers: {', '.join(REVIEWERS)}.",
                "What you know, by paper:",
                *known,
                "Begin what you write with the kind of act. [message] talks to your partner. [propose] names the full "
                f"assignment, as in: [propose] {PAPERS[0]}: {REVIEWERS[1]}; {PAPERS[1]}: {REVIEWERS[0]}; and so on "
                f"for all {SIZE} papers. A proposal of your partner must be answered with [accept], which ends the "
                "game, or [reject], after which you go on.",
            ]
        )

    def _choices(self, chosen: Sequence[str]) -> tuple[str, ...]:
        return tuple(name for name in REVIEWERS if name not in chosen) if len(chosen) < SIZE else ()

    def _write(self, parts: Sequence[str]) -> str:
        return "; ".join(f"{paper}: {reviewer}" for paper, reviewer in zip(PAPERS, parts, strict=False))

    def _read(self, content: str) -> Decision:
        return read_assignment(content)

    def _answer_next(self, role: str) -> tuple[str, ...]:
        return (self._next(role),)

    def _talkers(self) -> Mapping[str, tuple[str, ...]]:
        return dict.fromkeys(self.roles, ("message", "propose"))


def total(table: NDArray[Any], decision: Decision) -> int:
    """Return the sum over an assignment.

    Args:
        table: (reviewer, paper).
        decision: the reviewer of each paper.
    """
    return int(table[list(decision), np.arange(len(decision))].sum())


def read_assignment(content: str) -> Decision:
    """Read a full assignment: pairs of a paper and a reviewer, in any order and with any signs between them.

    The first or the last name of a reviewer is enough. The two names of a pair must be on one line, and every paper and
    reviewer must occur once.

    Raises:
        IllegalActError: the text is not a full assignment. The message says what is wrong.
    """
    found = mentions(content, _NAMES)
    papers: dict[int, int] = {}
    reviewers: dict[int, int] = {}
    for (one, _, end), (other, start, _) in zip(found[::2], found[1::2], strict=False):
        if (one < SIZE) == (other < SIZE) or "\n" in content[end:start] or ";" in content[end:start]:
            raise IllegalActError(
                f"{_NAMES[one]!r} and {_NAMES[other]!r} are not a pair; write 'paper: reviewer', pairs separated by ';'"
            )
        paper, reviewer = (one, (other - SIZE) % SIZE) if one < SIZE else (other, (one - SIZE) % SIZE)
        if paper in papers or reviewer in reviewers:
            twice = PAPERS[paper] if paper in papers else REVIEWERS[reviewer]
            raise IllegalActError(f"{twice!r} is assigned twice")
        papers[paper], reviewers[reviewer] = reviewer, paper
    if len(found) % 2:
        raise IllegalActError(f"{_NAMES[found[-1][0]]!r} stands alone; write 'paper: reviewer' for all {SIZE} papers")
    if len(papers) < SIZE:
        missing = ", ".join(paper for number, paper in enumerate(PAPERS) if number not in papers)
        raise IllegalActError(f"no reviewer for: {missing}; a proposal assigns all {SIZE} papers")
    return tuple(papers[paper] for paper in range(SIZE))
