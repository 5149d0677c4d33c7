"""Elementary functions through compiled C against float64, on a dense sample and exhaustively."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
import torch
from tilecast.codegen.c import emit_unit
from tilecast.codegen.mathlib import build_function
from tilecast.codegen.mathlib.library import FUNCTIONS, MAX_ULP
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

COUNT = 1 << 16


def _kernel(name: str, lanes: int) -> str:
    if lanes == 1:
        body = f"""%v = memref.load %x[%i] : memref<{COUNT}xf32>
      %r = math.{name} %v : f32
      memref.store %r, %y[%i] : memref<{COUNT}xf32>"""
    else:
        body = f"""%v = vector.load %x[%i] : memref<{COUNT}xf32>, vector<{lanes}xf32>
      %r = math.{name} %v : vector<{lanes}xf32>
      vector.store %r, %y[%i] : memref<{COUNT}xf32>, vector<{lanes}xf32>"""
    return f"""
  func.func @k_{name}_{lanes}(%x: memref<{COUNT}xf32>, %y: memref<{COUNT}xf32>)
      attributes {{tilecast.roles = ["in", "out"]}} {{
    %c0 = arith.constant 0 : index
    %n = arith.constant {COUNT} : index
    %s = arith.constant {lanes} : index
    scf.for %i = %c0 to %n step %s {{
      {body}
    }}
    func.return
  }}"""


@pytest.fixture(scope="module")
def library(machine, build):
    text = "".join(_kernel(name, lanes) for name in FUNCTIONS for lanes in (1, 4, 8, 16))
    module = Parser(CompileContext(), text).parse_module()
    module.verify()
    return build(emit_unit(list(module.body.block.ops), machine), machine)


def _sample(seed: int) -> np.ndarray:
    """Every exponent and sign with random mantissas, then the values that need care."""
    step = (1 << 32) // COUNT
    jitter = np.random.default_rng(seed).integers(0, step, COUNT)
    bits = (np.arange(COUNT, dtype=np.int64) * step + jitter).astype(np.uint32)
    x = bits.view(np.float32)
    edges = [0.0, -0.0, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 1.1754944e-38, 1.0, -1.0, 0.5]
    edges += [88.72283, 88.722839, -87.33655, -103.97208, -103.97209, 128.0, 127.99999, -126.0]
    edges += [-149.0, -150.0, 3.4028235e38, -3.4028235e38, 0.99999994, 1.0000001, 9.01, 4.0]
    x[: len(edges)] = edges
    return x


def _errors(name: str, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Error in units in the last place; infinite where NaN, infinity or a sign is wrong."""
    with np.errstate(all="ignore"):
        exact = getattr(torch, name)(torch.from_numpy(x.astype(np.float64))).numpy()
        rounded = exact.astype(np.float32)
        floor = np.maximum(np.abs(rounded), np.finfo(np.float32).tiny)
        error = np.abs(y.astype(np.float64) - exact) / np.spacing(floor).astype(np.float64)
    special = ~np.isfinite(rounded)
    same = (rounded == y) | (np.isnan(rounded) & np.isnan(y))
    error = np.where(special, np.where(same, 0.0, np.inf), error)
    wrong_sign = (np.signbit(y) != np.signbit(rounded)) & ~np.isnan(rounded)
    return np.where(wrong_sign | np.isnan(error), np.inf, error)


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_error_is_within_the_bound(name, library, machine, call):
    x = _sample(1)
    y = np.empty_like(x)
    call(library, f"k_{name}_{16 if machine.isa == 'avx512' else 8}", x, y)
    error = _errors(name, x, y)
    worst = error.argmax()
    assert error[worst] <= MAX_ULP[name], f"{name}({x[worst]!r}) = {y[worst]!r}: {error[worst]} ulp"


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_every_width_gives_the_same_bits(name, library, call):
    x = _sample(2)
    results = []
    for lanes in (1, 4, 8, 16):
        y = np.empty_like(x)
        call(library, f"k_{name}_{lanes}", x, y)
        results.append(np.where(np.isnan(y), np.float32(np.nan), y).view(np.uint32))
    assert all(np.array_equal(results[0], other) for other in results[1:])


DRIVER = r"""
#include <math.h>
#include <stdio.h>
#include <string.h>

double worst_error(void);

static double error_of(float x, float y)
{
    const double exact = EXACT((double)x);
    const float rounded = (float)exact;
    if (isnan(rounded)) {
        return isnan(y) ? 0.0 : INFINITY;
    }
    if (isnan(y) || signbit(y) != signbit(rounded)) {
        return INFINITY;
    }
    if (isinf(rounded)) {
        return y == rounded ? 0.0 : INFINITY;
    }
    const float size = fmaxf(fabsf(rounded), 1.17549435e-38f);
    return fabs((double)y - exact) / ((double)nextafterf(size, INFINITY) - (double)size);
}

double worst_error(void)
{
    double worst = 0.0;
#pragma omp parallel for schedule(static) reduction(max : worst) num_threads(2)
    for (int64_t block = 0; block < INT64_C(0x100000000) / COUNT; ++block) {
        static _Thread_local float x[COUNT], y[COUNT];
        for (int64_t k = 0; k < COUNT; ++k) {
            const uint32_t bits = (uint32_t)(block * COUNT + k);
            memcpy(&x[k], &bits, sizeof bits);
        }
        KERNEL(x, y);
        for (int64_t k = 0; k < COUNT; ++k) {
            const double error = error_of(x[k], y[k]);
            worst = error > worst ? error : worst;
        }
    }
    return worst;
}
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_all_inputs_are_within_the_bound(name, machine, build):
    lanes = 16 if machine.isa == "avx512" else 8
    module = Parser(CompileContext(), _kernel(name, lanes)).parse_module()
    source = emit_unit(list(module.body.block.ops), machine)
    source += f"\n#define EXACT {name}\n#define KERNEL k_{name}_{lanes}\n#define COUNT {COUNT}\n"
    library = build(source + DRIVER, machine, "-fopenmp", "-O3")
    library.worst_error.restype = ctypes.c_double
    worst = library.worst_error()
    print(f"{name} on {machine.isa}: {worst:.3f} ulp over all 2^32 inputs")
    assert worst <= MAX_ULP[name]


def test_functions_are_valid_ir():
    for name in FUNCTIONS:
        for lanes in (1, 16):
            func = build_function(name, "f32", lanes)
            assert func is not None
            func.verify()
    assert build_function("exp", "f64", 8) is None
    assert build_function("sin", "f32", 8) is None
