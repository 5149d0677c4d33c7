"""exchange-gathers: a block of gathers becomes loads and shuffles, the bits stay."""

from __future__ import annotations

import numpy as np
import pytest
import tilecast
import torch
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.eliminate_common_subexpressions import EliminateCommonSubexpressionsPass
from tilecast.passes.loops.exchange_gathers import ExchangeGathersPass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

LANES = 4


def kernel(columns: list[int], between: str = "") -> ModuleOp:
    """Gathers of `columns` of a 6 x 10 array from row 1, each stored as a row of the result."""
    lines = []
    for k, column in enumerate(columns):
        lines.append(
            f"""
      %d{k} = arith.constant {column} : index
      %j{k} = arith.addi %n, %d{k} : index
      %v{k} = "vector.gather"(%x, %c1, %j{k}, %at, %all, %zero)
          :
          (memref<6x10xf32>, index, index, vector<4xindex>, vector<4xi1>, vector<4xf32>)
          -> vector<4xf32>
      %k{k} = arith.constant {4 * k} : index
      vector.store %v{k}, %y[%k{k}] : memref<32xf32>, vector<4xf32>
      {between}"""
        )
    text = f"""
    func.func @k(%x: memref<6x10xf32>, %i: memref<1xindex>, %y: memref<32xf32>) {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %n = memref.load %i[%c0] : memref<1xindex>
      %true = arith.constant true
      %all = vector.broadcast %true : i1 to vector<4xi1>
      %z = arith.constant 0.0 : f32
      %zero = vector.broadcast %z : f32 to vector<4xf32>
      %s = arith.constant 10 : index
      %stride = vector.broadcast %s : index to vector<4xindex>
      %step = "vector.step"() : () -> vector<4xindex>
      %at = arith.muli %step, %stride : vector<4xindex>
      {"".join(lines)}
      func.return
    }}"""
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    EliminateCommonSubexpressionsPass().apply(CompileContext(), module)
    return module


def run(module: ModuleOp) -> bytes:
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    x = np.arange(60, dtype=np.float32).reshape(6, 10)
    y = np.zeros(32, np.float32)
    run_kernel(func, [x, np.array([1]), y])
    return y.tobytes()


def exchanged(columns: list[int], between: str = "") -> tuple[int, int]:
    """(exchanges, gathers) after the pass, which must keep every bit."""
    module = kernel(columns, between)
    expected = run(module)
    ExchangeGathersPass().apply(CompileContext(), module)
    module.verify()
    assert run(module) == expected
    names = [op.name for op in module.walk()]
    return names.count("vector.exchange"), names.count("vector.gather")


def test_a_square_block_is_exchanged() -> None:
    assert exchanged([0, 1, 2, 3]) == (1, 0)


def test_blocks_may_follow_each_other() -> None:
    assert exchanged([5, 0, 1, 2, 3]) == (1, 1)
    assert exchanged([0, 1, 2, 3, 4, 5, 6, 7]) == (2, 0)


def test_columns_out_of_order_stay() -> None:
    assert exchanged([2, 3, 0, 1]) == (0, 4)


def test_an_incomplete_block_stays() -> None:
    assert exchanged([0, 1, 3]) == (0, 3)


def test_a_store_to_the_array_ends_a_block() -> None:
    store = "memref.store %z, %x[%c0, %c0] : memref<6x10xf32>"
    assert exchanged([0, 1, 2, 3], store) == (0, 4)


@pytest.mark.parametrize("target", ["x86-64-v4", "x86-64-v3"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_transposes_agree_with_torch(
    target: str, dtype: torch.dtype, request: pytest.FixtureRequest
) -> None:
    class Transpose(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.transpose(1, 2).contiguous()

    x = torch.arange(2 * 53 * 70).reshape(2, 53, 70).to(dtype)
    if target == "x86-64-v4" and not tilecast_supports(target):
        pytest.skip("the machine has no AVX-512")
    compiled = tilecast.compile(Transpose(), (x,), target=target)
    torch.testing.assert_close(compiled(x), x.transpose(1, 2), rtol=0, atol=0)


def tilecast_supports(target: str) -> bool:
    from tilecast.compiler.target import native_machine

    return native_machine().isa == "avx512" or target == "x86-64-v3"
