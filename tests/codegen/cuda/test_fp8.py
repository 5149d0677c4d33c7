"""Floats of 8 bits as CUDA C++: the conversion, the instructions, products with every format."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
import tilecast
import torch
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit
from tilecast.compiler.cuda.nvcc import build_cubin, disassembler, has_nvcc, instructions
from tilecast.dialects.errors import OptionError
from tilecast.dialects.quant import IntegerElement
from tilecast.dialects.quant.activations import LARGEST_E4M3, quantize_rows, to_e4m3
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile import ops
from tilecast.dialects.tile.atoms import ATOMS, BF16, E4M3, F16, F32, FP8, I8, Atom
from tilecast.dialects.tile.register_layout import local, spatial
from tilecast.dialects.tile.types import PointerType
from tilecast.dialects.tile.weight_pack import WeightPackAttr
from tilecast.passes.tile.builder import ProgramBuilder, fixed_grid
from tilecast.passes.tile.lowbit_linear import fp8_numbers, linear_of
from tilecast.passes.tile.lowbit_packing import pack_part
from tilecast.passes.tile.quantized_linear import product_program
from tilecast.passes.tile.quantized_plan import LinearPlan, candidates
from tilecast.passes.tile.rounded_rows import rounding_program

from .test_decode import FP8 as FORMATS
from .test_lowbit_matmul import random_weight

COLUMNS = 512


def conversion_program(rows: int) -> ops.ProgramOp:
    """x f32 to its nearest e4m3, and that back to f32."""
    arguments = [("x", PointerType(F32)), ("narrow", PointerType(E4M3)), ("wide", PointerType(F32))]
    b = ProgramBuilder("convert", 32, fixed_grid(rows, 1, 1), arguments)
    row = b.block_index(0, "row")
    x, narrow, wide = (b.view_global(name, (rows, COLUMNS), []) for name, _ in arguments)
    values = b.load(x, (row, 0), spatial(1, 32) * local(1, COLUMNS // 32), "values")
    rounded = b.cast(values, E4M3, "rounded")
    b.store(rounded, narrow, (row, 0))
    b.store(b.cast(rounded, F32, "back"), wide, (row, 0))
    return b.program


def dot_program(atom: Atom) -> ops.ProgramOp:
    """One instruction: lhs [16, 32], rhs [8, 32], result [16, 8]."""
    elements = atom.element, atom.rhs_element or atom.element
    arguments = [("lhs", PointerType(elements[0])), ("rhs", PointerType(elements[1]))]
    b = ProgramBuilder(atom.name, 32, fixed_grid(1, 1, 1), [*arguments, ("c", PointerType(F32))])
    sources = (("lhs", 16, atom.lhs), ("rhs", 8, atom.rhs))
    left, right = (b.load(b.view_global(n, (m, 32), []), (0, 0), at, n) for n, m, at in sources)
    total = b.fill(0.0, atom.accumulator, F32, "sums")
    b.store(b.add(ops.DotOp(left, right, total), "sums"), b.view_global("c", (16, 8), []), (0, 0))
    return b.program


ATOMS8 = [atom for atom in ATOMS if atom.element in FP8]


@pytest.fixture(scope="module")
def unit() -> EmulatedUnit:
    programs = [conversion_program(len(numbers())), *map(dot_program, ATOMS8)]
    return EmulatedUnit(emit_unit(programs, "fp8"))


def numbers() -> np.ndarray:
    """Every f16 and bf16, every e4m3, what lies half between two, and the f32 next to each."""
    bits = np.arange(1 << 16, dtype=np.uint16)
    all8 = np.arange(256, dtype=np.uint8).view(ml_dtypes.float8_e4m3fn).astype(np.float32)
    exact = np.unique(all8[np.isfinite(all8)])
    ends = np.concatenate([exact, (exact[1:] + exact[:-1]) / 2, [464, -464, 480, 2**-10]])
    ends = ends.astype(np.float32)
    near = [np.nextafter(ends, np.float32(to)) for to in (-np.inf, np.inf)]
    all16 = [bits.view(t).astype(np.float32) for t in (np.float16, ml_dtypes.bfloat16)]
    found = np.concatenate([*all16, ends, *near]).astype(np.float32)
    return np.resize(found, (-(-found.size // COLUMNS), COLUMNS))


def test_every_number_is_rounded_as_by_ml_dtypes(unit: EmulatedUnit) -> None:
    """To nearest even; what is beyond 448 becomes 448, infinities too, and NaN stays."""
    x = numbers()
    shape = x.shape
    found, wide = np.zeros(shape, np.int8), np.zeros(shape, np.float32)
    unit.run("convert", x, found, wide)
    beyond = np.abs(x) > LARGEST_E4M3
    with np.errstate(invalid="ignore"):
        expected = np.where(beyond, np.copysign(LARGEST_E4M3, x), x).astype(ml_dtypes.float8_e4m3fn)
    values = found.view(ml_dtypes.float8_e4m3fn)
    np.testing.assert_array_equal(values.astype(np.float32), expected.astype(np.float32))
    np.testing.assert_array_equal(np.signbit(values)[x == 0], np.signbit(x)[x == 0])
    np.testing.assert_array_equal(wide, expected.astype(np.float32))
    np.testing.assert_array_equal(to_e4m3(x).astype(np.float32), wide)


@pytest.mark.parametrize("atom", ATOMS8, ids=lambda atom: atom.name)
def test_instructions_multiply_what_the_bits_stand_for(unit: EmulatedUnit, atom: Atom) -> None:
    rng, operands = np.random.default_rng(0), []
    for element, rows in ((atom.element, 16), (atom.rhs_element or atom.element, 8)):
        bits = np.arange(256, dtype=np.uint8)
        sane = np.abs(np.nan_to_num(bits.view(dtype_of(element)).astype(float), nan=1e9)) <= 64
        operands.append(rng.choice(bits[sane], (rows, 32)).view(np.int8))
    exact = [
        o.view(dtype_of(e)).astype(float)
        for o, e in zip(operands, (atom.element, atom.rhs_element or atom.element), strict=True)
    ]
    found, meant = np.zeros((2, 16, 8), np.float32)
    unit.run(atom.name, *operands, found)
    run_program(dot_program(atom), [*operands, meant])
    bound = 32 * 2.0**-24 * (np.abs(exact[0]) @ np.abs(exact[1]).T)  # of 32 sums in f32
    for result in (found, meant):
        assert (np.abs(result - exact[0] @ exact[1].T) <= bound).all()


def check_format(spelling: str, activation, n: int, k: int, blocks: int = 0) -> None:  # type: ignore[no-untyped-def]
    """M = 1, 16 and 64: activations that are exact in e4m3 give exact products of integers."""
    tensor = random_weight(spelling, n, k)
    format = tensor.format
    config = next(candidates(format, 64, E4M3, False))
    linear = linear_of(format, (n, k), E4M3, config)
    plan = LinearPlan(linear, blocks)
    stored = [("codes", tensor.codes, I8), ("scales", tensor.scales, F32)]
    if tensor.zeros is not None:
        stored.append(("zeros", tensor.zeros, F32))
    repeat = config.repeat[1:]
    weight = [
        pack_part(a, WeightPackAttr.of(part, spelling, (n, k), E4M3, config.columns, repeat, e))
        for part, a, e in stored
    ]
    programs = {
        m: (
            rounding_program(f"round{m}", linear, m, activation),
            product_program(f"rows{m}", plan, m, activation, False),
        )
        for m in (1, 16, 64)
    }
    unit = EmulatedUnit(emit_unit([p for pair in programs.values() for p in pair], spelling))
    dtype, numbers = dtype_of(activation), tensor.dequantize(np.float64)
    for m in programs:
        lhs = np.random.default_rng(m).integers(-7, 8, (m, k)).astype(dtype)
        lhs[:, 0] = 7  # 448 / 7 = 64: rows are exact in e4m3
        rounded = np.full((m, linear.steps * linear.warps.tile[2]), 77, np.int8)
        scales, sums = np.zeros((m, 1), np.float32), np.zeros((linear.steps, m), np.float32)
        row_sums = [sums] if linear.needs_sums else []
        unit.run(f"round{m}", lhs, rounded, scales, *row_sums)
        codes, steps = quantize_rows(lhs, "fp8")
        np.testing.assert_array_equal(rounded[:, :k], codes.view(np.int8))
        np.testing.assert_array_equal(scales, steps)
        result, shared = np.zeros((m, n), dtype), []
        if (stripes := plan.stripes(m)) is not None:
            shared = [np.full((m, n), np.nan, np.float32), np.zeros(stripes.tiles, np.int32)]
        unit.run(f"rows{m}", rounded, scales, *row_sums, *weight, result, *shared)
        source = codes.astype(float) * steps.astype(float)
        exact = source @ numbers.T
        if isinstance(format.element, IntegerElement) and activation == F32:
            np.testing.assert_allclose(result, lhs.astype(float) @ numbers.T, rtol=1e-6)
        # sums of k products, and of zero points, in f32, then the result once
        largest = np.abs(numbers) + (fp8_numbers(format.element) or ((), 1, 0.0))[2]
        bound = (np.abs(source) @ largest.T) * (np.sqrt(k) * 2.0**-23 + ml_dtypes.finfo(dtype).eps)
        assert (np.abs(result - exact) <= bound + 1e-6).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    "spelling", [*FORMATS, "u4:g64", "i3:g32:zf16", "e3m2:mx", "bfp4", "e2m1:g96", "e4m3:g128"]
)
def test_products_of_every_format(spelling: str) -> None:
    check_format(spelling, F32, 43, 150)
    check_format(spelling, BF16, 5, 33)
    check_format(spelling, F16, 70, 450, blocks=5)


def layer() -> tuple[torch.nn.Module, torch.Tensor]:
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Linear(96, 65), torch.nn.GELU(), torch.nn.Linear(65, 17))
    return network.eval(), torch.randn(7, 96)


def test_models_round_their_activations() -> None:
    model, x = layer()
    fast = tilecast.compile(model, (x,), target="sm_89", weights="u4:g32", activations="fp8")
    assert fast.verify().passed
    text = "".join(fast.artifact.sources.values())
    assert "tc_mma_m16n8k32_e4m3(" in text
    assert "tc_pack_e4m3x4(" in text
    assert 1e-3 < (fast(x) - model(x)).abs().max() < 0.2  # 4 bits each


@pytest.mark.parametrize(
    ("target", "weights", "message"),
    [
        ("sm_80", "u4:g32", r"expected target sm_89 or sm_90, found 'sm_80'"),
        ("x86-64-v3", "u4:g32", r"expected target sm_89 or sm_90"),
        ("sm_90", "nf4:g32", r"found nf4:g32:sf16:znone for 0\.weight"),
        ("sm_90", "u4:g16", r"groups of a multiple of 32; found u4:g16"),
        ("sm_90", None, r"needs quantized weights"),
    ],
)
def test_what_fp8_cannot_do_is_refused(target: str, weights: str | None, message: str) -> None:
    model, x = layer()
    with pytest.raises(OptionError, match=message):
        tilecast.compile(model, (x,), target=target, weights=weights, activations="fp8")


@pytest.mark.needs_nvcc
@pytest.mark.slow
@pytest.mark.skipif(not has_nvcc(), reason="needs nvcc")
@pytest.mark.parametrize("target", ["sm_89", "sm_90"])
@pytest.mark.parametrize("weights", ["u4:g128", "e4m3", "e5m2:g64", "i3:g96:zf16"])
def test_machine_code(weights: str, target: str) -> None:
    """sm_89 has the instruction; for sm_90 ptxas widens to f16, since wgmma alone has fp8 there."""
    torch.manual_seed(0)
    model, x = torch.nn.Linear(512, 512).eval(), torch.randn(16, 512)
    sources = tilecast.compile(
        model, (x,), target=target, weights=weights, activations="fp8", stop_after="emit"
    )
    headers = {name: text for name, text in sources.items() if name.endswith(".h")}
    seen: list[str] = []
    for name, text in sources.items():
        if not name.endswith(".cu"):
            continue
        cubin = build_cubin(text, target, headers)
        assert cubin.warnings == ""
        assert all((r.spill_bytes, r.stack_bytes) == (0, 0) for r in cubin.reports), cubin.reports
        if disassembler() is not None:
            seen += [op for opcodes in instructions(cubin).values() for op in opcodes]
    if disassembler() is None:
        return
    assert not [op for op in seen if op.startswith(("LDL", "STL"))]
    assert any(op.startswith("LDGSTS") and op.endswith("128") for op in seen)
    assert any("E4M3.F32.PACK" in op for op in seen)
    kind = "E5M2" if weights.startswith("e5m2") else "E4M3"
    wanted = f"QMMA.16832.F32.E4M3.{kind}" if target == "sm_89" else "HMMA.16816.F32"
    assert any(op.startswith(wanted) for op in seen)
