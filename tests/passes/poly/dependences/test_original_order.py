"""The order of two instances is that of isl's lexicographic order of the whole program."""

from __future__ import annotations

from typing import Any

import pytest
from tilecast.passes.poly.dependences.dependences import domains_of, original_schedule
from tilecast.passes.poly.dependences.original_order import OriginalOrder
from tilecast.passes.poly.sets import isl
from xdsl.dialects.builtin import DenseArrayBase, i64

PLACES = {
    "nests": ((0, 0, 0), (1, 0, 0), (2, 0)),
    "one body": ((0, 0, 0), (0, 0, 1), (0, 1)),
    "loops and statements by turns": ((0, 1, 0), (0, 2, 0), (0, 0)),
}


@pytest.mark.parametrize("places", PLACES.values(), ids=PLACES)
def test_pairs_whose_source_runs_first_are_kept(scop_text: Any, places: Any) -> None:
    s = scop_text(x="inout 9xf32", y="inout 9xf32")
    s.statement("{ [i0, i1] : 0 <= i0 < 4 and 0 <= i1 <= i0 }", "x[i0]", "y[i1]; x[i0]", "add")
    s.statement("{ [i0, i1] : 0 <= i0 < 4 and i0 <= i1 < 9 }", "y[i1]", "x[i0]; y[i0]", "add")
    s.statement("{ [i0] : 0 <= i0 < 4 }", "y[i0]", "x[i0]; y[i0]", "add")
    scop = s.scop()
    for statement, place in zip(scop.statements, places, strict=True):
        statement.properties["position"] = DenseArrayBase.from_list(i64, place)
    scop.verify()
    schedule = original_schedule(scop).intersect_domain(domains_of(scop))
    pairs = isl.UnionMap.from_domain_and_range(domains_of(scop), domains_of(scop))
    forward = OriginalOrder.of(scop).forward(pairs)
    assert forward.is_equal(schedule.lex_lt_union_map(schedule))
    assert not forward.is_empty()
    backward = OriginalOrder.of(scop).forward(schedule.lex_gt_union_map(schedule))
    assert backward.n_map() == 0  # nobody asks how far apart no pairs are
