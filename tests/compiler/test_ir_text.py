"""IR text that cannot be read is one error, and quickly."""

from __future__ import annotations

import pytest
from tilecast.compiler.ir_text import parse_ir
from tilecast.dialects.errors import InvalidInputError
from tilecast.passes.context import CompileContext


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('func.func @f() { "' + "a" * 60 + "\n}", "line|string"),
        ('builtin.module { "\v' + "a" * 60 + '"() : () -> () }', "string"),
        ('builtin.module { "\\v' + "a" * 60 + '"() : () -> () }', "hexadecimal"),
        ("func.func @f(%x: memref<4xf32>", "memref|expected|Expected"),
        (
            'func.func @f(%x: memref<4xf32>, %i: index) { %v = "affine.load"(%x, %i)'
            " <{map = affine_map<(a, b) -> (a + b)>}>"
            " : (memref<4xf32>, index) -> f32\nfunc.return }",
            "takes 2 indices, found 1",
        ),
        ("%x = arith.constant 1 : i" + "6" * 10, "at most 64 bits, found the type i6666666666"),
        ('"builtin.module"() ({ "arith.constant"() <{value = 1}> : () -> i32 }) : () -> ()', ""),
    ],
)
def test_damaged_text_is_refused(text: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        parse_ir(CompileContext(), text, "file.mlir")


def test_strings_and_comments_are_read() -> None:
    text = 'builtin.module attributes {a = "x\\"y", b = ""} { // a "comment\n}'
    assert "attributes" in str(parse_ir(CompileContext(), text, "file.mlir"))
