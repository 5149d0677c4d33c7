"""Compiled `quant.linear` kernels against the float64 meaning: formats x ISA x odd shapes."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.compiler.target import resolve_target
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.kernels import packed_argument, random_argument
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.quant import IntegerElement, parse_format
from tilecast.dialects.quant.ops import QuantizedLinearOp
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from tilecast.passes.loops.lowbit import linear
from tilecast.passes.loops.lowbit.forms import FORMS, Problem, choose_form, possible_forms
from tilecast.passes.loops.lower_opaque import LowerOpaquePass
from tilecast.passes.loops.matrix_products import MatrixProductsPass
from xdsl.dialects import vector
from xdsl.dialects.builtin import (
    ArrayAttr,
    DictionaryAttr,
    IntegerType,
    ModuleOp,
    TensorType,
    UnitAttr,
    f32,
)
from xdsl.dialects.func import FuncOp, ReturnOp

STORED = {"f32": f32, "f16": IntegerType(16), "bf16": IntegerType(16), "e8m0": IntegerType(8)}
WIDTHS = range(1, 9)
INTEGERS = [f"{kind}{width}:g32" for kind in ("u", "i", "bipolar") for width in WIDTHS]
FLOATS = [f"e{e}m{m}:mx" for e in range(1, 6) for m in range(0, 7) if 3 <= 1 + e + m <= 8]
OTHERS = [
    "e4m3ieee:g64",
    "e3m4ieee",
    "nf4:g64:sbf16",
    "kmeans2:g64",
    "pow3",
    "kmeans5:g32",
    "pow6:tensor",
    "kmeans8:g64",
    "ternary",
    "bfp4:g16",
    "u4:g16:zf16",
    "i3:g64:zf16",
    "bipolar3:g8:zf32",
    "u7:tensor",
    "e2m1:g8:zf16",
]
# One row of whole periods; several tiles, blocks of rows and a last period, each with a rest.
SHAPES = [(1, 37, 64), (14, 130, 70)]


@dataclass(frozen=True)
class Case:
    format: str
    rows: int
    outputs: int
    columns: int
    bias: bool
    activations: str = "f32"
    form: str = ""


def cases(formats: list[str]) -> list[Case]:
    """Every format at every shape, with and without a bias."""
    return [
        Case(format, *shape, bias=(k + s) % 2 == 0)
        for k, format in enumerate(formats)
        for s, shape in enumerate(SHAPES)
    ]


def kernel_of(case: Case, name: str) -> FuncOp:
    """A kernel of one `quant.linear`."""
    format = parse_format(case.format)
    rows, outputs, columns = case.rows, case.outputs, case.columns
    groups = format.groups(columns)
    has_levels = not isinstance(format.element, IntegerElement)
    zero = {"none": None, "int": IntegerType(8), **STORED}[format.zero]
    types = [
        TensorType(f32, [rows, columns]),
        TensorType(IntegerType(8), [outputs, columns]),
        TensorType(STORED[format.scale], [outputs, groups]),
        TensorType(zero, [outputs, groups]) if zero is not None else None,
        TensorType(f32, [2**format.element.width]) if has_levels else None,
        TensorType(f32, [outputs]) if case.bias else None,
    ]
    present = [t for t in types if t is not None]
    func = FuncOp(name, (present, [TensorType(f32, [rows, outputs])]), visibility="private")
    arguments = iter(func.body.block.args)
    operands = (None if t is None else next(arguments) for t in types)
    op = QuantizedLinearOp(str(format), *operands, activations=case.activations)
    func.body.block.add_ops([op, ReturnOp(op.result)])
    weight = DictionaryAttr({"tilecast.weight": UnitAttr()})
    func.arg_attrs = ArrayAttr([DictionaryAttr({}), *[weight] * (len(present) - 1)])
    return func


def with_bytes(machine: Machine) -> Machine:
    """`machine` with an instruction for products of bytes, where its vectors allow one; compilers
    without it take the portable body."""
    if machine.isa != "avx512":
        return machine
    return replace(machine, features=tuple(sorted({*machine.features, "avx512_vnni"})))


def with_forms(batch: list[Case], machine: Machine) -> list[Case]:
    """Each case in every form that is possible, for both kinds of activations.

    What forms in f32 do with int8 is to round the activations before: cases with a bias show it,
    which are those of every other format and shape.
    """
    found = []
    for case in batch:
        format, shape = parse_format(case.format), (case.rows, case.outputs, case.columns)
        before: set[str] = set()
        for kind in ("f32", "int8"):  # fp8 is for GPUs
            forms = {form.name for form in possible_forms(Problem(format, kind, *shape, machine))}
            chosen = forms if case.bias else forms - before
            found += [replace(case, activations=kind, form=form) for form in sorted(chosen)]
            before |= forms
    return found


def lower(ctx: CompileContext, case: Case, func: FuncOp, monkeypatch: pytest.MonkeyPatch) -> FuncOp:
    """The loops of a kernel in the form of the case."""
    form = next(form for form in FORMS if form.name == case.form)
    with monkeypatch.context() as patch:
        patch.setattr(linear, "choose_form", lambda problem: form)
        module = ModuleOp([func.clone()])
        LowerOpaquePass().apply(ctx, module)
        MatrixProductsPass().apply(ctx, module)
    module.verify()
    (found,) = (op for op in module.ops if isinstance(op, FuncOp))
    return found


def run_all(
    batch: list[Case],
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
    *flags: str,
) -> Iterator[str]:
    """Compile all cases in one unit; the failures."""
    ctx = CompileContext()
    ctx.machine = machine
    before = [kernel_of(case, f"k{n}") for n, case in enumerate(batch)]
    lowered = [
        lower(ctx, case, func, monkeypatch) for case, func in zip(batch, before, strict=True)
    ]
    library = build(emit_unit(lowered, machine, prefix=""), machine, *flags)
    rng = np.random.default_rng(7)
    for case, func, compiled in zip(batch, before, lowered, strict=True):
        inputs = [random_argument(argument, rng) for argument in func.body.block.args]
        (reference,) = evaluate_kernel(func, inputs, dtype=np.float64)
        (native,) = evaluate_kernel(func, inputs, dtype=np.float32)
        interface = KernelInterface(compiled)
        arrays: dict[int, np.ndarray] = {}
        for position, array in zip(interface.read, inputs, strict=True):
            arrays[position] = packed_argument(interface, position, array)
        for position in (*interface.written, *interface.scratch):
            type = interface.type_of(position)
            arrays[position] = np.full(type.get_shape(), np.nan, dtype_of(type))
        call(library, compiled.sym_name.data, *(arrays[k] for k in range(len(arrays))))
        found = arrays[interface.written[0]].reshape(reference.shape)
        result = compare("kernel", str(case), found, reference, native, case.columns)
        if not result.margin <= 1:
            yield f"{case}: {result}"


@pytest.mark.isa("avx512")
def test_a_matrix_unit_multiplies_decoded_bytes(
    build: Callable[..., ctypes.CDLL], call: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Groups of one tile of it, of parts of a block, of several blocks; a ragged last one."""
    v4 = replace(resolve_target("x86-64-v4"), features=("amx_int8", "amx_tile"))
    batch = [
        Case("u4:g64", 37, 35, 190, bias=True),
        Case("i3:g128:zf16", 5, 48, 384, bias=False),
        Case("u7", 33, 17, 1100, bias=True),
        Case("u2:g1024", 8, 32, 2048, bias=False),
    ]
    batch = [replace(case, activations="int8", form="matrix unit") for case in batch]
    problems = [
        Problem(parse_format(c.format), "int8", c.rows, c.outputs, c.columns, v4) for c in batch
    ]
    assert all(choose_form(problem).name == "matrix unit" for problem in problems)
    sources: list[str] = []

    def build_here(source: str, machine: Machine, *flags: str) -> ctypes.CDLL:
        sources.append(source)
        return build(source, machine, *flags)

    assert list(run_all(batch, v4, build_here, call, monkeypatch, "-O1")) == []
    assert sources[0].count("_tile_dpbsud(0") >= len(batch)


@pytest.mark.parametrize("family", [INTEGERS, FLOATS, OTHERS], ids=["integers", "floats", "others"])
@pytest.mark.slow
def test_kernels_of_all_formats(
    family: list[str],
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for each in {machine, with_bytes(machine)}:
        batch = with_forms(cases(family), each)
        assert list(run_all(batch, each, build, call, monkeypatch, "-O1")) == []


def test_kernels_of_some_formats(
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    formats = ["u4:g32", "nf4:g64"]
    if machine.isa != "neon":  # whose vectors cost gcc many seconds on another CPU
        formats += ["i3:g64:zf16", "e3m2:mx", "u8"]
    for each in dict.fromkeys([machine, with_bytes(machine)]):
        batch = with_forms([Case(f, 3, 37, 45, bias=True) for f in formats], each)
        integers = [case for case in batch if case.form == "integers"]
        batch += [replace(case, activations="int16") for case in integers]
        forms = {case.form for case in batch}
        assert list(run_all(batch, each, build, call, monkeypatch, "-O1")) == []
    assert "digits" in forms or machine.isa in ("scalar", "neon")
    assert forms >= {"registers", "blocks", "integers"}


def test_sums_that_fill_the_registers_have_a_function_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a step of its loop has the elements of whole words, here eight of 4 bits."""
    case = Case("u4:g64", 4, 48, 128, bias=False, form="registers")
    counts = []
    for name in ("x86-64-v3", "x86-64-v4"):
        ctx = CompileContext()
        ctx.machine = resolve_target(name)
        lowered = lower(ctx, case, kernel_of(case, "k"), monkeypatch)
        called = [op for op in lowered.walk() if "tilecast.called" in op.attributes]
        inner = [step for op in called for step in op.walk() if step is not op]
        sizes = [isinstance(op, vector.FMAOp) for op in inner]
        counts.append((len(called), sum(sizes)))
    rows, vectors, elements = 4, 2, 8
    assert counts == [(1, rows * vectors * elements), (0, 0)]


@pytest.mark.parametrize(("rows", "calls"), [(1, 0), (4, 1), (16, 0)])
def test_integer_sums_have_one_where_they_fill_the_registers_of_few_blocks(
    rows: int, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = Case("u4:g64", rows, 48, 128, bias=False, activations="int16", form="integers")
    ctx = CompileContext()
    ctx.machine = resolve_target("x86-64-v3")
    lowered = lower(ctx, case, kernel_of(case, "k"), monkeypatch)
    assert sum("tilecast.called" in op.attributes for op in lowered.walk()) == calls


def test_blocks_in_one_group_are_scaled_once(
    machine: Machine,
    build: Callable[..., ctypes.CDLL],
    call: Callable[..., None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Groups of one block, of two, of all; a ragged last one; zero points that are no integers."""
    formats = ["u3:g128", "u6:g256", "bipolar2", "nf4:g128", "u4:g128:zf16"]
    if machine.isa == "neon":  # whose vectors cost gcc half a minute on another CPU
        formats = formats[:1]
    batch = [Case(f, 7, 29, 300, bias=k % 2 == 0, form="blocks") for k, f in enumerate(formats)]
    assert list(run_all(batch, machine, build, call, monkeypatch, "-O1")) == []
