"""Elementary functions through compiled C against float64, and every width against the others."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from tilecast.codegen.c.elementary import elementary_function
from tilecast.codegen.c.function import FunctionEmitter
from tilecast.codegen.c.prelude import Prelude
from tilecast.codegen.mathlib import FUNCTIONS, build_function
from tilecast.codegen.mathlib.piecewise import PIECES
from tilecast.costmodel.hardware import Machine
from xdsl.dialects import arith, func, math
from xdsl.dialects.builtin import FunctionType, VectorType, f32
from xdsl.dialects.utils.fast_math import FastMathFlag
from xdsl.ir import Block, Region

COUNT = 1 << 14
AVX512 = Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32)
DTYPES = {"f32": np.float32, "f64": np.float64}
UINTS = {"f32": np.uint32, "f64": np.uint64}
CASES = [(n, e) for n, f in sorted(FUNCTIONS.items()) for e in f.elements]
EDGES = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38, 1.0, -1.0, 0.5, -0.5]
EDGES += [88.72283, 88.722839, -87.33655, -103.97208, -103.97209, 128.0, 127.99999, -126.0]
EDGES += [-149.0, -150.0, 3.4028235e38, -3.4028235e38, 0.99999994, 1.0000001, 9.01, 4.0, 70000.0]
EDGES += [-16.956106]
# Wrong in torch itself: it overflows where the function does not.
TORCH_OVERFLOWS = {"sigmoid": -700.0, "cosh": 709.0, "sinh": 709.0}
ROUNDED_ONCE_MORE = {"logistic_divisor": 0.5}  # the sum with a power that was rounded


def _lanes(isa: str, element: str) -> list[int]:
    if isa in ("scalar", "neon"):  # no intrinsics that load lanes
        return [1]
    narrowest, full = 4, {"avx2": 8, "avx512": 16}[isa]
    return [1, *(lanes if element == "f32" else lanes // 2 for lanes in (narrowest, full))]


def _levels(isa: str, element: str) -> list[int]:
    """The coarser programs are the same on every machine: one is enough to build them on."""
    return [1, 4] if isa == "avx512" and element == "f32" else [1]


def _symbol(name: str, element: str, accuracy: int, lanes: int) -> str:
    return f"k_{name}_{element}_{accuracy}_{lanes}"


def _loop(prelude: Prelude, name: str, element: str, accuracy: int, lanes: int) -> str:
    function = elementary_function(prelude, name, element, lanes, accuracy)
    ctype = {"f32": "float", "f64": "double"}[element]
    letters = "xy"[: FUNCTIONS[name].arity]
    if lanes == 1:
        values = [f"{letter}[i]" for letter in letters]
        body = f"out[i] = {function}({', '.join(values)});"
    else:
        bits = lanes * (32 if element == "f32" else 64)
        prefix = {128: "_mm", 256: "_mm256", 512: "_mm512"}[bits]
        suffix = "ps" if element == "f32" else "pd"
        values = [f"{prefix}_loadu_{suffix}({letter} + i)" for letter in letters]
        body = f"{prefix}_storeu_{suffix}(out + i, {function}({', '.join(values)}));"
    symbol = _symbol(name, element, accuracy, lanes)
    head = f"void {symbol}({', '.join(f'const {ctype} *{v}' for v in letters)}, {ctype} *out)"
    return f"{head};\n{head}\n{{\n    for (int i = 0; i < {COUNT}; i += {lanes}) {body}\n}}\n"


@pytest.fixture(scope="module")
def library(machine, build):
    prelude = Prelude(machine)
    loops = [
        _loop(prelude, name, element, accuracy, lanes)
        for name, element in CASES
        for accuracy in _levels(machine.isa, element)
        for lanes in _lanes(machine.isa, element)
    ]
    return build(prelude.text() + "\n" + "\n".join(loops), machine)


def _sample(element: str, seed: int) -> np.ndarray:
    """Every exponent and sign with random mantissas, ordinary numbers, and values with a trap."""
    generator = np.random.default_rng(seed)
    bits = 32 if element == "f32" else 64
    step = (1 << bits) // COUNT
    jitter = generator.integers(0, step, COUNT, dtype=np.uint64)
    x = (np.arange(COUNT, dtype=np.uint64) * np.uint64(step) + jitter).astype(UINTS[element])
    x = generator.permutation(x).view(DTYPES[element])
    x[COUNT // 2 :] = generator.normal(0, 3, COUNT // 2)
    x[: len(EDGES)] = EDGES
    return x


def _arguments(name: str, element: str) -> list[np.ndarray]:
    arguments = [_sample(element, 1)]
    if FUNCTIONS[name].arity == 2:
        other = _sample(element, 2)
        other[: len(EDGES)] = arguments[0][: len(EDGES)][::-1]
        arguments.append(other)
    return arguments


def _exact(name: str, arguments: list[np.ndarray]) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # signalling NaN
        wide = [torch.from_numpy(a.astype(np.float64)) for a in arguments]
    if name == "logistic_divisor":
        return (1.0 + torch.exp(-wide[0])).numpy()
    return getattr(torch, {"powf": "pow"}.get(name, name))(*wide).numpy()


def _errors(exact: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Error in units in the last place; infinite where NaN, infinity or a sign is wrong."""
    info = np.finfo(y.dtype)
    with np.errstate(all="ignore"):
        rounded = exact.astype(y.dtype)
        floor = np.maximum(np.abs(rounded), info.tiny)
        error = np.abs(y.astype(np.float64) - exact) / np.spacing(floor).astype(np.float64)
    special = ~np.isfinite(rounded)
    same = (rounded == y) | (np.isnan(rounded) & np.isnan(y))
    error = np.where(special, np.where(same, 0.0, np.inf), error)
    wrong_sign = (np.signbit(y) != np.signbit(rounded)) & ~np.isnan(rounded)
    return np.where(wrong_sign | np.isnan(error), np.inf, error)


def _run(library: ctypes.CDLL, call, symbol: str, arguments: list[np.ndarray]) -> np.ndarray:
    y = np.empty_like(arguments[0])
    call(library, symbol, *arguments, y)
    return y


@pytest.mark.parametrize(("name", "element"), CASES)
def test_error_is_within_the_bound(name, element, library, machine, call):
    arguments = _arguments(name, element)
    exact = _exact(name, arguments)
    for accuracy in _levels(machine.isa, element):
        symbol = _symbol(name, element, accuracy, _lanes(machine.isa, element)[-1])
        y = _run(library, call, symbol, arguments)
        error = _errors(exact, y)
        if element == "f64" and name in TORCH_OVERFLOWS:
            limit = TORCH_OVERFLOWS[name]
            error[(arguments[0] < limit) if limit < 0 else (np.abs(arguments[0]) > limit)] = 0.0
        worst = error.argmax()
        # In f64 the reference has an error of its own.
        bound = accuracy if element == "f32" else accuracy + 1.0
        bound += ROUNDED_ONCE_MORE.get(name, 0.0)
        inputs = [a[worst] for a in arguments]
        assert error[worst] <= bound, f"{name}({inputs}) = {y[worst]!r}: {error[worst]} ulp"


@pytest.mark.parametrize(("name", "element"), CASES)
def test_scalars_and_vectors_give_the_same_bits(name, element, library, machine, call):
    arguments = _arguments(name, element)
    results = []
    for lanes in _lanes(machine.isa, element):
        y = _run(library, call, _symbol(name, element, 1, lanes), arguments)
        results.append(np.where(np.isnan(y), DTYPES[element](np.nan), y).view(UINTS[element]))
    assert all(np.array_equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize("size", [8, 16])
@pytest.mark.parametrize("name", sorted(PIECES))
def test_pieces_meet_and_end_at_exactly_one(name, size, machine, build, call):
    pieces, prelude = PIECES[name][size], Prelude(machine)
    function = elementary_function(prelude, name, "f32", 1, table_size=size)
    text = f"for (int i = 0; i < {COUNT}; ++i) out[i] = {function}(x[i]);"
    head = "void k(const float *x, float *out)"
    library = build(f"{prelude.text()}\n{head};\n{head}\n{{\n    {text}\n}}\n", machine)
    ends = [np.float32(end) for k in range(size) for end in pieces.bounds(k)]
    near = [np.nextafter(end, np.float32(side)) for end in ends for side in (0, np.inf)]
    x = np.full(COUNT, np.float32(pieces.high))
    x[: len(ends + near)] = ends + near
    x[-4:] = [np.inf, -np.inf, 3e38, -10.0]
    y = _run(library, call, "k", [x])
    assert (_errors(_exact(name, [x]), y) <= 1).all()
    saturated = np.abs(x) >= np.float32(pieces.high)
    np.testing.assert_array_equal(y[saturated], np.sign(x[saturated]))


@pytest.mark.parametrize(("name", "element"), CASES)
def test_functions_are_valid_ir(name, element):
    for lanes in (1, 16):
        func = build_function(name, element, lanes)
        assert func is not None
        func.verify()


def test_what_mathlib_lacks_is_none():
    assert build_function("exp", "f16", 8) is None
    assert build_function("erf", "f64", 8) is None
    assert build_function("cbrt", "f32", 8) is None


def test_afn_flag_picks_the_coarser_program():
    flags = arith.FastMathFlagsAttr([FastMathFlag.APPROX_FUNC])
    for fastmath, name in ((None, "tc_sin_f32_v16("), (flags, "tc_sin_f32_4ulp_v16(")):
        block = Block(arg_types=[VectorType(f32, [16])])
        op = math.SinOp(block.args[0], fastmath)
        block.add_ops([op, func.ReturnOp(op.result)])
        type = FunctionType.from_lists([block.args[0].type], [op.result.type])
        kernel = func.FuncOp("k", type, Region(block))
        text = FunctionEmitter(kernel, prelude := Prelude(AVX512)).emit("static ")
        assert name in text
        assert name in prelude.text()
