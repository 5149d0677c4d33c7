"""Where functions of mathlib are inlined, and where not."""

from __future__ import annotations

import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser


def exponentials(count: int) -> str:
    """C of a kernel with so many exponentials of vectors in a row."""
    type, ends = f"memref<{16 * count}xf32>", "vector<16xf32>"
    lines = []
    for k in range(count):
        lines += [
            f"%c{k} = arith.constant {16 * k} : index",
            f"%x{k} = vector.load %x[%c{k}] : {type}, {ends}",
            f"%y{k} = math.exp %x{k} : {ends}",
            f"vector.store %y{k}, %y[%c{k}] : {type}, {ends}",
        ]
    text = f"""
func.func @f(%x: {type}, %y: {type}) attributes {{tilecast.roles = ["in", "out"]}} {{
  {" ".join(lines)}
  func.return
}}
"""
    func = Parser(CompileContext(), text).parse_module().body.block.first_op
    assert isinstance(func, FuncOp)
    return emit_unit([func], Machine("x86-64-v4", "avx512"))


@pytest.mark.parametrize("count", [2, 28])
def test_functions_of_whole_tiles_are_called(count: int) -> None:
    text = exponentials(count)
    is_outlined = "noinline" in text
    assert is_outlined == (count == 28)
    assert text.count("tc_exp_f32_v16" + ("_outlined(" if is_outlined else "(")) == count + 1
