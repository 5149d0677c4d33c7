"""Dead statements and instances go; what reaches an output stays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tilecast.passes.poly.sets import isl
from tilecast.passes.poly.simplification.eliminate_dead_statements import eliminate_dead_statements


def chain(scop_text: Any) -> Any:
    """u is never read, t is read in part, y is overwritten in part, and z reads its past."""
    s = scop_text(x="in 8xf32", y="out 8xf32", z="out 8xf32", t="local 8xf32", u="local 8xf32")
    s.statement("8", "u[i0]", "x[i0]", "double")
    s.statement("8", "t[i0]", "x[i0]", "double")
    s.statement("8", "y[i0]", "t[i0]", "copy")
    s.statement("{ [i0] : 3 <= i0 < 8 }", "y[i0]", "x[i0]", "copy")
    s.statement("1", "z[0]", "x[0]", "copy")
    s.statement("{ [i0] : 1 <= i0 < 8 }", "z[i0]", "z[i0 - 1]; x[i0]", "add")
    return s.scop()


@pytest.mark.parametrize("instances", [False, True])
def test_results_stay(scop_text: Any, run_plain: Any, instances: bool) -> None:
    scop = chain(scop_text)
    want = run_plain(scop)
    eliminate_dead_statements(scop, instances)
    scop.verify()
    for got, expected in zip(run_plain(scop), want, strict=True):
        np.testing.assert_array_equal(got, expected)
    assert [s.sym_name.data for s in scop.statements] == ["S1", "S2", "S3", "S4", "S5"]
    kept = isl.Set(scop.statements[0].domain.data)
    assert kept.is_equal(isl.Set(f"{{ [i0] : 0 <= i0 < {3 if instances else 8} }}"))
    assert [op.name for op in scop.body.block.ops].count("poly.array") == 1


def test_a_value_that_only_a_dead_statement_reads_is_dead(scop_text: Any) -> None:
    s = scop_text(x="in 8xf32", y="out 8xf32", t="local 8xf32", u="local 8xf32")
    s.statement("8", "t[i0]", "x[i0]", "double")
    s.statement("8", "u[i0]", "t[i0]", "double")
    s.statement("8", "y[i0]", "x[i0]", "copy")
    scop = s.scop()
    eliminate_dead_statements(scop)
    assert [s.sym_name.data for s in scop.statements] == ["S2"]


def test_long_chains_of_values_are_found_without_following_them(scop_text: Any) -> None:
    """Only the last element of t reaches y, through all the others."""
    s = scop_text(x="in 500xf32", y="out 1xf32", t="local 500xf32")
    s.statement("1", "t[0]", "x[0]", "copy")
    s.statement("{ [i0] : 1 <= i0 < 500 }", "t[i0]", "t[i0 - 1]; x[i0]", "add")
    s.statement("1", "y[0]", "t[499]", "copy")
    scop = s.scop()
    before = str(scop)
    eliminate_dead_statements(scop, instances=True)
    assert str(scop) == before


def test_a_live_program_is_left_alone(scop_text: Any) -> None:
    s = scop_text(x="in 8xf32", y="out 8xf32")
    s.statement("8", "y[i0]", "x[i0]", "double")
    scop = s.scop()
    before = str(scop)
    eliminate_dead_statements(scop)
    assert str(scop) == before
