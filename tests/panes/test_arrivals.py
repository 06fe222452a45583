"""How late events came, as a plain loop says it."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from driftline.panes.arrivals import delays_of
from driftline.sketches.keys import key_numbers
from tests.oracle.summarise import delay

LATEST = 253_370_764_799_999
moments = st.one_of(st.integers(0, LATEST), st.integers(1_000_000, 1_200_000))


@given(st.lists(st.tuples(moments, moments), min_size=1, max_size=20))
def test_a_delay_is_the_power_of_two_below_it(pairs: list[tuple[int, int]]) -> None:
    times, stamps = np.array(pairs, dtype=np.int64).T
    assert key_numbers(delays_of(times, stamps)).tolist() == [delay(time, stamp) for time, stamp in pairs]
