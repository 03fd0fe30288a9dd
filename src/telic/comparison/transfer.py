"""Whether a winner's gain transfers: from the purpose's own probes to instructions of another origin."""

from __future__ import annotations

import math

from telic.statistics import Interval

__all__ = ["independent_difference", "transfer_sentence"]


def transfer_sentence(own: Interval, other: Interval) -> str:
    """Say in a sentence whether a gain on a purpose's own probes is also seen under other instructions.

    Args:
        own: the gain over the baseline on the purpose's probes, paired over dialogues.
        other: the gain under the instructions of a bank, paired over other dialogues.
    """
    gain = f"{_signed(other)} over the baseline, n = {other.n}"
    if other.low is None or other.high is None:
        return f"whether the gain transfers to other instructions is unknown: {gain}"
    if other.low > 0:
        verdict = f"the gain transfers to other instructions: {gain}"
    elif other.high < 0:
        verdict = f"the gain does not transfer, the control is worse than the baseline under other instructions: {gain}"
    else:
        verdict = f"whether the gain transfers to other instructions is uncertain: {gain}"
    difference = independent_difference(other, own)
    if difference.low is None or difference.high is None or difference.low <= 0 <= difference.high:
        return f"{verdict}; not significantly different from the gain here ({_signed(difference)})"
    return f"{verdict}; significantly {'less' if difference.high < 0 else 'more'} than here ({_signed(difference)})"


def independent_difference(a: Interval, b: Interval) -> Interval:
    """Estimate the difference `a - b` of two estimates from separate units.

    The interval follows from those of the two estimates (Zou and Donner 2008, Stat. Med. 27:1693, section 2.2).
    """
    n = min(a.n, b.n)
    if a.value is None or b.value is None:
        return Interval(None, None, None, n)
    value = a.value - b.value
    if a.low is None or a.high is None or b.low is None or b.high is None:
        return Interval(value, None, None, n)
    low = value - math.hypot(a.value - a.low, b.high - b.value)
    return Interval(value, low, value + math.hypot(a.high - a.value, b.value - b.low), n)


def _signed(interval: Interval) -> str:
    text = str(interval)
    return text if interval.value is None or interval.value < 0 else f"+{text}"
