"""Register-tiled reductions and blocked factorizations: legal, tiled, and right."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import Accumulate, Merge, Pack, Precompute, SplitDomain, Step
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.autoschedule.blocked import blocked_candidate
from tilecast.passes.poly.autoschedule.dense import dense_candidate
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_affine import ExtractAffinePass
from xdsl.dialects.builtin import StringAttr

SMALL = Machine("small", "avx2", vector_bytes=16, vector_registers=8, l2_bytes=2048)
SCALAR = Machine("scalar", "scalar", vector_registers=8, l2_bytes=2048)


@kernel
def product(alpha: f64, C: f64[7, 9], A: f64[7, 5], B: f64[5, 9]) -> None:
    for i in range(7):
        for j in range(9):
            C[i, j] *= 0.5
        for k in range(5):
            for j in range(9):
                C[i, j] += alpha * A[i, k] * B[k, j]


@kernel
def rank_update(C: f64[11, 11], A: f64[11, 6]) -> None:
    for i in range(11):
        for k in range(6):
            for j in range(i + 1):
                C[i, j] += A[i, k] * A[j, k]


@kernel
def triangular_product(A: f64[11, 11], B: f64[11, 7]) -> None:
    for i in range(11):
        for j in range(7):
            for k in range(i + 1, 11):
                B[i, j] += A[k, i] * B[k, j]


@kernel
def symmetric_product(C: f64[9, 8], A: f64[9, 9], B: f64[9, 8]) -> None:
    for i in range(9):
        for j in range(8):
            t: f64 = 0.0
            for k in range(i):
                C[k, j] += B[i, j] * A[i, k]
                t += B[k, j] * A[i, k]
            C[i, j] = 2.0 * C[i, j] + B[i, j] * A[i, i] + t


@kernel
def lu(A: f64[13, 13]) -> None:
    for i in range(13):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, 13):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]


@kernel
def cholesky(A: f64[13, 13]) -> None:
    for i in range(13):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = A[i, i] ** 0.5


@kernel
def row_sums(s: f64[6], x: f64[6, 5]) -> None:
    for i in range(6):
        for k in range(5):
            s[i] += x[i, k]


@kernel
def recurrence(A: f64[8, 8], B: f64[8, 8]) -> None:
    for t in range(8):
        for i in range(8):
            for j in range(8):
                A[i, j] += A[i, t] * B[t, j]
        for j in range(8):
            B[t, j] += A[t, j]


def scop_of(program: Kernel) -> ScopOp:
    module = program.bind().module()
    ExtractAffinePass().apply(CompileContext(), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


def arguments_of(scop: ScopOp) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    arrays = []
    for argument in scop.body.block.args:
        shape = argument.type.get_shape()  # type: ignore[attr-defined]
        array = np.asarray(rng.uniform(1, 2, shape))
        if len(shape) == 2 and shape[0] == shape[1]:
            array = array + array.T + 4 * len(array) * np.eye(len(array))
        arrays.append(array)
    return arrays


def check(scop: ScopOp, steps: list[Step]) -> None:
    """The loops under `steps` compute what the statements do; `lower_scop` checks legality."""
    expected = arguments_of(scop)
    run_scop(scop, expected)
    scheduled = scop.clone()
    scheduled.properties["schedule"] = StringAttr("\n".join(map(str, steps)))
    func = lower_scop(scheduled)
    actual = arguments_of(scop)
    extra = list(func.body.block.args)[len(actual) :]
    scratch = [np.full(a.type.get_shape(), np.nan) for a in extra]  # type: ignore[attr-defined]
    run_kernel(func, [*actual, *scratch])
    for got, want in zip(actual, expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


@pytest.mark.parametrize(
    ("machine", "threads"), [(SMALL, 2), (SCALAR, 1)], ids=["vectors", "scalar"]
)
@pytest.mark.parametrize(
    ("program", "kinds"),
    [
        (product, {Precompute, Accumulate}),
        (rank_update, {Pack, SplitDomain, Accumulate}),
        (triangular_product, {Accumulate}),
        (symmetric_product, {Accumulate}),
    ],
)
def test_reductions_get_accumulators(
    program: Kernel, kinds: set[type[Step]], machine: Machine, threads: int
) -> None:
    scop = scop_of(program)
    steps = dense_candidate(scop, machine, threads, depth=4)
    assert kinds <= {type(s) for s in steps}
    check(scop, steps)


@pytest.mark.parametrize("size", [4, 6])
@pytest.mark.parametrize(
    ("program", "kinds"),
    [(lu, {Merge, SplitDomain, Accumulate}), (cholesky, {Pack, SplitDomain, Accumulate})],
)
def test_factorizations_go_in_blocks(program: Kernel, kinds: set[type[Step]], size: int) -> None:
    scop = scop_of(program)
    steps = blocked_candidate(scop, SMALL, 2, size)
    assert kinds <= {type(s) for s in steps}
    assert "parallel" in str(steps[-1])
    check(scop, steps)


def test_what_has_no_reuse_or_needs_its_loops_is_refused() -> None:
    with pytest.raises(IllegalScheduleError, match="no reduction has reuse"):
        dense_candidate(scop_of(row_sums), SMALL, 1)
    with pytest.raises(IllegalScheduleError):
        dense_candidate(scop_of(recurrence), SMALL, 1)
    with pytest.raises(IllegalScheduleError, match="no step of a factorization"):
        blocked_candidate(scop_of(row_sums), SMALL, 1)
