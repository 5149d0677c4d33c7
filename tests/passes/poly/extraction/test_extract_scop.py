"""extract-scop: the statements, executed in order, compute what the linalg kernel means."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.errors import LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.sets import box_extents

Build = Callable[..., Any]
GENERIC = """
  %e = tensor.empty() : tensor<{shape}xf32>
  %r = linalg.generic {{indexing_maps = [{maps}], iterator_types = [{iterators}]}}
    ins({ins}) outs({outs} : tensor<{shape}xf32>) {{
  {body}
  }} -> tensor<{shape}xf32>
"""


def writers(scop: ScopOp, name: str) -> int:
    return sum(s.target.name_hint == name for s in scop.statements)


def test_every_kernel_of_the_family_keeps_its_meaning(family_kernel: Any) -> None:
    family_kernel.check_scop(family_kernel.scop())


SIZES = st.integers(1, 5)


@settings(max_examples=12)
@given(SIZES, SIZES, SIZES)
def test_matmul_of_any_size(build: Build, m: int, k: int, n: int) -> None:
    kernel = build("matmul", m, k, n)
    kernel.check_scop(kernel.scop())


@settings(max_examples=12)
@given(SIZES, SIZES, SIZES)
def test_reshapes_become_accesses(build: Build, rows: int, heads: int, depth: int) -> None:
    kernel = build("reshape_add", rows, heads, depth)
    scop = kernel.scop()
    assert len(scop.statements) == 1
    kernel.check_scop(scop)


@settings(max_examples=8)
@given(st.integers(3, 6), st.integers(1, 3), st.integers(1, 2), st.integers(0, 1))
def test_convolutions_of_any_size(
    build: Build, size: int, kernel: int, stride: int, padding: int
) -> None:
    case = build("conv", 2, 3, size, kernel, stride, padding)
    case.check_scop(case.scop())


def test_an_input_returned_through_a_view_is_copied(build: Build) -> None:
    kernel = build("copy_through_view", 3, 5)
    scop = kernel.scop()
    assert [s.target.name_hint for s in scop.statements] == ["out"]
    kernel.check_scop(scop)


def test_a_value_returned_twice_is_written_to_both_outputs(kernel: Build, kernel_text: Any) -> None:
    t = kernel_text(x="3x5xf32")
    y = t.op("pointwise", "%x", "3x5xf32", 'fn = "neg"')
    case = kernel(t.returns(y, y))
    scop = case.scop()
    assert writers(scop, "out0") == writers(scop, "out1") == 1
    case.check_scop(scop)


def test_an_output_may_be_an_input_of_the_next(kernel: Build, kernel_text: Any) -> None:
    t = kernel_text(x="3x5xf32")
    y = t.op("pointwise", "%x", "3x5xf32", 'fn = "neg"')
    z = t.op("pointwise", f"{y} %x", "3x5xf32", 'fn = "mul"')
    case = kernel(t.returns(y, z))
    scop = case.scop()
    assert len(scop.statements) == 2
    case.check_scop(scop)


def test_a_result_and_a_view_of_it_are_both_written(kernel: Build, kernel_text: Any) -> None:
    t = kernel_text(x="3x5xf32")
    y = t.op("pointwise", "%x", "3x5xf32", 'fn = "neg"')
    v = t.op("view", y, "5x3xf32", "map = affine_map<(d0, d1) -> (d1, 4 - d0)>")
    case = kernel(t.returns(y, v))
    case.check_scop(case.scop())


def test_accumulators_are_not_outputs(build: Build) -> None:
    kernel = build("reduce", "sum", 3, 5, 1)
    scop = kernel.scop()
    assert all(s.target.name_hint != "out" for s in scop.statements if s.reduction is not None)
    kernel.check_scop(scop)


def test_reductions_carry_their_kind(build: Build) -> None:
    for fn, kind in (("sum", "add"), ("prod", "mul"), ("max", "max"), ("min", "min")):
        scop = build("reduce", fn, 3, 5, 1).scop()
        kinds = [s.reduction.data for s in scop.statements if s.reduction is not None]
        assert kinds == [kind]


def test_any_and_all_reduce_booleans(kernel: Build, kernel_text: Any) -> None:
    for fn in ("any", "all"):
        t = kernel_text(x="3x5xi1")
        properties = f'fn = "{fn}", dims = [#builtin.int<1>]'
        case = kernel(t.returns(t.op("reduce", "%x", "3xi1", properties)))
        case.check_scop(case.scop())


def test_weights_keep_their_role(build: Build) -> None:
    scop = build("linear", 2, 3, 4).scop()
    assert [r.data for r in scop.roles] == ["in", "weight", "weight", "out"]


def test_padding_is_written_around_the_source(build: Build) -> None:
    case = build("pad", 2, 3)
    scop = case.scop()
    source, *border = scop.statements
    assert source.write.data.eval([0, 0], []) == (1, 2)
    assert border
    assert not any(s.sources for s in border)
    boxes = [box_extents(s.domain.data) for s in scop.statements]
    assert sum(prod(box) for box in boxes if box) == prod(scop.body.block.args[-1].type.get_shape())
    case.check_scop(scop)


def test_integers_are_padded_and_joined_exactly(kernel: Build, kernel_text: Any) -> None:
    t = kernel_text(x="2x3xi64", y="2x2xi64")
    c = t.op("cat", "%x %y", "2x5xi64", "dim = #builtin.int<1>")
    properties = (
        "low = [#builtin.int<0>, #builtin.int<1>], high = [#builtin.int<1>, #builtin.int<0>], "
        "value = 7 : i64"
    )
    case = kernel(t.returns(t.op("pad", c, "3x6xi64", properties)))
    case.check_scop(case.scop())


def test_indirect_reads_load_in_the_body(build: Build) -> None:
    kernel = build("embedding", 4, 3, 5)
    scop = kernel.scop()
    assert any(op.name == "memref.load" for op in scop.walk())
    kernel.check_scop(scop)


def test_iteration_numbers_are_available(kernel: Build) -> None:
    text = (
        "func.func private @k(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {"
        + GENERIC.format(
            shape="3x5",
            maps="affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i, j)>",
            iterators='"parallel", "parallel"',
            ins="%x : tensor<3x5xf32>",
            outs="%e",
            body="""^bb0(%p: f32, %o: f32):
          %j = linalg.index 1 : index
          %n = arith.index_cast %j : index to i64
          %f = arith.sitofp %n : i64 to f32
          %s = arith.addf %p, %f : f32
          linalg.yield %s : f32""",
        )
        + "func.return %r : tensor<3x5xf32>}"
    )
    case = kernel(text)
    case.check_scop(case.scop())


def test_array_names_may_be_words_of_the_set_syntax(kernel: Build, kernel_text: Any) -> None:
    t = kernel_text(max="3xf32", mod="3xf32", exists="3xf32")
    a = t.op("pointwise", "%max %mod", "3xf32", 'fn = "add"')
    case = kernel(t.returns(t.op("pointwise", f"{a} %exists", "3xf32", 'fn = "mul"')))
    case.check_lowered(case.scop())


@pytest.mark.parametrize(("shape", "dims"), [((0, 3), (1,)), ((3, 0), (1,)), ((0, 0), (0, 1))])
def test_empty_arrays(build: Build, shape: tuple[int, int], dims: tuple[int, ...]) -> None:
    kernel = build("reduce", "sum", *shape, *dims)
    kernel.check_scop(kernel.scop())
    kernel.check_lowered(kernel.scop())


def reduction(body: str, init: str) -> str:
    return (
        "func.func private @k(%x: tensor<3x5xf32>, %y: tensor<3xf32>) -> tensor<3xf32> {"
        "%zero = arith.constant 0.0 : f32\n%i = tensor.empty() : tensor<3xf32>\n"
        "%filled = linalg.fill ins(%zero : f32) outs(%i : tensor<3xf32>) -> tensor<3xf32>"
        + GENERIC.format(
            shape="3",
            maps="affine_map<(i, j) -> (i, j)>, affine_map<(i, j) -> (i)>",
            iterators='"parallel", "reduction"',
            ins="%x : tensor<3x5xf32>",
            outs=init,
            body=f"^bb0(%p: f32, %acc: f32):\n{body}",
        )
        + "func.return %r : tensor<3xf32>}"
    )


SUM = "%s = arith.addf %p, %acc : f32\nlinalg.yield %s : f32"


def test_a_reduction_that_does_not_combine_is_refused(kernel: Build) -> None:
    body = "%s = arith.subf %p, %acc : f32\nlinalg.yield %s : f32"
    with pytest.raises(LoweringError, match="does not combine associatively"):
        kernel(reduction(body, "%filled")).scop()


def test_a_reduction_that_uses_its_accumulator_twice_is_refused(kernel: Build) -> None:
    body = "%s = arith.addf %acc, %acc : f32\nlinalg.yield %s : f32"
    with pytest.raises(LoweringError, match="does not combine associatively"):
        kernel(reduction(body, "%filled")).scop()


def test_a_reduction_onto_an_argument_is_refused(kernel: Build) -> None:
    with pytest.raises(LoweringError, match=r"not initialised by linalg\.fill"):
        kernel(reduction(SUM, "%y")).scop()


def test_a_reduction_may_start_anywhere(kernel: Build) -> None:
    case = kernel(reduction(SUM, "%filled").replace("0.0 : f32", "2.0 : f32"))
    case.check_scop(case.scop())
    np.testing.assert_array_equal(case.expected()[0], case.inputs[0].sum(1) + 2)
