"""The scop interpreter itself, on scops written as text, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.poly import instances_of, original_order, run_scop
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

PREFIX_SUMS = """
"poly.scop"() <{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}> ({
^bb0(%x: memref<4xf32>, %y: memref<4xf32>):
  "poly.statement"(%y, %x) <{sym_name = "S0", domain = "{ [i0] : i0 = 0 }",
    write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32):
    "poly.yield"(%a) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>) -> ()
  "poly.statement"(%y, %y, %x) <{sym_name = "S1", domain = "{ [i0] : 1 <= i0 < 4 }",
    write = affine_map<(d0) -> (d0)>,
    reads = [affine_map<(d0) -> (d0 - 1)>, affine_map<(d0) -> (d0)>]}> ({
  ^bb0(%a: f32, %b: f32):
    %s = arith.addf %a, %b : f32
    "poly.yield"(%s) : (f32) -> ()
  }) : (memref<4xf32>, memref<4xf32>, memref<4xf32>) -> ()
}) : () -> ()
"""


def scop(text: str) -> ScopOp:
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    (op,) = module.ops
    assert isinstance(op, ScopOp)
    return op


def one_statement(body: str, element: str = "f32", domain: str = "0 <= i0 < 4") -> ScopOp:
    return scop(f"""
    "poly.scop"() <{{sym_name = "k", roles = ["in", "out"], packs = [unit, unit]}}> ({{
    ^bb0(%x: memref<4x{element}>, %y: memref<4x{element}>):
      "poly.statement"(%y, %x) <{{sym_name = "S0", domain = "{{ [i0] : {domain} }}",
        write = affine_map<(d0) -> (d0)>, reads = [affine_map<(d0) -> (d0)>]}}> ({{
      ^bb0(%a: {element}):
        {body}
        "poly.yield"(%r) : ({element}) -> ()
      }}) : (memref<4x{element}>, memref<4x{element}>) -> ()
    }}) : () -> ()""")


def test_statements_run_one_after_the_other() -> None:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    run_scop(scop(PREFIX_SUMS), [x, y])
    assert y.tolist() == [0, 1, 3, 6]


def test_the_original_order_lists_every_instance() -> None:
    order = list(original_order(scop(PREFIX_SUMS)))
    assert order == [("S0", (0,)), ("S1", (1,)), ("S1", (2,)), ("S1", (3,))]


def test_another_order_may_give_another_result() -> None:
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    run_scop(scop(PREFIX_SUMS), [x, y], reversed(list(original_order(scop(PREFIX_SUMS)))))
    assert y.tolist() == [0, 1, 2, 3]


def test_domains_that_are_no_boxes_are_walked_in_order() -> None:
    text = PREFIX_SUMS.replace("1 <= i0 < 4", "1 <= i0 < 4 and i0 mod 2 = 1")
    assert list(instances_of(scop(text).statements[1])) == [(1,), (3,)]


def test_empty_domains_have_no_instances() -> None:
    text = PREFIX_SUMS.replace("1 <= i0 < 4", "1 <= i0 < 1")
    assert list(instances_of(scop(text).statements[1])) == []


def test_floats_are_computed_in_the_type_asked_for() -> None:
    square = one_statement("%r = arith.mulf %a, %a : f32")
    x, y = np.full(4, 2.0**100, np.float32), np.zeros(4, np.float32)
    run_scop(square, [x, y])
    assert y.tolist() == [np.inf] * 4
    wide = np.zeros(4)
    run_scop(square, [x.astype(np.float64), wide], float_type=np.float64)
    assert wide.tolist() == [2.0**200] * 4


def test_constants_keep_their_digits_in_float64() -> None:
    third = one_statement("%c = arith.constant 0.1 : f64\n%r = arith.mulf %a, %c : f64", "f64")
    y = np.zeros(4)
    run_scop(third, [np.ones(4), y], float_type=np.float64)
    assert y.tolist() == [0.1] * 4


def test_iteration_numbers_and_computed_indices() -> None:
    reverse = one_statement("""
        %i = "poly.index"() <{dim = #builtin.int<0>}> : () -> index
        %three = arith.constant 3 : index
        %j = arith.subi %three, %i : index
        %r = memref.load %x[%j] : memref<4xf32>""")
    x, y = np.arange(4, dtype=np.float32), np.zeros(4, np.float32)
    run_scop(reverse, [x, y])
    assert y.tolist() == [3, 2, 1, 0]


def test_integers_wrap_and_booleans_are_bytes() -> None:
    double = one_statement("%r = arith.addi %a, %a : i32", "i32")
    y = np.zeros(4, np.int32)
    run_scop(double, [np.full(4, 2**30, np.int32), y])
    assert y.tolist() == [-(2**31)] * 4
    xor = one_statement("%r = arith.xori %a, %a : i1", "i1")
    flags = np.ones(4, np.uint8)
    run_scop(xor, [np.ones(4, np.uint8), flags])
    assert flags.tolist() == [0] * 4


def test_temporaries_are_poisoned() -> None:
    text = PREFIX_SUMS.replace(
        '"poly.statement"(%y, %x) <{sym_name = "S0"',
        '%t = "poly.array"() : () -> memref<4xf32>\n"poly.statement"(%y, %t) <{sym_name = "S0"',
    )
    y = np.zeros(4, np.float32)
    run_scop(scop(text), [np.zeros(4, np.float32), y])
    assert np.isnan(y).all()


def test_an_access_outside_of_its_array_is_refused() -> None:
    text = PREFIX_SUMS.replace("affine_map<(d0) -> (d0 - 1)>", "affine_map<(d0) -> (d0 - 2)>")
    with pytest.raises(LoweringError, match=r"statement S1: \(-1,\) is outside of \(4,\)"):
        run_scop(scop(text), [np.zeros(4, np.float32), np.zeros(4, np.float32)])


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ([np.zeros(4, np.float32)], "expected 2 arrays, found 1"),
        ([np.zeros(8, np.float32)[::2], np.zeros(4, np.float32)], "expected a contiguous array"),
    ],
)
def test_wrong_arrays_are_refused(arrays: list[np.ndarray], reason: str) -> None:
    with pytest.raises(LoweringError, match=reason):
        run_scop(scop(PREFIX_SUMS), arrays)
