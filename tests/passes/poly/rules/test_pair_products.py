"""pair_products: the same sums, two products at a time, whatever the operands look like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tilecast
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.pairs import DotAddOp, DotOp, JoinOp
from tilecast.dialects.poly import ArrayOp, ScopOp
from tilecast.passes.poly.rules.pack_operands import pack_wide_operand
from tilecast.passes.poly.rules.pair_products import pair_products
from tilecast.passes.poly.rules.schedule import choose_schedule, normalize

Build = Callable[..., Any]
STEPS = ("stride", "dilation")


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


@pytest.mark.parametrize("channels", [12, 6])
def test_channels_inside_a_block_are_pairs_already(
    kernel: Build, kernel_text: Any, machines: Any, channels: int
) -> None:
    """A convolution over blocks of 8 channels, of which the last one is not full."""
    t = kernel_text(x="1x2x3x9x8xbf16", w=f"weight 3x2x2x{channels}x8xbf16")
    blocked = "map = affine_map<(d0, d1, d2, d3) -> (d0, d1 floordiv 8, d2, d3, d1 mod 8)>"
    plain = t.op("view", "%x", f"1x{channels}x3x9xbf16", blocked)
    steps = ", ".join(f"{name} = [#builtin.int<1>, #builtin.int<1>]" for name in STEPS)
    case = kernel(t.returns(t.op("blocked_conv", f"{plain} %w", "1x3x2x8x8xf32", steps)))
    scop = case.scop()
    choose_schedule(scop, machines["avx2"], 2)
    assert (count(scop, DotOp), count(scop, JoinOp)) == (1, 0)
    case.check_lowered(scop)


def attention(kernel_text: Any, queries: int, keys: int, causal: bool) -> str:
    t = kernel_text(q=f"1x{queries}x8xbf16", k=f"1x{keys}x8xbf16", v=f"1x{keys}x16xbf16")
    settings = f"scale = 0.3 : f64, causal = {str(causal).lower()}"
    result: str = t.returns(t.op("attention", "%q %k %v", f"1x{queries}x16xf32", settings))
    return result


@pytest.mark.parametrize(
    ("in_blocks", "causal"),
    [
        (False, False),
        (True, True),
        pytest.param(True, False, marks=pytest.mark.slow),
        pytest.param(False, True, marks=pytest.mark.slow),
    ],
)
def test_weights_of_attention_are_rounded_in_pairs(
    kernel: Build, kernel_text: Any, machines: Any, in_blocks: bool, causal: bool
) -> None:
    """Whole rows, and blocks of keys, which are even; the last block is not full."""
    built = kernel(attention(kernel_text, 18, 70, causal), exact=False)
    machine = replace(machines["avx512"], l2_bytes=(16 if in_blocks else 4096) << 10)
    scop = built.scop()
    choose_schedule(scop, machine, 1)
    assert count(scop, DotOp) == 2
    assert scop.schedule.data
    assert any("scale" in str(a.result.name_hint) for a in arrays_of(scop)) == in_blocks

    def check(outputs: Any) -> None:
        # a weight may be rounded the other way, by 2^-8 of itself; weights add up to 1
        bound = float(np.max(np.abs(built.inputs[2].astype(np.float32)))) * 2.0**-8
        for got, want in zip(outputs, built.expected(), strict=True):
            np.testing.assert_allclose(got.reshape(want.shape), want, rtol=0, atol=bound)

    built.check = check
    built.check_lowered(scop)


def arrays_of(scop: ScopOp) -> list[ArrayOp]:
    return [op for op in scop.walk() if isinstance(op, ArrayOp)]


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
