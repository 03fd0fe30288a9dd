"""Whether stability fell, in one sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from telic.stability.curves import ALPHA, Drop

__all__ = ["TOO_FEW", "drift_sentence"]

TOO_FEW = "too few dialogues to tell"
"""How the sentence begins if the number of dialogues can make no drop significant."""


def drift_sentence(drops: Sequence[Drop], drift_round: int | None, *, tokens: bool = False) -> str:
    """Say whether stability fell, from which round on and by how much; with `tokens`, the rounds are tokens."""
    at, unit, places = ("{} tokens", "tokens", "lengths") if tokens else ("round {}", "rounds", "rounds")
    tested = [drop for drop in drops if drop.n]
    if not tested:
        return f"nothing to compare: no dialogue has scores at two {places}"
    last = tested[-1]
    if drift_round is not None:
        first = next(drop for drop in drops if drop.round == drift_round)
        again = ", ".join(str(drop.round) for drop in tested if drop.round > drift_round and not drop.significant)
        text = f"drifts significantly from {at.format(drift_round)} ({_numbers(first)})"
        if last is not first:
            text += f"; by {at.format(last.round)}: {_numbers(last)}"
        return text + (f"; not significant at {at.format(again)}" if again else "")
    # The sign-flip test cannot give a p below 2 / 2^n, which Holm multiplies by the number of rounds at first.
    needed = math.floor(math.log2(2 * len(tested) / ALPHA)) + 1
    most = max(drop.n for drop in tested)
    if most < needed:
        return (
            f"{TOO_FEW}: n = {most}, and a drop over {len(tested)} {places} can be significant from "
            f"n = {needed} on ({_numbers(last)} at {at.format(last.round)})"
        )
    corrected = f", before correction for {len(tested)} {places}" if len(tested) > 1 else ""
    return f"no significant drift in {last.round} {unit} ({_numbers(last)} at the last{corrected})"


def _numbers(drop: Drop) -> str:
    text = f"{drop.difference:+.2f}"
    if drop.low is not None and drop.high is not None:
        text += f" [{drop.low:+.2f}, {drop.high:+.2f}]"
    return f"{text.replace('-', '−')}, n = {drop.n}"
