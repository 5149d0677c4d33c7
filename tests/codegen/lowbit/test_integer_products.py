"""Products of integer codes: exactly those of an int64 oracle where activations are int8, as close
as 24 bits next to the largest activation of a group where they are f32, in digits."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import tilecast
import torch
from tilecast.codegen.c import emit_unit
from tilecast.compiler.verify.kernels import packed_argument, random_argument
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import OptionError
from tilecast.dialects.quant import IntegerElement, parse_format
from tilecast.dialects.quant.activations import quantize_rows
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.loops.kernel_interface import KernelInterface
from xdsl.dialects.func import FuncOp

from .test_quantized_linear import Case, kernel_of, lower, with_bytes

PASSES = "u4_in_passes"  # more of a tile than a first-level cache holds, for several blocks of rows
DIGITS = "u4_in_digits"
LIMITS = [f"u{w}_at_its_limits" for w in (4, 7, 8)]
BYTES = [f"u{w}_as_bytes" for w in (4, 7, 8)]  # where AVX-512 has an instruction for them
WORDS = [f"{element}_by_words" for element in ("u4", "u8", "i5", "bipolar3")]  # activations
NAMES = [*(f"u{w}" for w in range(1, 9)), "i5", "bipolar3", "ternary", PASSES, *BYTES, *WORDS]


def case_of(name: str) -> Case:
    if name == DIGITS:
        return Case("u4:g32", 4, 19, 100, bias=True, form="digits")
    if name == PASSES:
        return Case("u4:g128:znone", 7, 19, 700, bias=False, activations="int8", form="integers")
    if name in LIMITS:
        return Case(f"{name[:2]}:g64:znone:sf32", 1, 19, 128, bias=False, form="digits")
    format, activations = f"{name.partition('_')[0]}:znone", "int16" if name in WORDS else "int8"
    return Case(format, 2, 19, 100, bias=False, activations=activations, form="integers")


@pytest.fixture(scope="module")
def lowered(machine: Machine) -> dict[str, FuncOp]:
    """The loops of every format."""
    plain, with_instruction = CompileContext(), CompileContext()
    plain.machine, with_instruction.machine = machine, with_bytes(machine)
    with pytest.MonkeyPatch.context() as patch:
        return {
            name: lower(
                with_instruction if name in BYTES else plain,
                case_of(name),
                kernel_of(case_of(name), name),
                patch,
            )
            for name in [*NAMES, DIGITS, *LIMITS]
        }


@pytest.fixture(scope="module")
def library(
    lowered: dict[str, FuncOp], machine: Machine, build: Callable[..., ctypes.CDLL]
) -> ctypes.CDLL:
    """All of them in one library: each file costs the C compiler more than a kernel in it."""
    return build(emit_unit(list(lowered.values()), machine, prefix=""), machine)


@pytest.mark.parametrize("name", NAMES)
def test_sums_equal_those_of_int64(
    name: str, lowered: dict[str, FuncOp], library: ctypes.CDLL, call: Callable[..., None]
) -> None:
    """Extreme codes and activations: 8-bit codes would saturate sums of 16-bit pairs."""
    rng = np.random.default_rng(3)
    case = case_of(name)
    format = parse_format(case.format)
    element, columns = format.element, case.columns
    assert isinstance(element, IntegerElement)
    x = rng.choice([-1.0, 1.0, 0.3], (case.rows, columns)).astype(np.float32)
    codes = rng.choice([0, element.codes - 1, element.codes // 2], (19, columns)).astype(np.uint8)
    x[0], codes[0] = 1.0, element.codes - 1  # the largest sums
    ones = np.ones((19, format.groups(columns)), np.float32)
    scales = SCALE_TYPES[format.scale].encode(ones)
    quantized, steps = quantize_rows(x, case.activations)
    levels = element.levels.astype(np.int64)[codes]
    exact = quantized.astype(np.int64) @ levels.T
    assert np.abs(exact).max() < 2 ** (31 if name in WORDS else 24)  # exact in f32 too

    found = run(lowered[name], library, call, [x, codes.view(np.int8), scales])
    np.testing.assert_array_equal(found, exact.astype(np.float32) * steps)


def run(
    kernel: FuncOp, library: ctypes.CDLL, call: Callable[..., None], inputs: list[np.ndarray]
) -> np.ndarray:
    """What a kernel computes."""
    interface = KernelInterface(kernel)
    arrays: dict[int, np.ndarray] = {}
    for position, array in zip(interface.read, inputs, strict=True):
        arrays[position] = packed_argument(interface, position, array)
    for position in (*interface.written, *interface.scratch):
        type = interface.type_of(position)
        kind = np.float32 if str(type.element_type) == "f32" else np.int32
        arrays[position] = np.full(type.get_shape(), -1, kind)
    call(library, kernel.sym_name.data, *(arrays[k] for k in range(len(arrays))))
    return arrays[interface.written[0]]


def test_digits_keep_what_f32_has_next_to_the_largest_of_a_group(
    lowered: dict[str, FuncOp], library: ctypes.CDLL, call: Callable[..., None]
) -> None:
    """Groups of very different size, one of zeros, one with an outlier; NaN stays in its row."""
    rng, case = np.random.default_rng(4), case_of(DIGITS)
    plain = kernel_of(case, DIGITS)
    x, *weight = (random_argument(argument, rng) for argument in plain.body.block.args)
    x[0, :32], x[0, 32:64], x[0, 70] = 1e-20 * x[0, :32], 0, 1e6
    x[1] *= np.float32(1e30)
    (reference,) = evaluate_kernel(plain, [x, *weight], dtype=np.float64)
    sizes = np.maximum.reduceat(np.abs(x), range(0, 100, 32), axis=1).repeat(32, axis=1)[:, :100]
    several = kernel_of(replace(case, rows=100, bias=False), DIGITS)
    (levels,) = evaluate_kernel(several, [np.eye(100, dtype=np.float32), *weight[:-1]])
    allowed = 2.0**-21 * (sizes @ np.abs(levels) + np.abs(weight[-1]))
    x[3, 5] = np.nan
    found = run(lowered[DIGITS], library, call, [x, *weight])
    assert np.isnan(found[3]).all()
    assert (np.abs(found - reference)[:3] <= allowed[:3]).all()


@pytest.mark.parametrize("name", LIMITS)
def test_digits_of_minus_128_fit(
    name: str, lowered: dict[str, FuncOp], library: ctypes.CDLL, call: Callable[..., None]
) -> None:
    """Both lower digits of 32640 are -128; together with the largest codes they make the largest
    sums of pairs."""
    case = case_of(name)
    largest = 2 ** parse_format(case.format).element.width - 1
    x = np.full((1, case.columns), 32640 / (127 * 65536), np.float32)
    x[0, ::64] = 1.0  # of each group
    codes = np.full((19, case.columns), largest, np.uint8)
    found = run(
        lowered[name], library, call, [x, codes.view(np.int8), np.ones((19, 2), np.float32)]
    )
    np.testing.assert_allclose(found, largest * x.astype(np.float64).sum(), rtol=2.0**-22)


@pytest.mark.parametrize(("activations", "most"), [("int8", 0.03), ("int16", 0.01)])
def test_a_model_with_rounded_activations_is_compiled(activations: str, most: float) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(70, 48), torch.nn.ReLU(), torch.nn.Linear(48, 10))
    x = torch.randn(5, 70)
    fast = tilecast.compile(
        model.eval(), (x,), weights="i8:g32", activations=activations, cache=False
    )
    ir = fast.artifact.ir
    assert any(f'activations = "{activations}"' in text for text in ir.values())
    assert all(row.passed for row in fast.verify().results)
    exact = model(x)
    error = (fast(x) - exact).norm() / exact.norm()
    assert 0 < error < most


def test_gpus_have_no_products_of_words() -> None:
    model, x = torch.nn.Linear(64, 32), torch.randn(2, 64)
    options = {"weights": "u4:g32", "activations": "int16", "target": "sm_90", "cache": False}
    with pytest.raises(OptionError, match="expected a CPU as target, found 'sm_90'"):
        tilecast.compile(model, (x,), **options)
