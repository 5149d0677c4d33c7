"""Running sums as recurrences: scheduled without breaking their order, vectorized across it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from tilecast.dialects.reference.linalg import evaluate_kernel
from tilecast.dialects.reference.loops import run_kernel
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_scop import extract_scop
from tilecast.passes.poly.rules.schedule import choose_schedule
from xdsl.parser import Parser


@pytest.mark.parametrize("fn", ["sum", "prod", "max", "min"])
@pytest.mark.parametrize("shape", [(3, 1, 4), (5, 7, 19), (17, 2, 33)])
@pytest.mark.parametrize("dim", [0, 1, 2])
def test_scan_keeps_its_order(
    machines: dict[str, Any],
    caplog: pytest.LogCaptureFixture,
    fn: str,
    shape: tuple[int, ...],
    dim: int,
) -> None:
    type = f"tensor<{'x'.join(map(str, shape))}xf32>"
    text = f"""func.func private @k(%x: {type}) -> {type} {{
      %0 = "graph.scan"(%x) <{{fn = "{fn}", dim = #builtin.int<{dim}>}}> : ({type}) -> {type}
      func.return %0 : {type}
    }}"""
    (func,) = Parser(CompileContext(), text).parse_module().ops
    scop = extract_scop(func)
    choose_schedule(scop, machines["avx512"], 2)
    assert "illegal" not in caplog.text
    steps = scop.schedule.data.splitlines()
    is_vectorized = any("vectorize" in step and "S1" in step for step in steps)
    if shape[dim] > 1:
        assert is_vectorized == (dim < 2)  # along rows a chain is quicker than strided lanes
    x = np.random.default_rng(dim).integers(-3, 4, shape).astype(np.float32)
    out = np.full_like(x, np.nan)
    run_kernel(lower_scop(scop), [x, out])
    np.testing.assert_array_equal(out, evaluate_kernel(func, [x], np.float32)[0])
