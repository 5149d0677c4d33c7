"""interleave-scatters: scatters that fill all elements together become stores, the bits stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import tilecast
import torch
import torch.nn.functional as F
from tilecast.compiler.target import native_machine, resolve_target
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.interleave_scatters import InterleaveScattersPass
from torch import Tensor, nn
from xdsl.dialects.builtin import MemRefType, ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

LANES = 4
ALL, SOME, UNKNOWN = "%all", "%some", "%unknown"
AVX2 = replace(resolve_target("x86-64-v3"), l1_bytes=1 << 15)


def kernel(
    count: int,
    columns: list[int],
    mask: str = ALL,
    element: str = "f32",
    before: dict[int, str] | None = None,
) -> ModuleOp:
    """Column c of `columns` of row n, n known at run time only, takes a vector read at 4 c; the ops
    `before` the scatters of some columns are given."""
    vector, memref = f"vector<{LANES}x{element}>", f"memref<6x12x{count}x{element}>"
    lines = []
    for at, column in enumerate(columns):
        lines += [
            f"%c_{at} = arith.constant {column} : index",
            f"%p_{at} = arith.constant {LANES * at} : index",
            f"%v_{at} = vector.load %x[%p_{at}] : memref<32x{element}>, {vector}",
            (before or {}).get(at, ""),
            f'"vector.scatter"(%y, %n, %c1, %c_{at}, %at, {mask}, %v_{at}) :',
            f"({memref}, index, index, index, vector<4xindex>, vector<4xi1>, {vector}) -> ()",
        ]
    text = f"""
    func.func @k(%x: memref<32x{element}>, %i: memref<1xindex>, %y: {memref}) {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %n = memref.load %i[%c0] : memref<1xindex>
      %true = arith.constant true
      %all = vector.broadcast %true : i1 to vector<4xi1>
      %some = "vector.constant_mask"() <{{count = #builtin.int<3>}}> : () -> vector<4xi1>
      %unknown = arith.andi %some, %all : vector<4xi1>
      %count = arith.constant {count} : index
      %counts = vector.broadcast %count : index to vector<4xindex>
      %step = "vector.step"() : () -> vector<4xindex>
      %at = arith.muli %step, %counts : vector<4xindex>
      {chr(10).join(lines)}
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def run(module: ModuleOp, count: int, dtype: type) -> bytes:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    y = np.full((6, 12, count), -1, dtype)
    run_kernel(func, [np.arange(32, dtype=dtype), np.array([1]), y])
    return y.tobytes()


def stores(module: ModuleOp, count: int, dtype: type = np.float32, isa: str = "avx2") -> list[str]:
    """What writes after the pass, which keeps every bit."""
    expected = run(module, count, dtype)
    InterleaveScattersPass().apply(CompileContext(machine=replace(AVX2, isa=isa)), module)
    module.verify()
    assert run(module, count, dtype) == expected
    kinds = ("vector.store", "vector.maskedstore", "vector.scatter")
    return [op.name.removeprefix("vector.") for op in module.walk() if op.name in kinds]


@pytest.mark.parametrize("columns", [[0, 1], [1, 0], [2, 0, 1], [3, 1, 2, 0]])
def test_columns_that_fill_all_elements_are_stored_together(columns: list[int]) -> None:
    count = len(columns)
    assert stores(kernel(count, columns), count) == ["store"] * count


def test_lanes_that_are_not_live_are_not_written() -> None:
    assert stores(kernel(2, [0, 1], SOME), 2) == ["store", "maskedstore"]
    assert stores(kernel(3, [0, 1, 2], SOME), 3) == ["store", "store", "maskedstore"]


def test_columns_of_two_places_are_told_apart() -> None:
    # 8 = four elements of two columns further on
    assert stores(kernel(2, [0, 8, 1, 9]), 2) == ["store"] * 4


LOAD = "%l = memref.load %y[%n, %c1, %c0] : memref<6x12x2xf32>"
STORE = "memref.store %f, %y[%n, %c1, %c0] : memref<6x12x2xf32>"


@pytest.mark.parametrize(
    "module",
    [
        kernel(2, [0, 0]),
        kernel(2, [0, 3]),
        kernel(3, [0, 1]),
        kernel(2, [0, 1, 2]),  # whose order matters
        kernel(2, [0, 1], UNKNOWN),
        kernel(2, [0, 1], before={1: LOAD}),
        kernel(2, [0, 1], before={1: f"%f = arith.constant 1.0 : f32\n{STORE}"}),
        kernel(5, [0, 1, 2, 3, 4]),
    ],
    ids=["twice", "apart", "hole", "overlap", "unknown mask", "read", "written", "many"],
)
def test_other_scatters_stay(module: ModuleOp) -> None:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    memref = func.args[2].type
    assert isinstance(memref, MemRefType)
    found = stores(module, memref.get_shape()[-1])
    assert set(found) == {"scatter"}


def test_wide_elements_and_other_machines_keep_scatters() -> None:
    assert stores(kernel(2, [0, 1], element="f64"), 2, np.float64) == ["scatter"] * 2
    assert stores(kernel(2, [0, 1]), 2, isa="neon") == ["scatter"] * 2


class Columns(nn.Module):
    """Pixels shuffled by 2, 3 and 4, numbers turned in pairs, results side by side."""

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, ...]:
        a, b = x[..., ::2], x[..., 1::2]
        turned = torch.stack((a * cos - b * sin, a * sin + b * cos), -1)
        return (
            F.pixel_shuffle(x[:, :, :, :31], 2),
            F.pixel_shuffle(x[:, :9], 3) + 1,
            F.pixel_shuffle(x, 4),
            turned.flatten(-2),
            torch.stack((x, x * 2, x.relu()), -1),
        )


@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3", "c99"])
def test_columns_agree_with_torch(target: str) -> None:
    if target == "x86-64-v4" and native_machine().isa != "avx512":
        pytest.skip("the machine has no AVX-512")
    inputs = torch.randn(1, 16, 5, 38), torch.randn(5, 19), torch.randn(5, 19)
    compiled = tilecast.compile(Columns(), inputs, target=target)
    for found, expected in zip(compiled(*inputs), Columns()(*inputs), strict=True):
        torch.testing.assert_close(found, expected)
    if target != "c99":
        assert not any("scatter" in text for text in compiled.sources.values())
