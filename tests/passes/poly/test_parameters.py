"""Sizes that are known at run time: extraction, context, dependences, legality, loops."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.errors import IllegalScheduleError, LoweringError
from tilecast.dialects.poly import ScopOp, extents_of
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import parse_steps
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.poly.dependences.legality import check_schedule_is_legal
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_affine import extract_affine
from tilecast.passes.poly.scheduled import apply_schedule
from tilecast.passes.poly.sets import isl
from tilecast.passes.poly.simplification.distribute_nests import distribute_nests
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException


def scop_of(text: str) -> ScopOp:
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    scop = extract_affine(func)
    scop.verify()
    return scop


TRIANGLE = """
func.func @triangle(%A: memref<?x?xf64>, %n: index, %s: memref<?xf64>) {
  affine.for %i = 0 to %n {
    affine.for %j = affine_map<(d0) -> (d0)>(%i) to %n {
      %a = affine.load %A[%i, %j] : memref<?x?xf64>
      %b = affine.load %s[%i] : memref<?xf64>
      %c = arith.addf %b, %a : f64
      affine.store %c, %s[%i] : memref<?xf64>
    }
  }
  func.return
}"""

SMOOTH = """
func.func @smooth(%x: memref<?xf64>,
    %y: memref<?xf64> {tilecast.extents = affine_map<()[s0] -> (s0)>}, %n: index) {
  %zero = arith.constant 0 : index
  %t = memref.alloc(%n) : memref<?xf64>
  affine.for %i = 0 to %n {
    %a = affine.load %x[%i + 1] : memref<?xf64>
    affine.store %a, %t[%i] : memref<?xf64>
  }
  affine.for %i = 0 to %n {
    %a = affine.load %t[%n - %i - 1] : memref<?xf64>
    %k = arith.index_cast %n : index to i64
    %f = arith.sitofp %k : i64 to f64
    %b = arith.divf %a, %f : f64
    affine.store %b, %y[%i] : memref<?xf64>
  }
  func.return
}"""

EMPTY_OR_LARGE = """
func.func @last(%n: index, %v: f64,
    %x: memref<?xf64> {tilecast.extents = affine_map<()[s0] -> (s0)>}) {
  affine.for %i = 0 to %n {
    affine.store %v, %x[%n - 3] : memref<?xf64>
  }
  func.return
}"""


def test_index_arguments_and_unstated_extents_are_parameters() -> None:
    scop = scop_of(TRIANGLE)
    assert scop.parameters == ["n", "A_0", "A_1", "s_0"]
    assert [str(e) for e in extents_of(scop.body.block.args[0])] == ["s1", "s2"]
    domain = isl.Set(scop.statements[0].domain.data)
    assert domain.is_subset(isl.Set("[s0] -> { [i0, i1] : 0 <= i0 <= i1 < s0 }"))


def test_the_context_keeps_accesses_inside() -> None:
    scop = scop_of(TRIANGLE)
    assert scop.context is not None
    context = isl.Set(scop.context.data)
    wanted = "[s0, s1, s2, s3] -> { : s1 >= s0 and s2 >= s0 and s3 >= s0 and s0 >= 0 }"
    outside = "[s0, s1, s2, s3] -> { : s0 < 0 or s1 < 0 or s2 < 0 or s3 < 0 }"
    assert context.is_subset(isl.Set("[s0] -> { : s0 >= 0 }"))
    assert isl.Set(wanted).is_subset(context)
    assert context.is_disjoint(isl.Set(outside))
    too_large = isl.Set("[s0, s1, s2, s3] -> { : s0 = 5 and s1 = 4 and s2 = 9 and s3 = 9 }")
    assert context.is_disjoint(too_large)


def test_the_text_reads_back() -> None:
    for text in (TRIANGLE, SMOOTH):
        scop = scop_of(text)
        module = Parser(CompileContext(), str(ModuleOp([scop]))).parse_module()
        module.verify()
        assert str(module.body.block.first_op) == str(scop)


@pytest.mark.parametrize("n", [1, 2, 7])
def test_scop_and_loops_compute_the_same(n: int) -> None:
    scop = scop_of(SMOOTH)
    x, y = np.arange(n + 1.0), np.full(n, np.nan)
    run_scop(scop, [x, y], parameters=(n, n + 1))
    np.testing.assert_array_equal(y, x[1:][::-1] / n)
    again, scratch = np.full(n, np.nan), np.full(n, np.nan)
    func = lower_scop(scop)
    func.verify()
    run_kernel(func, [n, n + 1, x, again, scratch])  # type: ignore[list-item]
    np.testing.assert_array_equal(again, y)


def test_the_interpreter_refuses_other_sizes() -> None:
    scop = scop_of(SMOOTH)
    with pytest.raises(LoweringError, match=r"not defined for n = 3, x_0 = 3"):
        run_scop(scop, [np.zeros(3), np.zeros(3)], parameters=(3, 3))
    with pytest.raises(LoweringError, match="expected parameters n, x_0, found 0"):
        run_scop(scop, [np.zeros(3), np.zeros(3)])


def test_a_context_may_have_parts() -> None:
    scop = scop_of(EMPTY_OR_LARGE)
    assert scop.context is not None
    context = isl.Set(scop.context.data)
    assert context.is_equal(isl.Set("[s0] -> { : s0 = 0 or s0 >= 3 }"))


def test_dependences_hold_for_all_sizes() -> None:
    scop = scop_of(TRIANGLE)
    flow = dependences_of(scop).flow
    one = isl.UnionMap("[s0] -> { S0[i, j] -> S0[i, j + 1] : 0 <= i <= j < s0 - 1 }")
    assert flow.is_subset(one)
    small = isl.Set("[s0, s1, s2, s3] -> { : s0 = 6 and s1 = 6 and s2 = 6 and s3 = 6 }")
    assert not flow.intersect_params(small).is_empty()


@pytest.mark.parametrize(
    ("steps", "is_legal"),
    [
        ("split(S0.i1, 4, jo, ji)\nvectorize(ji, 4)", True),
        ("parallelize(S0.i0)", True),
        ("reorder(S0.i1+S0.i0)", True),
        ("parallelize(S0.i1)", False),
    ],
)
def test_steps_are_checked_for_all_sizes(steps: str, is_legal: bool) -> None:
    scop = scop_of(TRIANGLE)
    scop, tree = apply_schedule(scop, parse_steps(steps))
    ranks = {s.sym_name.data: s.rank for s in scop.statements}
    if is_legal:
        check_schedule_is_legal(tree, dependences_of(scop), ranks)
        return
    with pytest.raises(IllegalScheduleError, match=r"S0\.i1"):
        check_schedule_is_legal(tree, dependences_of(scop), ranks)


@pytest.mark.parametrize("n", [0, 1, 5, 13])
@pytest.mark.parametrize(
    "steps",
    [
        "split(S0.i1, 4, jo, ji)\nvectorize(ji, 4)\nparallelize(S0.i0)",
        "tile(S0.i0+S0.i1, 3+4)",
        "reorder(S0.i1+S0.i0)\nvectorize(S0.i0, 4)",
        "split_domain(S0, i1 < s0 - 2, S0_inside)",
    ],
)
def test_schedules_of_any_size_keep_the_result(steps: str, n: int) -> None:
    scop = scop_of(TRIANGLE)
    rng = np.random.default_rng(n)
    a, s = rng.random((n + 1, n)), rng.random(n + 2)
    expected = s.copy()
    run_scop(scop, [a, expected], parameters=(n, n + 1, n, n + 2))
    scop.properties["schedule"] = StringAttr(steps)
    func = lower_scop(scop)
    func.verify()
    run_kernel(func, [n, n + 1, n, n + 2, a, s])  # type: ignore[list-item]
    np.testing.assert_allclose(s, expected, rtol=1e-14)


def test_rewrites_that_need_numbers_say_so() -> None:
    scop = scop_of(TRIANGLE)
    with pytest.raises(IllegalScheduleError, match="needs sizes that are numbers; n, A_0"):
        apply_schedule(scop, parse_steps("rfactor(S0, 1, 4)"))


def test_nests_are_distributed_with_parameters() -> None:
    text = TRIANGLE.replace(
        "affine.for %j =",
        "%z = arith.constant 0.0 : f64\n affine.store %z, %s[%i] : memref<?xf64>\n affine.for %j =",
    )
    scop = scop_of(text)
    assert not scop.is_sequence_of_nests
    assert distribute_nests(scop)


def test_wrong_parameters_do_not_verify() -> None:
    scop = scop_of(TRIANGLE)
    del scop.properties["context"]
    with pytest.raises(VerifyException, match="given together"):
        scop.verify()
    scop = scop_of(TRIANGLE)
    del scop.properties["extents"]
    with pytest.raises(VerifyException, match="unknown extent"):
        scop.verify()
