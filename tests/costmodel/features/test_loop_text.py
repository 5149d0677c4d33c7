"""Words of loops: types, operands by distance, last uses, and how many values are live."""

from __future__ import annotations

from tilecast.costmodel.features.loop_text import extent_word, loop_text, size_word
from tilecast.passes.context import CompileContext
from xdsl.dialects.builtin import ModuleOp
from xdsl.parser import Parser

SUM = """
func.func @k(%x: memref<4x48xf32>, %y: memref<4xf32>) {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %c4 = arith.constant 4 : index
  %c48 = arith.constant 48 : index
  %zero = arith.constant 0.0 : f32
  scf.for %i = %c0 to %c4 step %c1 {
    %sum = scf.for %j = %c0 to %c48 step %c1 iter_args(%s = %zero) -> (f32) {
      %a = memref.load %x[%i, %j] : memref<4x48xf32>
      %b = arith.addf %s, %a : f32
      scf.yield %b : f32
    }
    memref.store %sum, %y[%i] : memref<4xf32>
  }
  func.return
}
"""


def text_of(source: str):
    module = Parser(CompileContext(), source).parse_module()
    assert isinstance(module, ModuleOp)
    return loop_text(module.body.block.first_op)


def test_words_of_a_sum():
    text = text_of(SUM)
    assert [" ".join(line) for line in text.lines] == [
        "scf.for:index v0 i1 trips4 <c0 <c4 <c1",
        "scf.for:f32 v1 i2 uses1 trips~11 <c0 <c~11by16 <c1 <cf",
        "memref.load:f32 v2 i1 uses1 extent~11by16 <argument <2 <1!",
        "arith.addf:f32 v1 i1 uses1 <2! <1!",
        "memref.store:f32 v0 i0 extent4by4 <1! <argument <3!",
    ]
    assert (text.live_vectors, text.live_integers) == (2, 2)


def test_what_is_used_in_a_loop_lives_as_long_as_the_loop():
    constant = "%zero = arith.constant 0.0 : f32"
    loaded = SUM.replace(constant, "%zero = memref.load %y[%c0] : memref<4xf32>")
    assert text_of(loaded).live_vectors == text_of(SUM).live_vectors + 1


def test_sizes_are_exact_or_magnitudes():
    assert [size_word(n) for n in (0, 1, 16, 17, 1000)] == ["0", "1", "16", "~8", "~20"]
    assert extent_word(48) == "~11by16"
    assert extent_word(7) == "7by1"
