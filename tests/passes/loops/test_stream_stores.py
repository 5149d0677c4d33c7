"""stream-stores: results that no cache can hold go around the caches, behind a fence."""

from __future__ import annotations

from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.stream_stores import StreamStoresPass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

SMALL_CACHE = Machine("small", "avx2", vector_bytes=32, l3_bytes=1024)
HEAD = "func.func @k(%x: memref<1024xf32>, %y: memref<1024xf32>, %z: memref<64xf32>)"
LOOP = """
    %v = vector.load %x[%i] : memref<1024xf32>, vector<8xf32>
    vector.store %v, %y[%i] : memref<1024xf32>, vector<8xf32>
    vector.store %v, %z[%c0] : memref<64xf32>, vector<8xf32>"""
PLAIN = f"scf.for %i = %c0 to %n step %c8 {{ {LOOP} scf.yield }}"
PARALLEL = f"""
  "scf.parallel"(%c0, %n, %c8) <{{operandSegmentSizes = array<i32: 1, 1, 1, 0>}}> ({{
  ^bb0(%i: index): {LOOP}
    "scf.reduce"() : () -> ()
  }}) : (index, index, index) -> ()"""
REREAD = "%again = memref.load %y[%c0] : memref<1024xf32>"


def emitted(body: str) -> str:
    text = f"""
    {HEAD} attributes {{tilecast.roles = ["in", "out", "out"]}} {{
      %c0 = arith.constant 0 : index
      %c8 = arith.constant 8 : index
      %n = arith.constant 1024 : index
      {body}
      func.return
    }}"""
    context = CompileContext(machine=SMALL_CACHE)
    module = Parser(context, text).parse_module()
    assert isinstance(module, ModuleOp)
    StreamStoresPass().apply(context, module)
    module.verify()
    (func,) = module.ops
    assert isinstance(func, FuncOp)
    return emit_unit([func], SMALL_CACHE)


def test_only_the_large_result_is_streamed() -> None:
    code = emitted(PLAIN)
    assert "tc_stream_f32x8(&y[i], v);" in code
    assert "_mm256_storeu_ps(z, v);" in code


def test_a_result_that_is_read_again_is_not_streamed() -> None:
    assert "tc_stream" not in emitted(PLAIN + REREAD)


def test_one_fence_at_the_end() -> None:
    code = emitted(PLAIN)
    assert code.count("_mm_sfence();") == 1
    assert code.rindex("_mm_sfence();") > code.rindex("tc_stream")


def test_each_thread_has_its_fence_behind_its_share() -> None:
    code = emitted(PARALLEL)
    assert code.count("_mm_sfence();") == 1
    loop = code.index("#pragma omp for schedule(static) nowait")
    assert code.index("#pragma omp parallel\n") < loop < code.index("_mm_sfence();")
