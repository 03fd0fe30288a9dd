from __future__ import annotations

import pytest

from telic.redteam.rates import wilson


def test_wilson_intervals_hold_where_the_bootstrap_cannot() -> None:
    none = wilson(0, 40)
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high == pytest.approx(0.0876, abs=1e-3)  # Wilson 1927, as in Brown, Cai and DasGupta 2001
    some = wilson(10, 40, missing=2)
    assert some.low == pytest.approx(0.142, abs=1e-3)
    assert some.high == pytest.approx(0.402, abs=1e-3)
    assert (some.n, some.missing) == (40, 2)
    assert wilson(0, 0).value is None
    with pytest.raises(ValueError, match="successes=3, n=2"):
        wilson(3, 2)
