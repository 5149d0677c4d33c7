"""Every f16 and bf16 number widened and rounded back, by scalar code and by each register width."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from xdsl.parser import Parser

NARROW = {"f16": np.dtype(np.float16), "bf16": np.dtype(ml_dtypes.bfloat16)}
LANES = (0, 4, 8, 16)


def conversion(name: str, op: str, source: str, target: str, count: int, lanes: int) -> str:
    """A kernel that converts `count` elements, `lanes` at a time (0: one by one)."""
    load, store, of = "memref.load", "memref.store", [source, target]
    access, result = f"memref<{count}x{source}>", f"memref<{count}x{target}>"
    ends = [access, result]
    if lanes:
        load, store = "vector.load", "vector.store"
        of = [f"vector<{lanes}x{element}>" for element in (source, target)]
        ends = [f"{access}, {of[0]}", f"{result}, {of[1]}"]
    return f"""
func.func @{name}(%x: {access}, %y: {result}) attributes {{tilecast.roles = ["in", "out"]}} {{
  %c0 = arith.constant 0 : index
  %n = arith.constant {count} : index
  %s = arith.constant {max(lanes, 1)} : index
  scf.for %i = %c0 to %n step %s {{
    %v = {load} %x[%i] : {ends[0]}
    %r = arith.{op} %v : {of[0]} to {of[1]}
    {store} %r, %y[%i] : {ends[1]}
  }}
  func.return
}}
"""


def awkward_floats(narrow: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """All numbers of `narrow`, the middles between neighbours, and what lies next to those."""
    exact = np.arange(1 << 16, dtype=np.uint16).view(narrow).astype(np.float32)
    finite = np.sort(exact[np.isfinite(exact)]).astype(np.float64)
    middles = ((finite[1:] + finite[:-1]) / 2).astype(np.float32)
    around = [np.nextafter(middles, np.float32(limit)) for limit in (-np.inf, np.inf)]
    extremes = np.array([np.inf, -np.inf, np.nan, -np.nan, 3e38, -3e38, 65520, 1e-45], np.float32)
    values = np.concatenate([exact, middles, *around, extremes])
    return np.resize(values, -(-values.size // 16) * 16)


@pytest.fixture(scope="module")
def library(build: Callable[..., Any], machine: Machine) -> Any:
    """All conversions in one library."""
    kernels = []
    for name, narrow in NARROW.items():
        count = awkward_floats(narrow).size
        for lanes in LANES:
            kernels.append(conversion(f"widen_{name}_{lanes}", "extf", name, "f32", 1 << 16, lanes))
            kernels.append(conversion(f"round_{name}_{lanes}", "truncf", "f32", name, count, lanes))
    module = Parser(CompileContext(), "\n".join(kernels)).parse_module()
    return build(emit_unit(list(module.body.block.ops), machine), machine)


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", NARROW)
def test_every_number_is_widened_exactly(
    library: Any, call: Callable[..., None], name: str, lanes: int
) -> None:
    bits = np.arange(1 << 16, dtype=np.uint16)
    found = np.empty(bits.size, np.float32)
    call(library, f"widen_{name}_{lanes}", bits, found)
    np.testing.assert_array_equal(found, bits.view(NARROW[name]).astype(np.float32))
    assert (np.signbit(found) == (bits >> 15).astype(bool)).all()


@pytest.mark.parametrize("lanes", LANES)
@pytest.mark.parametrize("name", NARROW)
def test_rounding_is_to_nearest_even_and_keeps_nan(
    library: Any, call: Callable[..., None], name: str, lanes: int
) -> None:
    values = awkward_floats(NARROW[name])
    found = np.empty(values.size, np.uint16)
    call(library, f"round_{name}_{lanes}", values, found)
    with np.errstate(over="ignore", invalid="ignore"):
        want = values.astype(NARROW[name])
    number = ~np.isnan(values)
    np.testing.assert_array_equal(found[number], want.view(np.uint16)[number])
    assert np.isnan(found.view(NARROW[name])[~number].astype(np.float32)).all()


def test_conversions_are_clean_under_clang(
    check_with_clang: Callable[..., None], machine: Machine
) -> None:
    kernels = [
        conversion(f"{op}_{name}_{lanes}", op, *ends, 64, lanes)
        for name in NARROW
        for op, ends in (("extf", (name, "f32")), ("truncf", ("f32", name)))
        for lanes in LANES
    ]
    module = Parser(CompileContext(), "\n".join(kernels)).parse_module()
    check_with_clang(emit_unit(list(module.body.block.ops), machine), machine)
