"""pair_products: the same sums, two products at a time, whatever the operands look like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.pairs import DotAddOp, DotOp, JoinOp
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.rules.pack_operands import pack_wide_operand
from tilecast.passes.poly.rules.pair_products import pair_products
from tilecast.passes.poly.rules.schedule import choose_schedule, normalize

Build = Callable[..., Any]


def update_of(scop: ScopOp) -> Any:
    return next(s for s in scop.statements if s.reduction is not None)


def count(scop: ScopOp, op: type) -> int:
    return sum(isinstance(inner, op) for inner in scop.walk())


def product(kernel_text: Any, op: str, result: str, **operands: str) -> str:
    text = kernel_text(**operands)
    return text.returns(text.op(op, " ".join("%" + name for name in operands), result))


@settings(max_examples=15)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(2, 11), st.sampled_from([2, 4, 8]))
def test_stored_weights_are_paired_and_packed_ahead_of_time(
    kernel: Build, kernel_text: Any, m: int, half: int, n: int, width: int
) -> None:
    k = 2 * half
    operands = {"x": f"{m}x{k}xbf16", "w": f"weight {n}x{k}xbf16"}
    built = kernel(product(kernel_text, "linear", f"{m}x{n}xf32", **operands))
    scop = built.scop()
    normalize(scop)
    pair_products(scop)
    built.check_scop(scop)
    assert (count(scop, DotOp), count(scop, JoinOp)) == (1, 0)
    x, w = scop.body.block.args[:2]
    assert x.type.get_shape()[-1] == half
    assert w.type.get_shape() == (n, half)
    assert pack_wide_operand(scop, update_of(scop), width, copies=False)
    built.check_scop(scop)
    w = scop.body.block.args[1]
    assert w.type.get_shape() == (-(-n // width), half, width)


def test_operands_that_are_no_neighbours_are_copied(kernel: Build, kernel_text: Any) -> None:
    operands = {"a": "20x6xbf16", "b": "6x18xbf16"}
    built = kernel(product(kernel_text, "matmul", "20x18xf32", **operands))
    scop = built.scop()
    normalize(scop)
    pair_products(scop)
    built.check_scop(scop)
    assert (count(scop, DotOp), count(scop, JoinOp)) == (1, 1)
    assert str(scop.body.block.args[0].type) == "memref<20x3xi32>"
    assert str(scop.body.block.args[1].type) == "memref<6x18xbf16>"


@pytest.mark.parametrize(
    ("m", "k", "element"), [(20, 7, "bf16"), (20, 6, "f16"), (20, 6, "f32"), (3, 6, "bf16")]
)
def test_nothing_changes(kernel: Build, kernel_text: Any, m: int, k: int, element: str) -> None:
    """An odd reduction, other types, and too few rows to copy the other operand for."""
    operands = {"a": f"{m}x{k}x{element}", "b": f"{k}x18x{element}"}
    scop = kernel(product(kernel_text, "matmul", f"{m}x18xf32", **operands)).scop()
    normalize(scop)
    before = str(scop)
    pair_products(scop)
    assert str(scop) == before


@pytest.mark.parametrize("isa", ["avx2", "avx512"])
@pytest.mark.parametrize("op", ["linear", "matmul", "shared"])
def test_schedules_of_pairs_compute_the_same(
    kernel: Build, kernel_text: Any, machines: Any, isa: str, op: str
) -> None:
    text = kernel_text(x="2x17x8xbf16", y="2x8x33xbf16", w="weight 35x8xbf16")
    if op == "linear":
        out = text.op("linear", "%x %w", "2x17x35xf32")
    elif op == "matmul":
        out = text.op("matmul", "%x %y", "2x17x33xf32")
    else:
        swap = "map = affine_map<(d0, d1, d2) -> (d0, d2, d1)>"
        out = text.op("matmul", f"%x {text.op('view', '%x', '2x8x17xbf16', swap)}", "2x17x17xf32")
    built = kernel(text.returns(out))
    scop = built.scop()
    choose_schedule(scop, machines[isa], 2)
    assert count(scop, DotOp) == 1
    assert scop.schedule.data
    built.check_lowered(scop)


def test_the_reference_of_a_pair_is_the_sum_of_its_products() -> None:
    import ml_dtypes
    from tilecast.dialects.reference.loop_arithmetic import MEANINGS

    a, b = (np.array(p, ml_dtypes.bfloat16) for p in ([1.5, -2.0], [4.0, 0.25]))
    words = [np.int32(x.view(np.int32)[0]) for x in (a, b)]
    assert MEANINGS[DotOp](None, *words) == 5.5
    assert MEANINGS[DotAddOp](None, *words, np.float32(1)) == 6.5


class Gram(torch.nn.Module):
    """Products of the rows of a matrix."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ x.mT


def test_symbolic_extents_are_not_paired() -> None:
    dims = {1: torch.export.Dim("n", min=2, max=42), 2: torch.export.Dim("m", min=2, max=42)}
    x = torch.randn(1, 33, 33).bfloat16()
    module: Any = tilecast.compile(
        Gram(), (x,), target="zen4", dynamic_shapes={"x": dims}, stop_after="schedule"
    )
    kernels = [op for op in module.walk() if isinstance(op, ScopOp)]
    assert len(kernels) == 1
    assert count(kernels[0], DotAddOp) == 0
