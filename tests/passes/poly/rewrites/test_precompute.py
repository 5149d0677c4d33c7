"""precompute: invariant parts of a body become statements of their own; values do not change."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import Precompute
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.access_patterns import contraction_of
from tilecast.passes.poly.extraction.extract_affine import ExtractAffinePass
from tilecast.passes.poly.scheduled import apply_schedule


@kernel
def scaled_product(alpha: f64, C: f64[4, 5], A: f64[4, 6], B: f64[6, 5]) -> None:
    for i in range(4):
        for k in range(6):
            for j in range(5):
                C[i, j] += alpha * A[i, k] * B[k, j]


@kernel
def triangular_update(alpha: f64, C: f64[5, 5], A: f64[5, 3], B: f64[5, 3]) -> None:
    for i in range(5):
        for k in range(3):
            for j in range(i + 1):
                C[i, j] += A[j, k] * alpha * B[i, k] + B[j, k] * alpha * A[i, k]


@kernel
def in_place(A: f64[5, 5], b: f64[5]) -> None:
    for i in range(5):
        for j in range(i):
            A[i, j] = A[i, j] * (A[j, j] * b[j])


def scop_of(program: Kernel) -> ScopOp:
    module = program.bind().module()
    ExtractAffinePass().apply(CompileContext(), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


def run(scop: ScopOp) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = [a.type.get_shape() for a in scop.body.block.args]  # type: ignore[attr-defined]
    arrays = [rng.standard_normal(shape) for shape in shapes]
    run_scop(scop, arrays)
    return arrays


@pytest.mark.parametrize(
    ("program", "dims", "statements"),
    [(scaled_product, (0, 1), 2), (triangular_update, (1, 2), 3)],
)
def test_values_stay_the_same_bit_by_bit(
    program: Kernel, dims: tuple[int, ...], statements: int
) -> None:
    scop = scop_of(program)
    rewritten, _ = apply_schedule(scop, [Precompute("S0", dims)])
    rewritten.verify()
    assert len(rewritten.statements) == statements
    for got, want in zip(run(rewritten), run(scop), strict=True):
        np.testing.assert_array_equal(got, want)


def test_a_scaled_product_becomes_a_product_of_two() -> None:
    scop = scop_of(scaled_product)
    rewritten, _ = apply_schedule(scop, [Precompute("S0", (0, 1))])
    for update, sources in ((scop.statements[-1], 4), (rewritten.statements[-1], 3)):
        assert contraction_of(update) is not None
        assert len(update.sources) == sources


@pytest.mark.parametrize(
    ("program", "dims", "reason"),
    [
        (scaled_product, (2,), "depends on i2 only"),
        (in_place, (1,), "reads A, which is written"),
    ],
)
def test_what_cannot_be_taken_out_is_refused(
    program: Kernel, dims: tuple[int, ...], reason: str
) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_schedule(scop_of(program), [Precompute("S0", dims)])
