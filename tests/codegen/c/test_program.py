"""The program function: pointers into the arena, weights by index, aliases, copies."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from tilecast.codegen.c import emit_program, emit_unit, program_weight_symbols
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import LoweringError
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

MODULE = """
func.func private @scale(%x: memref<8xf32>, %w: memref<1xf32>, %y: memref<8xf32>)
    attributes {tilecast.roles = ["in", "weight", "out"]} {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c8 = arith.constant 8 : index
  %s = memref.load %w[%c0] : memref<1xf32>
  scf.for %i = %c0 to %c8 step %c1 {
    %v = memref.load %x[%i] : memref<8xf32>
    %p = arith.mulf %v, %s : f32
    memref.store %p, %y[%i] : memref<8xf32>
  }
  func.return
}
func.func @main(%x: memref<2x4xf32>, %y: memref<8xf32>, %same: memref<2x4xf32>,
                %arena: memref<128xi8>) {
  %c64 = arith.constant 64 : index
  %c0 = arith.constant 0 : index
  %flat = memref.reinterpret_cast %x to offset: [0], sizes: [8], strides: [1]
      : memref<2x4xf32> to memref<8xf32>
  %h = memref.view %arena[%c64][] : memref<128xi8> to memref<8xf32>
  %g = memref.view %arena[%c0][] : memref<128xi8> to memref<8xf32>
  %b = memref.get_global @b : memref<1xf32>
  %a = memref.get_global @a : memref<1xf32>
  func.call @scale(%flat, %b, %h) : (memref<8xf32>, memref<1xf32>, memref<8xf32>) -> ()
  func.call @scale(%h, %a, %g) : (memref<8xf32>, memref<1xf32>, memref<8xf32>) -> ()
  func.call @scale(%g, %b, %y) : (memref<8xf32>, memref<1xf32>, memref<8xf32>) -> ()
  "memref.copy"(%x, %same) : (memref<2x4xf32>, memref<2x4xf32>) -> ()
  func.return
}
"""


def _parse(text: str = MODULE):
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return list(module.body.block.ops)


def _pointers(*arrays: np.ndarray):
    return (ctypes.c_void_p * len(arrays))(*(a.ctypes.data for a in arrays))


def test_program_runs_kernels_over_the_arena(build):
    scale, main = _parse()
    machine = Machine("scalar", "scalar")
    source = emit_unit([scale], machine) + emit_program(main, [scale], "net")
    library = build(source, machine)
    weights = {"a": np.array([3.0], np.float32), "b": np.array([2.0], np.float32)}
    symbols = program_weight_symbols(main)
    assert symbols == ["b", "a"]
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    y, same = np.zeros(8, np.float32), np.zeros((2, 4), np.float32)
    arena = np.zeros(128, np.uint8)
    library.net_program(
        _pointers(x),
        _pointers(y, same),
        _pointers(*(weights[s] for s in symbols)),
        ctypes.c_void_p(arena.ctypes.data),
    )
    assert np.array_equal(y, 12 * x.reshape(-1))
    assert np.array_equal(same, x)
    assert np.array_equal(arena[64:96].view(np.float32), 2 * x.reshape(-1))


def test_program_file_compiles_by_itself(build):
    scale, main = _parse()
    text = emit_program(main, [scale], "net")
    assert (
        "void scale(const float *restrict x, const float *restrict w, float *restrict y);" in text
    )
    build(
        text + emit_unit([scale], Machine("scalar", "scalar"), static=False), Machine("s", "scalar")
    )


def test_program_without_weights_or_arena_has_no_unused_parameter(build):
    _, main = _parse("""
func.func private @k(%x: memref<8xf32>) { func.return }
func.func @main(%x: memref<8xf32>, %y: memref<8xf32>) {
  "memref.copy"(%x, %y) : (memref<8xf32>, memref<8xf32>) -> ()
  func.return
}""")
    build(emit_program(main, [], "copy"), Machine("scalar", "scalar"))


def test_call_of_an_unknown_kernel_is_refused():
    _, main = _parse()
    with pytest.raises(LoweringError, match="program calls @scale, which is no kernel here"):
        emit_program(main, [], "net")


def test_declared_roles_decide_what_an_argument_is():
    scale, main = _parse()
    from xdsl.dialects.builtin import ArrayAttr, StringAttr

    roles = [StringAttr(r) for r in ("in", "out", "out", "arena")]
    main.attributes["tilecast.roles"] = ArrayAttr(roles)
    assert "float *same = outputs[1];" in emit_program(main, [scale], "net")
