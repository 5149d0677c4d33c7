"""Products with weights of 1 to 8 bits as CUDA C++, under emulation: every format, odd shapes."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from tilecast.codegen.cuda.tile.unit import emit_unit
from tilecast.compiler.cuda.emulated import EmulatedUnit
from tilecast.dialects.quant import FloatElement, IntegerElement, QuantizedTensor, parse_format
from tilecast.dialects.quant.elements import CodebookElement
from tilecast.dialects.quant.scale_types import SCALE_TYPES
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile.atoms import BF16, F16, F32, I8
from tilecast.dialects.tile.weight_pack import WeightPackAttr
from tilecast.passes.tile.expand_weight import expand_program
from tilecast.passes.tile.lowbit_linear import linear_of
from tilecast.passes.tile.lowbit_matmul import lowbit_program
from tilecast.passes.tile.lowbit_packing import linear_for, pack_linear, pack_part
from tilecast.passes.tile.matmul import MatmulConfig
from tilecast.passes.tile.quantized_plan import forms

INTEGERS = [f"{kind}{w}" for kind in ("u", "i", "bipolar") for w in range(1, 9)]
FLOATS = [f"e{e}m{m}" for e in range(1, 6) for m in range(7) if 3 <= 1 + e + m <= 8]
CODEBOOKS = ["nf4", "iq4nl", "pow3", "pow5", "kmeans2", "kmeans4", "kmeans8"]
ALL = [*INTEGERS, "ternary", *(f"bfp{w}" for w in range(2, 9)), *FLOATS, *CODEBOOKS]
GROUPED = [
    "u4:g64",
    "u1:g16",
    "i3:g32",
    "u2:g128:zf16",
    "u8:g16",
    "bfp4:g8",
    "e3m2:mx",
    "nf4:g64",
    "u5:g96",
]
FAST = ["u4:g64", "e3m2:mx"]
SMALL = MatmulConfig(1, 2, (1, 2, 4), 3)


def random_weight(spelling: str, n: int, k: int) -> QuantizedTensor:
    """Random codes of numbers that do not let sums overflow f16, scales that are powers of two."""
    format, rng = parse_format(spelling), np.random.default_rng(5)
    element = format.element
    levels = None
    if isinstance(element, IntegerElement):
        usable = np.arange(element.codes)
    else:
        levels = element.levels
        if isinstance(element, CodebookElement) and element.is_fitted:
            levels = np.sort(rng.normal(size=1 << element.width)).astype(np.float32)
        usable = np.flatnonzero(np.isfinite(levels) & (np.abs(levels) < 600))
    codes = rng.choice(usable, (n, k)).astype(np.uint8)
    groups = format.groups(k)
    scales = SCALE_TYPES[format.scale].encode(2.0 ** rng.integers(-4, 1, (n, groups)).astype("f4"))
    zeros = None
    if format.zero == "int":
        zeros = rng.integers(0, 1 << element.width, (n, groups)).astype(np.uint8).view(np.int8)
    elif format.zero != "none":
        zeros = SCALE_TYPES[format.zero].encode(rng.integers(0, 3, (n, groups)).astype("f4"))
    return QuantizedTensor(format, codes, scales, zeros, levels)


def check(  # type: ignore[no-untyped-def]
    spelling: str, activation, parts: int = 1, shape: tuple[int, int] = (43, 150)
) -> None:
    n, k = shape
    tensor = random_weight(spelling, n, k)
    repeat_k = 2 if tensor.format.group in (32, 96) else 4
    config = MatmulConfig(1, 2, (1, 2, repeat_k), 3, parts)
    if tensor.format.element.width % 2 and repeat_k == 2:
        config = MatmulConfig(1, 2, (1, 4, repeat_k), 3, parts)
    linear = linear_for(tensor, activation, config)
    packed = pack_linear(tensor, linear)
    program = lowbit_program("linear", linear)
    unit = EmulatedUnit(emit_unit([program], spelling))
    dtype = dtype_of(activation)
    for m in (1, 16, 64):
        lhs = np.random.default_rng(m).integers(-2, 3, (m, k)).astype(dtype)
        outputs = []
        for run in (unit.run, lambda name, *a: run_program(program, list(a))):
            result = np.zeros((m, n), dtype)
            workspace, semaphores = np.full((m, n), 7, np.float32), np.zeros(64, np.int32)
            run(
                "linear", lhs, packed.weight, packed.scales, packed.zeros, packed.channel_scales,
                result, workspace, semaphores, m,
            )  # fmt: skip
            outputs.append(result.astype(np.float64))
        weight = tensor.dequantize(np.float64)
        exact = lhs.astype(np.float64) @ weight.T
        if isinstance(tensor.format.element, IntegerElement):
            np.testing.assert_array_equal(outputs[0], exact.astype(dtype).astype(np.float64))
        unit_roundoff = float(ml_dtypes.finfo(dtype).eps)
        bound = 2 * unit_roundoff * (np.abs(lhs.astype(float)) @ np.abs(weight).T) + 1e-6
        assert (np.abs(outputs[0] - exact) <= bound).all()
        assert (np.abs(outputs[1] - exact) <= bound).all()


@pytest.mark.parametrize("spelling", FAST)
def test_formats(spelling: str) -> None:
    check(spelling, F16, parts=2 if spelling == "u4:g64" else 1)


@pytest.mark.parametrize(
    "spelling",
    [
        "u4:g64",
        *(
            pytest.param(s, marks=pytest.mark.slow)
            for s in ("e3m2", "i3:g16", "kmeans4", "u4:g8:zf16")
        ),
    ],
)
def test_expanded_weights(spelling: str) -> None:
    n, k = 43, 150
    tensor = random_weight(spelling, n, k)
    form = forms(tensor.format, F16)
    assert form is not None
    linear = linear_of(tensor.format, (n, k), F16, SMALL, *form)
    program = expand_program("expand", linear)
    stored = [("codes", tensor.codes, I8), ("scales", tensor.scales, F32)]
    if tensor.zeros is not None:
        stored.append(("zeros", tensor.zeros, linear.zero_element))
    arguments = [
        pack_part(
            array, WeightPackAttr.of(part, spelling, (n, k), F16, 2, SMALL.repeat[1:], element)
        )
        for part, array, element in stored
    ]
    if linear.has_table:
        arguments.append(tensor.levels)
    found, wanted = np.zeros((n, k), np.float16), np.zeros((n, k), np.float16)
    EmulatedUnit(emit_unit([program], spelling)).run("expand", *arguments, found)
    run_program(program, [*arguments, wanted])
    np.testing.assert_array_equal(found, tensor.dequantize(np.float64).astype(np.float16))
    np.testing.assert_array_equal(wanted, found)


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(43, 150), (5, 33)], ids=str)
@pytest.mark.parametrize("activation", [F16, BF16], ids=str)
@pytest.mark.parametrize("spelling", [*ALL, *GROUPED])
def test_every_format(spelling: str, activation, shape: tuple[int, int]) -> None:  # type: ignore[no-untyped-def]
    element = parse_format(spelling).element
    is_float = isinstance(element, FloatElement) and element.variant != "ieee"
    if is_float and activation == F16 and element.exponent == 5:
        pytest.skip("numbers of this type exceed f16")
    check(spelling, activation, shape=shape)
