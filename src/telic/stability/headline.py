"""Whether stability fell, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from telic.stability.curves import ALPHA, Drop

__all__ = ["TOO_FEW", "drift_sentence"]

TOO_FEW = "too few dialogues to tell"
"""How the sentence begins if the number of dialogues can make no drop significant."""


def drift_sentence(drops: Sequence[Drop], drift_round: int | None) -> str:
    """Say whether stability fell, from which round on and by how much."""
    tested = [drop for drop in drops if drop.n]
    if not tested:
        return "nothing to compare: no dialogue has scores at two rounds"
    last = tested[-1]
    if drift_round is not None:
        first = next(drop for drop in drops if drop.round == drift_round)
        again = [str(drop.round) for drop in tested if drop.round > drift_round and not drop.significant]
        text = f"drifts significantly from round {drift_round} ({_numbers(first)})"
        if last is not first:
            text += f"; by round {last.round}: {_numbers(last)}"
        return text + (f"; not significant at round {', '.join(again)}" if again else "")
    # The sign-flip test cannot give a p below 2 / 2^n, which Holm multiplies by the number of rounds at first.
    needed = math.floor(math.log2(2 * len(tested) / ALPHA)) + 1
    most = max(drop.n for drop in tested)
    if most < needed:
        return (
            f"{TOO_FEW}: n = {most}, and a drop over {len(tested)} rounds can be significant from "
            f"n = {needed} on ({_numbers(last)} at round {last.round})"
        )
    corrected = f", before correction for {len(tested)} rounds" if len(tested) > 1 else ""
    return f"no significant drift in {last.round} rounds ({_numbers(last)} at the last{corrected})"


def _numbers(drop: Drop) -> str:
    text = f"{drop.difference:+.2f}"
    if drop.low is not None and drop.high is not None:
        text += f" [{drop.low:+.2f}, {drop.high:+.2f}]"
    return f"{text.replace('-', '−')}, n = {drop.n}"
