"""inline-statements: fewer statements, the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.simplification.inline_statements import inline_statements
from xdsl.parser import Parser

Run = Callable[..., list[np.ndarray]]


def inlined(scop: ScopOp, run: Run) -> list[str]:
    """Inline; the names of the statements left, after checking that results are equal."""
    before = run(scop)
    inline_statements(scop)
    scop.verify()
    for got, want in zip(run(scop), before, strict=True):
        np.testing.assert_array_equal(got, want)
    return [s.sym_name.data for s in scop.statements]


def test_the_family_keeps_its_bits(family_kernel: Any, run_plain: Run) -> None:
    inlined(family_kernel.scop(), lambda scop: run_plain(scop, family_kernel.inputs))


def test_a_producer_moves_into_its_only_reader(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 5x7xf32", y="out 5x7xf32", t="local 5x7xf32")
    s.statement("5 x 7", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]; x[i0, i1]", "add")
    assert inlined(s.scop(), run_plain) == ["S1"]


def test_a_transposed_read_becomes_a_transposed_access(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 5x7xf32", y="out 7x5xf32", t="local 5x7xf32")
    s.statement("5 x 7", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("7 x 5", "y[i0, i1]", "t[i1, i0]", "copy")
    scop = s.scop()
    assert inlined(scop, run_plain) == ["S1"]
    assert scop.statements[0].read_maps[0].eval([3, 2], []) == (2, 3)


def test_chains_are_inlined_to_the_end(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 5xf32", y="out 5xf32", t="local 5xf32", u="local 5xf32")
    s.statement("5", "t[i0]", "x[i0]", "double")
    s.statement("5", "u[i0]", "t[i0]; x[i0]", "add")
    s.statement("5", "y[i0]", "u[i0]", "double")
    assert inlined(s.scop(), run_plain) == ["S2"]


def test_reductions_take_their_terms_along(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x5xf32", y="out 3xf32", t="local 3x5xf32")
    s.statement("3 x 5", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("3", "y[i0]", "", "zero")
    s.statement("3 x 5", "y[i0]", "y[i0]; t[i0, i1]", "add", "add")
    scop = s.scop()
    assert inlined(scop, run_plain) == ["S1", "S2"]
    update = scop.statements[1]
    assert update.sources[0] is update.target


def test_a_copy_moves_into_every_reader(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 5xf32", y="out 5xf32", z="out 5xf32", t="local 5xf32")
    s.statement("5", "t[4 - i0]", "x[i0]", "copy")
    s.statement("5", "y[i0]", "t[i0]", "double")
    s.statement("5", "z[i0]", "t[i0]", "copy")
    assert inlined(s.scop(), run_plain) == ["S0", "S1", "S2"]  # 4 - i0 is no permutation
    s = scop_text(x="in 5xf32", y="out 5xf32", z="out 5xf32", t="local 5xf32")
    s.statement("5", "t[i0]", "x[4 - i0]", "copy")
    s.statement("5", "y[i0]", "t[i0]", "double")
    s.statement("5", "z[i0]", "t[i0]", "copy")
    assert inlined(s.scop(), run_plain) == ["S1", "S2"]


def test_iteration_numbers_follow_the_access(kernel: Any, kernel_text: Any) -> None:
    t = kernel_text(x="4x3xf32")
    i = t.op("iota", "", "12xi64", "start = #builtin.int<2>, step = #builtin.int<-1>")
    f = t.op("cast", t.op("reshape", i, "3x4xi64"), "3x4xf32")
    v = t.op("view", f, "4x3xf32", "map = affine_map<(d0, d1) -> (d1, 3 - d0)>")
    case = kernel(t.returns(t.op("pointwise", f"%x {v}", "4x3xf32", 'fn = "add"')))
    scop = case.scop()
    inline_statements(scop)
    assert len(scop.statements) == 1
    case.check_scop(scop)
    case.check_lowered(scop, [])


@pytest.mark.parametrize(
    "case",
    [
        "two_readers",
        "two_reads_of_one_reader",
        "more_work",
        "reduction",
        "two_writers",
        "source_changes",
        "output",
    ],
)
def test_what_would_cost_or_break_stays(scop_text: Any, run_plain: Run, case: str) -> None:
    s = scop_text(
        x="in 5x7xf32", y="out 5x7xf32", z="out 5x7xf32", t="local 5x7xf32", s="local 5xf32"
    )
    match case:
        case "two_readers":
            s.statement("5 x 7", "t[i0, i1]", "x[i0, i1]", "double")
            s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]", "copy")
            s.statement("5 x 7", "z[i0, i1]", "t[i0, i1]", "copy")
        case "two_reads_of_one_reader":
            s.statement("5 x 7", "t[i0, i1]", "x[i0, i1]", "double")
            s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]; t[4 - i0, i1]", "add")
        case "more_work":
            s.statement("5", "s[i0]", "x[i0, 0]", "double")
            s.statement("5 x 7", "y[i0, i1]", "s[i0]", "copy")
        case "reduction":
            s.statement("5", "s[i0]", "", "zero")
            s.statement("5 x 7", "s[i0]", "s[i0]; x[i0, i1]", "add", "add")
            s.statement("5", "y[i0, 0]", "s[i0]", "copy")
        case "two_writers":
            s.statement("5 x 7", "t[i0, i1]", "", "zero")
            s.statement("5 x 3", "t[i0, i1 + 2]", "x[i0, i1]", "copy")
            s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]", "copy")
        case "source_changes":
            s.statement("5 x 7", "z[i0, i1]", "x[i0, i1]", "copy")
            s.statement("5 x 7", "t[i0, i1]", "z[i0, i1]", "copy")
            s.statement("5 x 7", "z[i0, i1]", "", "two")
            s.statement("5 x 7", "y[i0, i1]", "t[i0, i1]", "copy")
        case "output":
            s.statement("5 x 7", "y[i0, i1]", "x[i0, i1]", "double")
            s.statement("5 x 7", "z[i0, i1]", "y[i0, i1]", "copy")
    scop = s.scop()
    assert len(inlined(scop, run_plain)) == len(s.lines)


def test_an_indirectly_read_source_that_changes_stays(kernel: Any, run_plain: Run) -> None:
    text = """
    "poly.scop"() <{sym_name = "k", roles = ["in", "out", "out"], packs = [unit, unit, unit]}> ({
    ^bb0(%x: memref<4xf32>, %y: memref<4xf32>, %z: memref<4xf32>):
      %t = "poly.array"() : () -> memref<4xf32>
      "poly.statement"(%z, %x) <{sym_name = "S0", domain = "{ [i0] : 0 <= i0 < 4 }",
        write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
      ^bb0(%a: f32):
        "poly.yield"(%a) : (f32) -> ()
      }) : (memref<4xf32>, memref<4xf32>) -> ()
      "poly.statement"(%t) <{sym_name = "S1", domain = "{ [i0] : 0 <= i0 < 4 }",
        write = affine_map<(d0) -> (d0)>, reads = []}> ({
        %i = "poly.index"() <{dim = #builtin.int<0>}> : () -> index
        %v = memref.load %z[%i] : memref<4xf32>
        %w = arith.addf %v, %v : f32
        "poly.yield"(%w) : (f32) -> ()
      }) : (memref<4xf32>) -> ()
      "poly.statement"(%z) <{sym_name = "S2", domain = "{ [i0] : 0 <= i0 < 4 }",
        write = affine_map<(d0) -> (d0)>, reads = []}> ({
        %v = arith.constant 9.0 : f32
        "poly.yield"(%v) : (f32) -> ()
      }) : (memref<4xf32>) -> ()
      "poly.statement"(%y, %t) <{sym_name = "S3", domain = "{ [i0] : 0 <= i0 < 4 }",
        write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
      ^bb0(%a: f32):
        "poly.yield"(%a) : (f32) -> ()
      }) : (memref<4xf32>, memref<4xf32>) -> ()
    }) : () -> ()"""
    scop = parse_scop(text)
    assert inlined(scop, run_plain) == ["S0", "S1", "S2", "S3"]


def parse_scop(text: str) -> ScopOp:
    (scop,) = Parser(CompileContext(), text).parse_module().ops
    assert isinstance(scop, ScopOp)
    return scop
