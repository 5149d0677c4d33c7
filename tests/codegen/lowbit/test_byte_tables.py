"""Products by tables of bytes: packing and ops by their meaning, kernels against int64."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tilecast.passes.loops.lower_opaque  # noqa: F401  (registers the rules)
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import IntegerElement, pack_nibbles, parse_format, unpack_nibbles
from tilecast.dialects.quant.ops import BitPackAttr
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.lowbit.byte_table_product import (
    BLOCK_BYTES,
    TABLE_BYTES,
    block_rows,
)
from tilecast.passes.loops.lowbit.digit_tables import BIAS, LARGEST_DIGITS, PIECE
from tilecast.passes.loops.lowbit.forms import Problem, possible_forms
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser
from xdsl.utils.exceptions import VerifyException

from .test_integer_products import run
from .test_quantized_linear import Case, kernel_of, lower, run_all

N = 64
LANES = (0, 4, 8, 16)
# Groups of a piece, of several and a shorter one, of all of K; ragged periods; zero points
EXACT = {
    "one_piece": Case("u1:g128:sf32", 1, 32, 256, bias=False),
    "ragged": Case("u1:g96:sf32", 3, 37, 203, bias=False),
    "one_group": Case("i1", 2, 33, 700, bias=False),
    "bipolar": Case("bipolar1:g320:sf32", 1, 5, 653, bias=False),
    "no_zeros": Case("u1:znone", 1, 9, 31, bias=False),
}


def kernel(name: str, lanes: int, table: int = 0) -> str:
    """out[i] = the op on a[i] and b[i]."""
    type = f"vector<{lanes}xi32>" if lanes else "i32"
    other = f"vector<{table}xi32>" if table else type
    dialect = "vector" if lanes else "memref"
    loads = "".join(
        f"%{x} = {dialect}.load %{x}s[%i] : memref<{N}xi32>" + f", {t}" * (lanes > 0) + "\n    "
        for x, t in (("a", type), ("b", other))
    )
    ending = f", {type}" if lanes else ""
    return f"""
func.func @{name}_{lanes}(%as: memref<{N}xi32>, %bs: memref<{N}xi32>, %out: memref<{N}xi32>)
    attributes {{tilecast.roles = ["in", "in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {N} : index
  %s = arith.constant {max(1, lanes)} : index
  scf.for %i = %c0 to %n step %s {{
    {loads}%r = "quant.{name}"(%a, %b) : ({type}, {other}) -> {type}
    {dialect}.store %r, %out[%i] : memref<{N}xi32>{ending}
  }}
  func.return
}}"""


def test_ops_of_byte_tables(
    machine: Machine, build: Callable[..., ctypes.CDLL], call: Callable[..., None]
) -> None:
    text = "".join(kernel("add_odd_bytes", lanes) for lanes in LANES)
    text += "".join(kernel("lookup_bytes", lanes, 4) for lanes in LANES[1:])
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    again = Parser(CompileContext(), str(module)).parse_module()
    assert again.is_structurally_equivalent(module)
    functions = [op for op in module.ops if isinstance(op, FuncOp)]
    library = build(emit_unit(functions, machine, prefix=""), machine)
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 16, (N, 4), np.uint8)
    words = rng.integers(0, 256, (N, 4), np.uint8)
    others = rng.integers(0, 256, (N, 4), np.uint8)
    words[:2], others[:2] = 255, 255
    sums = others.view(np.uint16) + words[:, 1::2]
    for function in functions:
        label = function.sym_name.data
        lanes = int(label.rpartition("_")[2])
        is_sum = label.startswith("add_odd_bytes")
        expected = sums.view(np.int32)
        if not is_sum:  # each vector has the table of its first lanes
            vectors, tables = codes.reshape(-1, 4 * lanes), others.reshape(-1, 4 * lanes)
            expected = np.take_along_axis(tables[:, :16], vectors, axis=1).view(np.int32)
        first = (words if is_sum else codes).view(np.int32)[:, 0]
        second = others.view(np.int32)[:, 0]
        meant, found = np.zeros(N, np.int32), np.zeros(N, np.int32)
        run_kernel(function, [first, second, meant])
        call(library, label, first, second, found)
        np.testing.assert_array_equal(meant, expected.reshape(-1), err_msg=label)
        np.testing.assert_array_equal(found, meant, err_msg=label)


@pytest.mark.parametrize(
    ("op", "types", "result", "message"),
    [
        ("lookup_bytes", ["vector<16xi32>", "vector<8xi32>"], "vector<16xi32>", "of one type"),
        ("lookup_bytes", ["vector<2xi32>", "vector<4xi32>"], "vector<2xi32>", "multiple of 4"),
        ("add_odd_bytes", ["vector<8xi32>", "vector<4xi32>"], "vector<8xi32>", "of one type"),
    ],
)
def test_other_operands_are_refused(op: str, types: list[str], result: str, message: str) -> None:
    source = f"""func.func @f(%a: {types[0]}, %b: {types[1]}) {{
  %r = "quant.{op}"(%a, %b) : ({", ".join(types)}) -> {result}
  func.return
}}"""
    with pytest.raises(Exception, match=message):
        Parser(CompileContext(), source).parse_module().verify()


def test_a_nibble_has_every_eighth_element() -> None:
    codes = np.random.default_rng(2).integers(0, 2, (3, 64)).astype(np.uint8)
    words = pack_nibbles(codes, 1)
    bytes = words.view(np.uint8).reshape(3, 2, 4)
    for element in range(32):
        i, place = divmod(element, 8)
        half, byte = divmod(place, 4)
        bit = bytes[:, :, byte] >> (4 * half + i) & 1
        np.testing.assert_array_equal(bit, codes[:, element::32])
    np.testing.assert_array_equal(unpack_nibbles(words, 1), codes)


def test_bytes_of_rows_of_all_quarters_lie_side_by_side() -> None:
    codes = np.random.default_rng(1).integers(0, 2, (45, 40), np.uint8)
    pack = BitPackAttr.of(1, 32, "nibbles")
    packed = pack.pack(codes)
    assert packed.shape == pack.packed_shape(45, 40) == (2, 8, 8)
    bytes = packed.view(np.uint8).reshape(2, 2, 4, 8, 4)
    padded = np.zeros((64, 64), np.uint8)
    padded[:45, :40] = codes
    plain = pack_nibbles(padded, 1).view(np.uint8).reshape(2, 4, 8, 2, 4)
    for quarter in range(4):
        for byte in range(4):
            expected = plain[:, quarter, ..., byte].transpose(0, 2, 1)
            np.testing.assert_array_equal(bytes[:, :, byte, :, quarter], expected)


@pytest.mark.parametrize(("width", "panel"), [(2, 32), (1, 6)])
def test_other_nibbles_are_refused(width: int, panel: int) -> None:
    with pytest.raises(VerifyException, match="nibbles"):
        BitPackAttr.of(width, panel, "nibbles")


def test_digits_and_pieces_hold_the_largest_sums() -> None:
    assert 4 * LARGEST_DIGITS <= BIAS  # no sum is negative
    assert BIAS + 4 * LARGEST_DIGITS < 2**28
    assert PIECE * 32 * LARGEST_DIGITS < 2**31
    assert PIECE * 8 * 127 < 2**16


@pytest.mark.parametrize(("rows", "columns"), [(1, 4096), (16, 4096), (257, 4096), (5, 10**6)])
def test_tables_of_a_block_of_rows_fit_a_cache(rows: int, columns: int) -> None:
    height = block_rows(rows, columns)
    assert 1 <= height <= rows
    assert height == 1 or height * columns * TABLE_BYTES <= BLOCK_BYTES
    assert height == rows or 2 * height * columns * TABLE_BYTES > BLOCK_BYTES / 2


@pytest.fixture(scope="module")
def machine_with_tables(machine: Machine) -> Machine:
    if machine.isa != "avx2":
        pytest.skip("tables of bytes are for registers of 256 bits")
    return machine


@pytest.fixture(scope="module")
def lowered(machine_with_tables: Machine) -> dict[str, FuncOp]:
    """The loops of every case."""
    ctx = CompileContext()
    ctx.machine = machine_with_tables
    with pytest.MonkeyPatch.context() as patch:
        return {
            name: lower(ctx, replace(case, form="byte tables"), kernel_of(case, name), patch)
            for name, case in EXACT.items()
        }


@pytest.fixture(scope="module")
def library(
    lowered: dict[str, FuncOp], machine: Machine, build: Callable[..., ctypes.CDLL]
) -> ctypes.CDLL:
    return build(emit_unit(list(lowered.values()), machine, prefix=""), machine)


@pytest.mark.parametrize("name", EXACT)
def test_sums_of_pieces_are_those_of_int64(
    name: str, lowered: dict[str, FuncOp], library: ctypes.CDLL, call: Callable[..., None]
) -> None:
    """Activations that are integers of 24 bits: only sums of pieces are rounded, each once."""
    rng, case = np.random.default_rng(5), EXACT[name]
    format, shape = parse_format(case.format), (case.outputs, case.columns)
    element, group = format.element, format.group or case.columns
    assert isinstance(element, IntegerElement)
    largest = int(LARGEST_DIGITS)
    q = rng.integers(-largest, largest + 1, (case.rows, case.columns))
    q[0], q[:, ::group] = largest, largest
    codes = rng.integers(0, element.codes, shape).astype(np.uint8)
    codes[0] = element.codes - 1  # the largest sums
    ones = np.ones((case.outputs, format.groups(case.columns)), np.float32)
    weight = [codes.view(np.int8), SCALE_TYPES[format.scale].encode(ones)]
    levels = element.levels.astype(np.int64)[codes]
    if format.zero == "int":
        zeros = rng.integers(0, element.codes, ones.shape).astype(np.uint8)
        zeros[0] = 0
        weight.append(zeros.view(np.int8))
        levels -= zeros.astype(np.int64).repeat(group, 1)[:, : case.columns]
    found = run(lowered[name], library, call, [q.astype(np.float32), *weight])

    step = np.float32(largest) * np.float32(1 / largest)
    piece = 32 * PIECE
    total = np.zeros((case.rows, case.outputs), np.float32)
    for first in range(0, case.columns, group):
        stop = min(first + group, case.columns)
        value = np.float32(0)
        for start in range(first, stop, piece):
            part = slice(start, min(start + piece, stop))
            exact = q[:, part] @ levels[:, part].T
            assert np.abs(exact).max() < 2**31
            value = value + exact.astype(np.float32)
        total = (value.astype(np.float64) * step + total).astype(np.float32)
    np.testing.assert_array_equal(found, total)


def test_numbers_that_are_infinite_stay_in_their_row(
    lowered: dict[str, FuncOp], library: ctypes.CDLL, call: Callable[..., None]
) -> None:
    rng = np.random.default_rng(8)
    x = rng.normal(size=(3, 203)).astype(np.float32)
    codes, zeros = np.ones((37, 203), np.int8), np.ones((37, 3), np.int8)
    arguments = [codes, np.ones((37, 3), np.float32), zeros]
    x[1, 77], x[2, 202] = np.inf, np.nan
    found = run(lowered["ragged"], library, call, [x, *arguments])
    assert (found[0] == 0).all()
    assert np.isnan(found[1:]).all()


def test_kernels_of_byte_tables(
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All kinds of scales and zero points, with a bias, against their meaning."""
    batch = [
        Case("u1:g128", 1, 70, 300, bias=True),
        Case("u1:g32:zf16", 2, 33, 64, bias=False),
        Case("i1:g64:zf32:sbf16", 1, 31, 130, bias=True),
        Case("bipolar1:g512:se8m0", 4, 64, 1100, bias=False),
        Case("i1:g32", 14, 130, 70, bias=True),
        Case("u1", 1, 3, 1, bias=True),
        Case("u1:g64", 5, 33, 40_000, bias=True),  # in blocks of rows
    ]
    for case in batch:
        shape = (case.rows, case.outputs, case.columns)
        problem = Problem(parse_format(case.format), "f32", *shape, machine)
        names = {form.name for form in possible_forms(problem)}
        assert ("byte tables" in names) == (machine.isa == "avx2")
    if machine.isa != "avx2":
        return
    chosen = [replace(case, form="byte tables") for case in batch]
    assert list(run_all(chosen, machine, build, call, monkeypatch, "-O1")) == []


@pytest.mark.parametrize(
    ("format", "activations"),
    [("u2:g64", "f32"), ("e2m1:mx", "f32"), ("u1:g16", "f32"), ("u1:g64", "int8")],
)
def test_other_products_have_no_byte_tables(
    format: str, activations: str, machine: Machine
) -> None:
    problem = Problem(parse_format(format), activations, 1, 64, 64, machine)
    assert "byte tables" not in {form.name for form in possible_forms(problem)}
