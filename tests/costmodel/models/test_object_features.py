"""Segments of loops, from words."""

from __future__ import annotations

from tilecast.costmodel.data.objects import ObjectSample
from tilecast.costmodel.models.object_features import ORDERS, SHOWN, Segment, features_of

LINES = (
    "scf.for:index v0 i1 trips4 <c0 <c4 <c1",
    "scf.for:16xf32 v2 i2 uses1 trips8 <c0 <c8 <c1 <cf <3!",
    "vector.load:16xf32 v3 i1 uses1 <argument <2 <1!",
    "vector.fma:16xf32 v4 i1 uses1 <2! <1! <1",
    "vector.store:16xf32 v1 i0 <1! <argument <3!",
)


def test_the_loop_that_carries_values_is_described():
    sample = ObjectSample("f", "p", "avx512", LINES, 4, 2, 3, 0, 10)
    row = features_of(sample)
    fields = len(vars(Segment()))
    by_carried = row[-SHOWN * fields : -(SHOWN - 1) * fields]
    found = dict(zip(vars(Segment()), by_carried, strict=True))
    assert (found["carried"], found["live"], found["products"]) == (2, 4, 1)
    assert (found["loads"], found["stores"], found["constants"], found["lines"]) == (1, 1, 1, 4)


def test_all_kernels_have_rows_of_one_length():
    rows = [
        features_of(ObjectSample("f", "p", "avx512", lines, 0, 0, 0, 0, 1))
        for lines in ((), LINES[:1], LINES)
    ]
    assert len({len(row) for row in rows}) == 1
    assert len(rows[0]) > len(ORDERS) * SHOWN * len(vars(Segment()))
