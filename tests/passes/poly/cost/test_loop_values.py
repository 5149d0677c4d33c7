"""Trip counts against counting: what each loop runs through, and what it leaves free."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.passes.poly.cost.loop_values import counted
from tilecast.passes.poly.cost.statement_facts import domain_size


def python_value(text: str, point: tuple[int, ...]) -> int:
    """An expression at a point, by Python itself."""
    names = {f"i{d}": v for d, v in enumerate(point)}
    code = text.replace("floor", "").replace("/", "//").replace(" mod ", " % ")
    return eval(code, {"__builtins__": {}}, names)


def enumerated(texts: tuple[str, ...], extents: tuple[int, ...]) -> list[int]:
    """How many different prefixes of the loops there are, by trying all points."""
    points = list(product(*map(range, extents)))
    return [
        len({tuple(python_value(t, p) for t in texts[: k + 1]) for p in points})
        for k in range(len(texts))
    ]


@given(st.integers(1, 70), st.integers(1, 9), st.integers(2, 5))
def test_tiles_of_tiles_are_counted_exactly(extent, inner, outer):
    whole = f"floor((i0)/{inner})"
    texts = (
        f"floor(({whole})/{outer})",
        f"({whole}) - {outer}*floor(({whole})/{outer})",
        f"(i0) - {inner}*floor((i0)/{inner})",
    )
    trips, free, _ = counted(texts, (extent,))
    assert np.cumprod(trips) == pytest.approx(enumerated(texts, (extent,)))
    assert free[:, 0] == pytest.approx(extent / np.concatenate([[1], np.cumprod(trips)]))


def test_loops_over_different_dims_do_not_disturb_each_other():
    texts = ("floor((i1)/4)", "i0", "(i1) - 4*floor((i1)/4)")
    trips, free, _ = counted(texts, (5, 12))
    assert trips.tolist() == [3, 5, 4]
    assert free.tolist() == [[5, 12], [5, 4], [1, 4], [1, 1]]


def test_a_skewed_loop_runs_through_the_inner_dim():
    trips, *_ = counted(("i0", "i0 + i1"), (6, 9))
    assert trips.tolist() == [6, 9]


def test_a_wavefront_is_as_long_as_both_dims():
    trips, *_ = counted(("i0 + i1", "i1"), (6, 9))
    assert trips[0] == 14
    assert trips.prod() == pytest.approx(54, rel=0.5)


def test_factors_stand_before_dims_without_a_sign():
    trips, free, _ = counted(("floor((2 + 2i1)/32)", "2 + 2i1", "-3i0"), (5, 64))
    assert trips.tolist() == [5, 12.8, 5]
    assert free[-1].tolist() == [1, 1]


def test_constant_loops_run_once():
    assert counted(("0", "i0", "3"), (7,))[0].tolist() == [1, 7, 1]


@pytest.mark.parametrize("text", ["i0 ** 2", "f(i0)", "i0 +", "i0 if i0 else 1", "i0 + x"])
def test_other_texts_are_refused(text):
    with pytest.raises(IllegalScheduleError):
        counted((text, "i0"), (4,))


def test_the_size_of_a_box_is_exact_and_that_of_a_triangle_close():
    assert domain_size("{ [i0, i1] : 0 <= i0 < 4 and 2 <= i1 < 5 }") == ((4, 3), 12)
    extents, instances = domain_size("{ [i0, i1] : 0 <= i0 <= i1 < 100 }")
    assert extents == (100, 100)
    assert instances == pytest.approx(5050, rel=0.15)


def test_the_last_of_several_tiles_is_cut_off():
    """128 rows in tiles of 39: three whole ones and 11 rows, 32 on average."""
    assert counted(("floor(i0/39)", "i0"), (128,))[2].tolist() == [39 / 32, 1.0]
