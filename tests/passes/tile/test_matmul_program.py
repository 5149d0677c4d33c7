"""Tile programs mean what they should, by the interpreter."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.dialects.reference.tile import dtype_of, run_program
from tilecast.dialects.tile.atoms import BF16, F16, F32, I8
from tilecast.passes.tile.matmul import MatmulConfig, fits, matmul_program, matmul_space

SMALL = MatmulConfig(1, 2, (1, 2, 2), 3)


@pytest.mark.parametrize("element", [F16, BF16, F32, I8], ids=str)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("shape", [(16, 32, 64), (17, 35, 50), (1, 8, 200)])
def test_matmul(element, parts, shape) -> None:  # type: ignore[no-untyped-def]
    m, n, k = shape
    config = MatmulConfig(1, 2, (1, 2, 2), 3, parts)
    program = matmul_program("matmul", element, (n, k), config)
    program.verify()
    rng = np.random.default_rng(0)
    lhs, rhs = (rng.integers(-3, 4, s).astype(dtype_of(element)) for s in ((m, k), (n, k)))
    result = np.zeros((m, n), np.int32 if element == I8 else dtype_of(element))
    total = np.full((m, n), 77, np.int32 if element == I8 else np.float32)
    semaphores = np.zeros(64, np.int32)
    run_program(program, [lhs, rhs, result, total, semaphores, m])
    expected = lhs.astype(np.float64) @ rhs.astype(np.float64).T
    np.testing.assert_array_equal(result.astype(np.float64), expected)
    assert not semaphores.any()


def test_the_space_has_fitting_configurations() -> None:
    assert sum(fits(F16, c) for c in matmul_space()) > 90
