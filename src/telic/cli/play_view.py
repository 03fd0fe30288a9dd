"""Tables of the results of games."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from telic.cli.output import print_line, print_table

if TYPE_CHECKING:
    from telic.rollouts import GameResult

__all__ = ["print_results"]


def print_results(results: Sequence[GameResult]) -> None:
    """Print the results of games as tables."""
    columns = ("game", "success", "score", "normalised", "random", "oracle", "human", "valid", "acts", "tokens")
    rows = []
    for result in results:
        references = [result.references.random, result.references.oracle]
        rows.append(
            (
                result.game,
                str(result.success),
                str(result.score),
                str(result.normalised),
                *("-" if score is None else _number(score.normalised.value) for score in references),
                _number(result.human),
                f"{result.valid} of {result.episodes}",
                _number(result.rounds, 1),
                _number(result.tokens, 0),
            )
        )
    print_table(columns, rows)
    for result in results:
        print_line()
        partners = ", ".join(f"{role} {who}" for role, who in result.partners.items())
        trials = f", {result.trials} trials each" if result.trials > 1 else ""
        print_line(f"{result.game}: {result.agent} with {partners or 'no partner'}, {result.tasks} tasks{trials}.")
        if result.pass_hat:
            print_line("pass^k: " + ", ".join(f"{k}: {value:.2f}" for k, value in result.pass_hat.items()))
        for what, counts in (
            ("Invalid, caused by the", result.faults),
            ("Failed:", result.errors),
            ("Not judged:", result.unjudged),
        ):
            for reason, count in counts.items():
                print_line(f"{what} {reason}: {count}")
        if result.notes:
            print_line(
                "Replaced replies and acts of the agent's model: "
                + ", ".join(f"{k} {v}" for k, v in result.notes.items())
                + "."
            )


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
