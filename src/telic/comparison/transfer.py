"""Whether a winner's gain transfers: from the purpose's own probes to instructions of another origin."""

from __future__ import annotations

from telic.statistics import Interval, independent_difference

__all__ = ["transfer_sentence"]


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


def _signed(interval: Interval) -> str:
    text = str(interval)
    return text if interval.value is None or interval.value < 0 else f"+{text}"
