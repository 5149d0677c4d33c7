"""Pairs of contiguous floats are rounded as they lie, where the memory does not change between."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.pairs import JoinOp, NarrowOp, RoundOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.round_neighbours import RoundNeighboursPass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

STORE = "vector.store %zero, %x[%c0] : memref<16xf32>, vector<4xf32>"


def kernel(second: int = 1, stride: int = 2, between: str = "") -> ModuleOp:
    """out[k] = join(x[4 + stride * k], x[4 + stride * k + second])."""
    types = "memref<16xf32>, index, vector<4xindex>, vector<4xi1>, vector<4xf32>"
    text = f"""
    func.func @k(%x: memref<16xf32>, %i: memref<1xindex>, %y: memref<4xi32>) {{
      %c0 = arith.constant 0 : index
      %n = memref.load %i[%c0] : memref<1xindex>
      %d = arith.constant {second} : index
      %m = arith.addi %n, %d : index
      %true = arith.constant true
      %all = vector.broadcast %true : i1 to vector<4xi1>
      %z = arith.constant 0.0 : f32
      %zero = vector.broadcast %z : f32 to vector<4xf32>
      %s = arith.constant {stride} : index
      %stride = vector.broadcast %s : index to vector<4xindex>
      %step = "vector.step"() : () -> vector<4xindex>
      %at = arith.muli %step, %stride : vector<4xindex>
      %a = "vector.gather"(%x, %n, %at, %all, %zero) : ({types}) -> vector<4xf32>
      {between}
      %b = "vector.gather"(%x, %m, %at, %all, %zero) : ({types}) -> vector<4xf32>
      %l = arith.truncf %a : vector<4xf32> to vector<4xbf16>
      %h = arith.truncf %b : vector<4xf32> to vector<4xbf16>
      %p = "pair.join"(%l, %h) : (vector<4xbf16>, vector<4xbf16>) -> vector<4xi32>
      vector.store %p, %y[%c0] : memref<4xi32>, vector<4xi32>
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return module


def run(module: ModuleOp) -> bytes:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    out = np.zeros(4, np.int32)
    x = np.random.default_rng(0).normal(size=16).astype(np.float32)
    run_kernel(func, [x, np.array([4]), out])
    return out.tobytes()


def lowered(module: ModuleOp, *features: str, precision: str = "f32") -> ModuleOp:
    context = CompileContext()
    context.precision = precision
    context.machine = Machine("zen4", "avx512", features, 64, 32)
    RoundNeighboursPass().apply(context, module)
    module.verify()
    return module


def count(module: ModuleOp, op: type) -> int:
    return sum(isinstance(inner, op) for inner in module.walk())


def test_neighbours_are_rounded_as_they_lie() -> None:
    module = kernel()
    before = run(module)
    lowered(module, "avx512_bf16")
    assert (count(module, RoundOp), count(module, JoinOp)) == (1, 0)
    assert "gather" not in str(module)
    assert run(module) == before


@pytest.mark.parametrize(
    ("precision", "lanes", "narrowed"), [("bf16", 16, 1), ("bf16", 8, 0), ("f32", 16, 0)]
)
def test_whole_registers_are_rounded_by_one_instruction(
    precision: str, lanes: int, narrowed: int
) -> None:
    """Where the user asked for bf16: subnormal numbers may become zero then."""
    text = f"""
    func.func @k(%x: vector<{lanes}xf32>, %y: memref<{lanes}xbf16>) {{
      %c0 = arith.constant 0 : index
      %l = arith.truncf %x : vector<{lanes}xf32> to vector<{lanes}xbf16>
      vector.store %l, %y[%c0] : memref<{lanes}xbf16>, vector<{lanes}xbf16>
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    assert count(lowered(module, "avx512_bf16", precision=precision), NarrowOp) == narrowed


@pytest.mark.parametrize(
    ("module", "features"),
    [
        (kernel(second=2), ("avx512_bf16",)),
        (kernel(stride=1), ("avx512_bf16",)),
        (kernel(between=STORE), ("avx512_bf16",)),
        (kernel(), ()),
    ],
    ids=["not_neighbours", "other_stride", "written_between", "no_instruction"],
)
def test_nothing_changes(module: ModuleOp, features: tuple[str, ...]) -> None:
    before = str(module)
    assert str(lowered(module, *features)) == before
