"""collapse-dims: fewer dims, the same bits in the same places."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.sets import box_extents
from tilecast.passes.poly.simplification.collapse_dims import collapse_dims

Run = Callable[..., list[np.ndarray]]


def collapsed(scop: ScopOp, run: Run, inputs: list[np.ndarray] | None = None) -> list[object]:
    """Collapse; the extents of every statement, after checking that results are equal."""
    inputs = draw(scop) if inputs is None else inputs
    before = run(scop, inputs)
    collapse_dims(scop)
    scop.verify()
    for got, want in zip(run(scop, inputs), before, strict=True):
        np.testing.assert_array_equal(got.reshape(want.shape), want)
    return [box_extents(s.domain.data) for s in scop.statements]


def draw(scop: ScopOp) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [
        rng.integers(-3, 4, arg.type.get_shape()).astype(np.float32)
        for arg, role in zip(scop.body.block.args, scop.roles, strict=True)
        if role.data == "in"
    ]


def test_the_family_keeps_its_bits(family_kernel: Any, run_plain: Run) -> None:
    collapsed(family_kernel.scop(), run_plain, family_kernel.inputs)


def test_elementwise_kernels_become_one_loop(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 2x3x5xf32", y="out 2x3x5xf32")
    s.statement("2 x 3 x 5", "y[i0, i1, i2]", "x[i0, i1, i2]", "double")
    assert collapsed(s.scop(), run_plain) == [(30,)]


def test_a_broadcast_dim_stays(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 2x3x5xf32", b="in 5xf32", y="out 2x3x5xf32")
    s.statement("2 x 3 x 5", "y[i0, i1, i2]", "x[i0, i1, i2]; b[i2]", "add")
    assert collapsed(s.scop(), run_plain) == [(6, 5)]


def test_leading_dims_of_a_product_become_rows(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 2x3x5xf32", w="in 7x5xf32", y="out 2x3x7xf32")
    s.statement("2 x 3 x 7", "y[i0, i1, i2]", "", "zero")
    s.statement(
        "2 x 3 x 7 x 5",
        "y[i0, i1, i2]",
        "y[i0, i1, i2]; x[i0, i1, i3]; w[i2, i3]",
        "multiply_add",
        "add",
    )
    assert collapsed(s.scop(), run_plain) == [(6, 7), (6, 7, 5)]


def test_all_statements_of_a_chain_collapse_together(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 2x3x5xf32", y="out 2x3x5xf32", t="local 2x3x5xf32")
    s.statement("2 x 3 x 5", "t[i0, i1, i2]", "x[i0, i1, i2]", "double")
    s.statement("2 x 3 x 5", "y[i0, i1, i2]", "t[i0, i1, i2]; x[i0, i1, i2]", "add")
    assert collapsed(s.scop(), run_plain) == [(30,), (30,)]


def test_one_transposed_reader_keeps_the_dims(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x5xf32", y="out 5x3xf32", t="local 3x5xf32")
    s.statement("3 x 5", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("5 x 3", "y[i0, i1]", "t[i1, i0]", "copy")
    assert collapsed(s.scop(), run_plain) == [(3, 5), (5, 3)]


def test_a_partial_reader_keeps_the_dims(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x5xf32", y="out 3x4xf32", t="local 3x5xf32")
    s.statement("3 x 5", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("3 x 4", "y[i0, i1]", "t[i0, i1]", "copy")
    assert collapsed(s.scop(), run_plain) == [(3, 5), (3, 4)]


def test_a_shifted_reader_keeps_the_dims(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 3x5xf32", y="out 3x4xf32")
    s.statement("3 x 4", "y[i0, i1]", "x[i0, i1 + 1]", "copy")
    assert collapsed(s.scop(), run_plain) == [(3, 4)]


def test_unit_dims_disappear(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 1x3x1x5xf32", y="out 3x1x5xf32")
    s.statement("3 x 1 x 5", "y[i0, i1, i2]", "x[i1, i0, 0, i2]", "double")
    scop = s.scop()
    assert collapsed(scop, run_plain) == [(15,)]
    assert [a.type.get_shape() for a in scop.body.block.args] == [(15,), (15,)]


def test_a_single_element_has_no_loops(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 1x1xf32", y="out 1x1xf32")
    s.statement("1 x 1", "y[i0, i1]", "x[i0, i1]", "double")
    assert collapsed(s.scop(), run_plain) == [()]


def test_dims_whose_number_is_used_stay(kernel: Any, kernel_text: Any) -> None:
    t = kernel_text(x="1x3x4xf32")
    i = t.op("iota", "", "12xi64", "start = #builtin.int<2>, step = #builtin.int<-1>")
    f = t.op("cast", t.op("reshape", i, "1x3x4xi64"), "1x3x4xf32")
    case = kernel(t.returns(t.op("pointwise", f"%x {f}", "1x3x4xf32", 'fn = "add"')))
    scop = case.scop()
    collapse_dims(scop)
    case.check_scop(scop)


def test_indirectly_read_arrays_keep_their_shape(build: Any) -> None:
    kernel = build("embedding", 4, 3, 5)
    scop = kernel.scop()
    collapse_dims(scop)
    assert scop.body.block.args[1].type.get_shape() == (3, 5)
    kernel.check_scop(scop)


def test_domains_that_are_no_boxes_are_left_alone(scop_text: Any, run_plain: Run) -> None:
    s = scop_text(x="in 4x4xf32", y="out 4x4xf32")
    s.statement("4 x 4", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i1 <= i0 < 4 }", "y[i0, i1]", "x[i0, i1]", "copy")
    assert collapsed(s.scop(), run_plain) == [(4, 4), None]


@settings(max_examples=30)
@given(
    st.lists(st.sampled_from([1, 2, 3]), min_size=3, max_size=3),
    st.permutations(range(3)),
    st.sets(st.integers(0, 2)),
)
def test_any_shape_any_permutation_any_broadcast(
    scop_text: Any, run_plain: Run, shape: list[int], order: list[int], kept: set[int]
) -> None:
    def size(dims: list[int]) -> str:
        return "x".join([*(str(shape[d]) for d in dims), "f32"])

    def at(dims: list[int]) -> str:
        return ", ".join(f"i{d}" for d in dims)

    narrow = sorted(kept)
    s = scop_text(
        x=f"in {size(order)}", b=f"in {size(narrow)}", y=f"out {size([0, 1, 2])}",
        t=f"local {size([0, 1, 2])}",
    )  # fmt: skip
    box = " x ".join(map(str, shape))
    s.statement(box, "t[i0, i1, i2]", f"x[{at(order)}]; b[{at(narrow)}]", "add")
    s.statement(box, "y[i0, i1, i2]", "t[i0, i1, i2]", "double")
    collapsed(s.scop(), run_plain)


@pytest.mark.parametrize("rank", [1, 2])
def test_nothing_to_collapse_changes_nothing(scop_text: Any, rank: int) -> None:
    s = scop_text(x="in 3x5xf32", y="out 5x3xf32")
    s.statement("5 x 3", "y[i0, i1]", "x[i1, i0]", "double")
    scop = s.scop()
    before = str(scop)
    collapse_dims(scop)
    assert str(scop) == before
