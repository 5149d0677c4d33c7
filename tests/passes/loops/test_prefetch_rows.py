"""prefetch-rows: the last pass over a row that no cache holds asks for the next one."""

from __future__ import annotations

import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.vector import PrefetchOp
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.prefetch_rows import PrefetchRowsPass
from xdsl.dialects import arith
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

MACHINE = Machine("small", "avx2", vector_bytes=32, l2_bytes=1024, l3_bytes=4096)
PASS = """
    scf.for %k = %c0 to %n step %c16 {{
      %a{name} = vector.load {array}[%r, %k] : memref<{rows}x{n}xf32>, vector<8xf32>
      %k{name} = arith.addi %k, %c8 : index
      %b{name} = vector.load {array}[%r, %k{name}] : memref<{rows}x{n}xf32>, vector<8xf32>
      vector.store %a{name}, %y[%c0] : memref<8xf32>, vector<8xf32>
      vector.store %b{name}, %y[%c0] : memref<8xf32>, vector<8xf32>
    }}"""
LOOPS = {
    "for": "scf.for %r = %c0 to %m step %c1 {{ {body} scf.yield }}",
    "parallel": """
  "scf.parallel"(%c0, %m, %c1) <{{operandSegmentSizes = array<i32: 1, 1, 1, 0>}}> ({{
  ^bb0(%r: index): {body}
    "scf.reduce"() : () -> ()
  }}) : (index, index, index) -> ()""",
}


def prefetches(
    loop: str = "for", rows: int = 32, n: int = 64, passes: tuple[str, ...] = ("%x", "%x")
) -> list[PrefetchOp]:
    body = "".join(
        PASS.format(name=name, array=array, rows=rows, n=n)
        for name, array in zip("pqr", passes, strict=False)
    )
    text = f"""
    func.func @k(%x: memref<{rows}x{n}xf32>, %z: memref<{rows}x{n}xf32>, %y: memref<8xf32>) {{
      %c0 = arith.constant 0 : index
      %c1 = arith.constant 1 : index
      %c8 = arith.constant 8 : index
      %c16 = arith.constant 16 : index
      %m = arith.constant {rows} : index
      %n = arith.constant {n} : index
      {LOOPS[loop].format(body=body)}
      func.return
    }}"""
    context = CompileContext(machine=MACHINE)
    module = Parser(context, text).parse_module()
    assert isinstance(module, ModuleOp)
    PrefetchRowsPass().apply(context, module)
    module.verify()
    return [op for op in module.walk() if isinstance(op, PrefetchOp)]


@pytest.mark.parametrize("loop", LOOPS)
def test_once_per_line_in_the_last_pass(loop: str) -> None:
    (found,) = prefetches(loop)  # of two vectors of 32 bytes
    following, column = found.indices
    block = found.parent_block()
    assert block is not None
    outer = block.parent_block()
    assert outer is not None
    assert isinstance(following.owner, arith.AddiOp)
    assert following.owner.lhs is outer.args[0]
    assert column is block.args[0]


@pytest.mark.parametrize(
    "case",
    [
        {"passes": ("%x",)},  # read once
        {"passes": ("%x", "%z")},
        {"rows": 8},  # lies in the cache
        {"n": 128},  # rows too long for it
    ],
)
def test_what_stays(case: dict[str, object]) -> None:
    assert prefetches(**case) == []  # type: ignore[arg-type]
