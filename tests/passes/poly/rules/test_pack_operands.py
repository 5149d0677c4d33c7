"""pack_wide_operand: panels hold what the contraction reads, zeros beyond."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.poly import PackAttr, ScopOp
from tilecast.passes.poly.rules.pack_operands import pack_wide_operand
from tilecast.passes.poly.simplification.collapse_dims import collapse_dims
from tilecast.passes.poly.simplification.inline_statements import inline_statements

Run = Callable[..., list[np.ndarray]]
SIZES = st.integers(1, 6)


def update_of(scop: ScopOp) -> Any:
    return next(s for s in scop.statements if s.reduction is not None)


@settings(max_examples=20)
@given(SIZES, SIZES, st.integers(2, 11), st.sampled_from([2, 4, 8]))
def test_weights_are_stored_in_panels(build: Any, m: int, k: int, n: int, width: int) -> None:
    kernel = build("linear", m, k, n)
    scop = kernel.scop()
    assert pack_wide_operand(scop, update_of(scop), width, copies=False)
    kernel.check_scop(scop)
    weight = scop.body.block.args[1]
    assert weight.type.get_shape() == (-(-n // width), k, width)
    assert isinstance(scop.packs.data[1], PackAttr)


@settings(max_examples=10)
@given(st.integers(2, 6), SIZES, st.integers(2, 11), st.sampled_from([4, 8]))
def test_strided_operands_are_copied_to_panels(
    scop_text: Any, run_plain: Run, m: int, k: int, n: int, width: int
) -> None:
    s = scop_text(a=f"in {m}x{k}xf32", b=f"in {n}x{k}xf32", c=f"out {m}x{n}xf32")
    s.statement(f"{m} x {n}", "c[i0, i1]", "", "zero")
    s.statement(
        f"{m} x {n} x {k}", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i1, i2]", "multiply_add", "add"
    )
    scop = s.scop()
    before = run_plain(scop)
    strided = k > 1
    assert pack_wide_operand(scop, update_of(scop), width, copies=True) == strided
    scop.verify()
    np.testing.assert_array_equal(run_plain(scop)[0], before[0])


def test_the_copy_comes_after_the_writer(build: Any) -> None:
    kernel = build("attention", 2, 3, 5, 4, False)
    scop = kernel.scop()
    collapse_dims(scop)
    inline_statements(scop)
    packed = [
        pack_wide_operand(scop, s, 4, copies=True)
        for s in scop.statements
        if s.reduction is not None
    ]
    assert any(packed)
    kernel.check_scop(scop)


def test_contiguous_operands_stay(build: Any) -> None:
    kernel = build("matmul", 3, 5, 7)
    scop = kernel.scop()
    assert not pack_wide_operand(scop, update_of(scop), 4, copies=True)


def test_what_is_no_contraction_stays(build: Any) -> None:
    kernel = build("reduce", "sum", 3, 5, 0)
    scop = kernel.scop()
    assert not pack_wide_operand(scop, update_of(scop), 4, copies=True)


@pytest.mark.parametrize("stride", [1, 2])
def test_only_a_strided_image_is_copied(build: Any, stride: int) -> None:
    kernel = build("conv", 3, 5, 6, 3, stride, 1)
    scop = kernel.scop()
    collapse_dims(scop)
    assert pack_wide_operand(scop, update_of(scop), 4, copies=True) == (stride == 2)
    kernel.check_scop(scop)
