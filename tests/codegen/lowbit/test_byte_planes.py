"""Products by planes of bytes: the ops against the interpreter, kernels against their meaning."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import numpy as np
import pytest
import tilecast.passes.loops.lower_opaque  # noqa: F401  (registers the rules)
from tilecast.codegen.c import emit_unit
from tilecast.compiler.target import resolve_target
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import parse_format
from tilecast.dialects.quant.element_table import element_named
from tilecast.dialects.quant.ops import BitPackAttr, LookupBytesOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.lowbit.forms import Problem, possible_forms
from tilecast.passes.loops.lowbit.plane_product import planes_of
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser

from .test_quantized_linear import Case, kernel_of, lower, run_all

N = 64
LANES = (4, 8, 16)
OPS = {
    "lookup_bytes": '"quant.lookup_bytes"(%a, %b)',
    **{
        f"interleave{bits}{half}": (
            f'"quant.interleave"(%a, %b) <{{bits = #builtin.int<{bits}>, '
            f"half = #builtin.int<{half}>}}>"
        )
        for bits in (8, 16)
        for half in (0, 1)
    },
}


def kernel(name: str, lanes: int) -> str:
    """out[i] = the op on vectors of a and b."""
    type = f"vector<{lanes}xi32>"
    loads = "".join(f"%{x} = vector.load %{x}s[%i] : memref<{N}xi32>, {type}\n    " for x in "ab")
    return f"""
func.func @{name}_{lanes}(%as: memref<{N}xi32>, %bs: memref<{N}xi32>, %out: memref<{N}xi32>)
    attributes {{tilecast.roles = ["in", "in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {N} : index
  %s = arith.constant {lanes} : index
  scf.for %i = %c0 to %n step %s {{
    {loads}%r = {OPS[name]} : ({type}, {type}) -> {type}
    vector.store %r, %out[%i] : memref<{N}xi32>, {type}
  }}
  func.return
}}"""


def meaning(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The op on all blocks of 16 bytes, part by part."""
    if name == "lookup_bytes":
        tables = b.view(np.uint8).reshape(-1, 16)
        return np.take_along_axis(tables, a.view(np.uint8).reshape(-1, 16), axis=1)
    bits, half = int(name[10:-1]), int(name[-1])
    size = 128 // bits
    first, second = (x.view(f"u{bits // 8}").reshape(-1, size) for x in (a, b))
    found = np.empty_like(first)
    part = slice(half * size // 2, (half + 1) * size // 2)
    found[:, ::2], found[:, 1::2] = first[:, part], second[:, part]
    return found


def test_ops_within_blocks(
    machine: Machine, build: Callable[..., ctypes.CDLL], call: Callable[..., None]
) -> None:
    text = "".join(kernel(name, lanes) for name in OPS for lanes in LANES)
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    library = build(emit_unit(functions, machine, prefix=""), machine)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, 4 * N, np.uint8).view(np.int32)
    words, others = rng.integers(-(2**31), 2**31, (2, N), np.int32)
    for function in functions:
        label = function.sym_name.data
        name = label.split("_" + label.rsplit("_", 1)[1])[0]
        first = codes if name == "lookup_bytes" else words
        meant, found = np.zeros(N, np.int32), np.zeros(N, np.int32)
        run_kernel(function, [first, others, meant])
        call(library, label, first, others, found)
        expected = meaning(name, first, others).view(np.int32).reshape(-1)
        np.testing.assert_array_equal(meant, expected, err_msg=label)
        np.testing.assert_array_equal(found, expected, err_msg=label)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("(vector<6xi32>, vector<6xi32>) -> vector<6xi32>", "a multiple of 4 lanes"),
        ("(vector<8xi32>, vector<16xi32>) -> vector<8xi32>", "of one type"),
    ],
)
def test_other_vectors_are_refused(text: str, message: str) -> None:
    types = text[1:].split(")")[0].split(", ")
    source = f"""func.func @f(%a: {types[0]}, %b: {types[1]}) {{
  %r = "quant.lookup_bytes"(%a, %b) : {text}
  func.return
}}"""
    with pytest.raises(Exception, match=message):
        Parser(CompileContext(), source).parse_module().verify()


def test_bytes_of_four_rows_lie_by_element() -> None:
    codes = np.random.default_rng(1).integers(0, 16, (13, 40), np.uint8)
    packed = BitPackAttr.of(4, 8, "transposed").pack(codes)
    assert packed.shape == (2, 8, 8)
    bytes = packed.view(np.uint8).reshape(2, 8, 2, 4, 4)
    padded = np.zeros((16, 64), np.uint8)
    padded[:13, :40] = codes
    for row in (0, 6, 12):
        tile, block, lane = row // 8, row % 8 // 4, row % 4
        for column in (0, 3, 4, 17, 39):
            word, element = divmod(column, 8)
            byte = bytes[tile, word, block, element % 4, lane]
            assert byte >> element // 4 * 4 & 15 == padded[row, column]


@pytest.mark.parametrize(
    ("name", "planes"),
    [("nf4", [0, 1, 2, 3]), ("e2m1", [2, 3]), ("iq4nl", [2, 3]), ("kmeans4", [0, 1, 2, 3])],
)
def test_planes_that_are_zero_are_left_out(name: str, planes: list[int]) -> None:
    assert planes_of(element_named(name)) == planes


def test_only_what_has_a_plane_is_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """A word has two registers of codes."""
    ctx = CompileContext()
    ctx.machine = resolve_target("x86-64-v3")
    for format, planes in (("nf4:g64", 4), ("e2m1:mx", 2)):
        case = Case(format, 1, 16, 64, bias=False, form="planes")
        lowered = lower(ctx, case, kernel_of(case, "k"), monkeypatch)
        assert sum(isinstance(op, LookupBytesOp) for op in lowered.walk()) == 2 * planes


def test_kernels_of_planes(
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Short groups, long ones, all of K; ragged rows, columns and last groups; zero points."""
    batch = [
        Case("nf4:g64", 1, 37, 128, bias=True),
        Case("nf4:g8", 2, 9, 75, bias=False),
        Case("e2m1:g16:zf16", 1, 24, 44, bias=True),
        Case("kmeans4", 1, 5, 71, bias=False),
        Case("iq4nl:g32:zf32", 3, 16, 70, bias=True, activations="int8"),
        Case("e3m0:tensor", 1, 8, 3, bias=False),
    ]
    for case in batch:
        shape = (case.rows, case.outputs, case.columns)
        problem = Problem(parse_format(case.format), case.activations, *shape, machine)
        names = {form.name for form in possible_forms(problem)}
        assert ("planes" in names) == (machine.isa == "avx2")
    if machine.isa != "avx2":
        return
    chosen = [Case(**{**vars(case), "form": "planes"}) for case in batch]
    assert list(run_all(chosen, machine, build, call, monkeypatch, "-O1")) == []
