"""Kernels whose sizes are arguments: one compiled function for all of them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tilecast
from tilecast import f64, kernel
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.compiler.kernels.size_conditions import SizeConditions, size_conditions
from tilecast.dialects.errors import InvalidInputError, KernelError, LoweringError


@kernel
def gemm(
    ni: int,
    nj: int,
    nk: int,
    alpha: f64,
    beta: f64,
    C: f64["ni", "nj"],
    A: f64["ni", "nk"],
    B: f64["nk", "nj"],
) -> None:
    for i in range(ni):
        for j in range(nj):
            C[i, j] *= beta
        for k in range(nk):
            for j in range(nj):
                C[i, j] += alpha * A[i, k] * B[k, j]


@kernel
def jacobi_2d(steps: int, n: int, A: f64["n", "n"], B: f64["n", "n"]) -> None:
    for t in range(steps):
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                B[i, j] = 0.2 * (A[i, j] + A[i, j - 1] + A[i, 1 + j] + A[1 + i, j] + A[i - 1, j])
        for i in range(1, n - 1):
            for j in range(1, n - 1):
                A[i, j] = 0.2 * (B[i, j] + B[i, j - 1] + B[i, 1 + j] + B[1 + i, j] + B[i - 1, j])


@kernel
def lu(n: int, A: f64["n", "n"]) -> None:
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]


SCHEDULES = [
    pytest.param(gemm, "", marks=pytest.mark.slow),
    (
        gemm,
        """distribute(S0.i0)
        tile(S0.i0_1+S1.i1+S1.i2, 4+8+16)
        parallelize(S0.i0_1_o)
        vectorize(S1.i2_i, 8)""",
    ),
    pytest.param(
        gemm,
        "split(S1.i2, 8, jo, ji)\nvectorize(ji, 8)\nparallelize(S0.i0)",
        marks=pytest.mark.slow,
    ),
    pytest.param(jacobi_2d, "reorder(S0.i2+S0.i1)", marks=pytest.mark.slow),
    (jacobi_2d, "tile(S0.i1+S0.i2, 8+16)\nparallelize(S0.i1_o)\nvectorize(S0.i2_i, 8)"),
    pytest.param(lu, "vectorize(S2.i2, 8)", marks=pytest.mark.slow),
    (lu, "reorder(S2.i2+S2.i1)\nvectorize(S2.i1, 8)"),
]


@pytest.mark.parametrize(("source", "schedule"), SCHEDULES)
def test_one_function_is_right_for_all_sizes(source: Kernel, schedule: str) -> None:
    fast = tilecast.compile(source, schedule=schedule, threads=2)
    assert fast.report is not None
    assert fast.report.passed
    checked = {row.name.partition(" on ")[0] for row in fast.report.results}
    for sizes in ("[0", "[1", "[7", "[33"):
        assert any(sizes in name for name in checked)


def test_sizes_are_arguments_like_those_of_the_python_function() -> None:
    fast = tilecast.compile(gemm, threads=1, verify=False)
    rng = np.random.default_rng(0)
    for ni, nj, nk in [(1, 1, 1), (3, 5, 7), (0, 4, 2), (20, 1, 33)]:
        a, b, c = rng.random((ni, nk)), rng.random((nk, nj)), rng.random((ni, nj))
        expected = 0.5 * c + 2.0 * a @ b
        fast(ni, nj, nk, 2.0, 0.5, c, a, b)
        np.testing.assert_allclose(c, expected, rtol=1e-13)
    head = "void gemm(int64_t ni, int64_t nj, int64_t nk, const double *restrict alpha"
    assert head in fast.sources["gemm.c"]
    assert "C: float64[ni, nj]" in repr(fast)


def test_some_sizes_may_be_bound() -> None:
    fast = tilecast.compile(gemm, sizes={"nk": 4}, threads=1)
    a, b, c = np.ones((3, 4)), np.ones((4, 2)), np.ones((3, 2))
    fast(3, 2, 1.0, 1.0, c, a, b)
    np.testing.assert_array_equal(c, 5.0)
    with pytest.raises(
        InvalidInputError, match=r"A: expected float64\[3, 4\], found float64\[3, 5\]"
    ):
        fast(3, 2, 1.0, 1.0, c, np.ones((3, 5)), b)


@pytest.mark.parametrize("size", [-1, 2**31, 2.0, "3", True])
def test_a_size_is_a_whole_number(size: Any) -> None:
    fast = tilecast.compile(lu, threads=1, verify=False)
    with pytest.raises(InvalidInputError, match="n: expected a size from 0 to 2147483647"):
        fast(size, np.ones((2, 2)))


@kernel
def ends(n: int, x: f64["n"]) -> None:
    t = np.empty(n - 1)
    t[0] = x[n - 1]
    x[2] = t[0] + n


def test_sizes_are_checked_against_what_the_accesses_need() -> None:
    fast = tilecast.compile(ends, threads=1)
    x = np.arange(4.0)
    fast(4, x)
    np.testing.assert_array_equal(x, [0, 1, 7, 3])
    with pytest.raises(InvalidInputError, match="ends: expected n >= 3, found n = 2"):
        fast(2, np.ones(2))
    assert {row.name for row in fast.report.results if "on" not in row.name} == {  # type: ignore[union-attr]
        "x [7]",
        "x [33]",
    }


def test_an_access_that_leaves_the_array_for_large_sizes_is_an_error() -> None:
    @kernel
    def outside(n: int, x: f64["n"]) -> None:
        for i in range(n):
            x[i + 1] = 0.0

    with pytest.raises(LoweringError, match=re.escape("x[1] is written")):
        tilecast.compile(outside)


def test_what_must_be_a_number_is_said_at_the_line() -> None:
    @kernel
    def strided(n: int, x: f64["n"]) -> None:
        for i in range(0, n, n):
            x[i] = 0.0

    with pytest.raises(
        KernelError, match=r"'n' must be known when the sizes are\n.*range\(0, n, n"
    ):
        strided.bind().module()
    assert strided.bind(n=3).module()


AFFINE = """
func.func @shifted(%x: memref<?xf64>, %n: index, %y: memref<?xf64>) {
  affine.for %i = 0 to %n {
    %a = affine.load %x[%i + 1] : memref<?xf64>
    affine.store %a, %y[%i] : memref<?xf64>
  }
  func.return
}"""


def test_extents_of_an_mlir_file_come_from_the_arrays(tmp_path: Path) -> None:
    path = tmp_path / "shifted.mlir"
    path.write_text(AFFINE)
    fast: Any = tilecast.compile(path, threads=1)
    x, y = np.arange(5.0), np.zeros(7)
    fast(x, 4, y)
    np.testing.assert_array_equal(y, [1, 2, 3, 4, 0, 0, 0])
    with pytest.raises(InvalidInputError, match=r"shifted: expected .*found n = 5, x_0 = 5"):
        fast(x, 5, y)
    with pytest.raises(InvalidInputError, match="x: expected a NumPy array of more than 0"):
        fast(np.float64(1), 1, y)


def test_the_cache_and_the_report_know_sizes() -> None:
    first = tilecast.compile(ends, threads=1)
    again = tilecast.compile(ends, threads=1)
    assert again.artifact.conditions == first.artifact.conditions
    report = first.explain()
    assert report.sizes == ("n",)
    assert report.context == "n >= 3"
    assert [s.text for s in report.statements] == ["t[0] = x[n - 1]", "x[2] = t[0] + n"]
    (temporary,) = report.temporaries
    assert (temporary.type, temporary.bytes) == ("f64[n - 1]", None)


@kernel
def numbered(n_1: int, n_2: int, x_1: f64["n_1"], x_2: f64["n_2"]) -> None:
    for i in range(min(n_1, n_2)):
        x_1[i] += x_2[i] * n_2


def test_names_may_end_with_numbers() -> None:
    fast = tilecast.compile(numbered, threads=1)
    x, y = np.ones(3), np.ones(5)
    fast(n_1=3, n_2=5, x_1=x, x_2=y)
    np.testing.assert_array_equal(x, 6.0)
    assert repr(fast) == (
        "CompiledKernel(numbered(n_1: int64, n_2: int64, x_1: float64[n_1], x_2: float64[n_2]))"
    )


def test_conditions_are_data() -> None:
    conditions = size_conditions("[s0, s1] -> { : (s0 >= 3 and s1 = 2s0) or s0 = 0 }", ["n", "m"])
    assert conditions.hold((3, 6))
    assert not conditions.hold((3, 5))
    assert conditions.hold((0, 9))
    assert SizeConditions.from_json(conditions.to_json()) == conditions
    with pytest.raises(LoweringError, match="linear conditions"):
        size_conditions("[s0] -> { : s0 mod 2 = 0 }", ["n"])
