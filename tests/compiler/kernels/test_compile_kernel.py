"""`tilecast.compile` of kernel functions and .mlir files: results, checks, verification, cache."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tilecast
from tilecast import f32, f64, i32, kernel
from tilecast.compiler.kernels.compiled import CompiledKernel
from tilecast.compiler.runtime.toolchain import Toolchain
from tilecast.dialects.errors import (
    IllegalScheduleError,
    InvalidInputError,
    KernelError,
    OptionError,
    VerifyFailure,
)
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Parallelize, Split


@kernel
def matmul(n: int, m: int, alpha: f64, A: f64["n", "m"], x: f64["m"], y: f64["n"]) -> None:
    for i in range(n):
        y[i] = 0.0
        for j in range(m):
            y[i] += alpha * A[i, j] * x[j]


@kernel
def smooth(n: int, steps: int, x: f32["n"], count: i32["2"]) -> None:
    y = np.empty(n, np.float32)
    for t in range(steps):
        for i in range(1, n - 1):
            y[i] = (x[i - 1] + x[i] + x[i + 1]) / 3.0
        for i in range(1, n - 1):
            x[i] = y[i]
        count[1] += 1


AFFINE = """
func.func @scale(%alpha: f64, %x: memref<7xf64>, %total: memref<f64>) {
  affine.for %i = 0 to 7 {
    %a = affine.load %x[%i] : memref<7xf64>
    %b = arith.mulf %a, %alpha : f64
    affine.store %b, %x[%i] : memref<7xf64>
    %c = affine.load %total[] : memref<f64>
    %d = arith.addf %c, %b : f64
    affine.store %d, %total[] : memref<f64>
  }
  func.return
}"""


@pytest.fixture(scope="module")
def compiled() -> CompiledKernel:
    return tilecast.compile(matmul, sizes={"n": 7, "m": 5}, threads=2)


def operands() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.random((7, 5)), rng.random(5), np.full(7, np.nan)


def test_a_kernel_updates_arrays_in_place(compiled: CompiledKernel) -> None:
    a, x, y = operands()
    assert compiled(2.0, a, x, y) is None  # type: ignore[func-returns-value]
    np.testing.assert_allclose(y, 2.0 * a @ x, rtol=1e-14)
    y[:] = 0
    compiled(np.float32(2), y=y, x=x, A=a)
    np.testing.assert_allclose(y, 2.0 * a @ x, rtol=1e-14)


def test_it_was_verified_against_the_python_function(compiled: CompiledKernel) -> None:
    assert compiled.report is not None
    assert compiled.report.passed
    assert {r.name for r in compiled.report.results} == {"y", "y on 1 thread"}
    assert compiled.verify(seed=3).passed


def test_the_representation_shows_what_it_takes(compiled: CompiledKernel) -> None:
    wanted = (
        "CompiledKernel(matmul(alpha: float64, A: float64[7, 5], x: float64[5], y: float64[7]))"
    )
    assert repr(compiled) == wanted
    assert "void matmul(" in compiled.sources["matmul.c"]


BAD_CALLS = {
    "expected 4 arguments, found 5": lambda a, x, y: (1.0, a, x, y, y),
    "missing y": lambda a, x, y: (1.0, a, x),
    "alpha: expected a number of type float64, found str": lambda a, x, y: ("1", a, x, y),
    "A: expected a NumPy array A: float64[7, 5], found list": lambda a, x, y: (1.0, [], x, y),
    "A: expected float64[7, 5], found float32[7, 5]": (
        lambda a, x, y: (1.0, a.astype(np.float32), x, y)
    ),
    "A: expected float64[7, 5], found float64[5, 7]": lambda a, x, y: (1.0, a.T, x, y),
    "A: expected a C-contiguous array": lambda a, x, y: (1.0, np.asfortranarray(a), x, y),
    "y: the kernel writes it, but it is read-only": (
        lambda a, x, y: (1.0, a, x, np.broadcast_to(np.float64(1), 7).copy().view(Frozen))
    ),
    "y is written and shares memory with A": lambda a, x, y: (1.0, a, x, a.reshape(-1)[:7]),
}


class Frozen(np.ndarray):
    def __array_finalize__(self, _: Any) -> None:
        self.flags.writeable = False


@pytest.mark.parametrize("message", BAD_CALLS)
def test_a_wrong_argument_is_one_clear_error(compiled: CompiledKernel, message: str) -> None:
    with pytest.raises(InvalidInputError) as error:
        compiled(*BAD_CALLS[message](*operands()))
    assert message in str(error.value)


def test_keywords_are_checked(compiled: CompiledKernel) -> None:
    a, x, y = operands()
    with pytest.raises(InvalidInputError, match="'z' is no argument"):
        compiled(1.0, a, x, z=y)
    with pytest.raises(InvalidInputError, match="'A' is given twice"):
        compiled(1.0, a, x, A=a)


def test_integers_and_temporaries() -> None:
    fast = tilecast.compile(smooth, sizes={"n": 9, "steps": 4}, threads=1)
    x = np.random.default_rng(2).random(9, np.float32)
    expected, count, counted = x.copy(), np.zeros(2, np.int32), np.zeros(2, np.int32)
    smooth(9, 4, expected, counted)
    fast(x, count)
    np.testing.assert_allclose(x, expected, rtol=1e-6)
    np.testing.assert_array_equal(count, counted)
    with pytest.raises(InvalidInputError, match="count: expected int32"):
        fast(x, count.astype(np.int64))


def test_an_mlir_file_is_a_kernel(tmp_path: Path) -> None:
    path = tmp_path / "scale.mlir"
    path.write_text(AFFINE)
    fast: Any = tilecast.compile(str(path))
    x, total = np.arange(7.0), np.array(1.0)
    fast(0.5, x, total)
    np.testing.assert_array_equal(x, np.arange(7.0) / 2)
    assert total == 1 + 21 / 2
    with pytest.raises(OptionError, match="sizes are for kernel functions"):
        tilecast.compile(str(path), sizes={"n": 3})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("func.func @f(", "Expected"),
        ("builtin.module {}", "expected one func.func of affine loops, found nothing"),
        ("func.func @f(%A: memref<4xf32>)", "expected a body of @f, found none"),
        (AFFINE + AFFINE.replace("@scale", "@again"), "found func.func, func.func"),
    ],
)
def test_a_file_that_is_no_kernel_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "wrong.mlir"
    path.write_text(text)
    with pytest.raises(InvalidInputError, match=message):
        tilecast.compile(path)


def test_the_users_schedule_is_applied() -> None:
    steps = [Split("S1.i1", 2, "jo", "ji"), Parallelize("S0.i0")]
    fast = tilecast.compile(matmul, sizes={"n": 7, "m": 5}, schedule=steps, threads=2)
    assert fast.schedule == "split(S1.i1, 2, jo, ji)\nparallelize(S0.i0)"
    assert "omp parallel for" in fast.sources["matmul.c"]
    same = tilecast.compile(matmul, sizes={"n": 7, "m": 5}, schedule=fast.schedule, threads=2)
    assert same.sources == fast.sources


def test_an_illegal_schedule_is_refused() -> None:
    with pytest.raises(IllegalScheduleError, match="carries"):
        tilecast.compile(
            matmul, sizes={"n": 7, "m": 5}, schedule=[Parallelize("S1.i1")], verify=False
        )


def test_the_cache_keeps_kernels_by_program_and_schedule(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TILECAST_CACHE_DIR", str(tmp_path / "cache"))
    first = tilecast.compile(matmul, sizes={"n": 3, "m": 2}, threads=1)

    def refuse(*_: Any) -> None:
        raise AssertionError("a hit compiles nothing")

    monkeypatch.setattr(Toolchain, "compile", refuse)
    again = tilecast.compile(matmul, sizes={"n": 3, "m": 2}, threads=1)
    assert again.artifact.library == first.artifact.library
    assert again.report == first.report
    a, x, y = np.ones((3, 2)), np.ones(2), np.empty(3)
    again(1.0, a, x, y)
    np.testing.assert_array_equal(y, 2.0)
    with pytest.raises(AssertionError, match="a hit"):
        tilecast.compile(matmul, sizes={"n": 3, "m": 4}, threads=1)


def test_wrong_code_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from tilecast.compiler.kernels import lowering

    emit = lowering.emit_unit

    def wrong(*arguments: Any) -> str:
        return emit(*arguments).replace("alpha[0]", "2 * alpha[0]")

    monkeypatch.setattr(lowering, "emit_unit", wrong)
    with pytest.raises(VerifyFailure, match="kernel y"):
        tilecast.compile(matmul, sizes={"n": 7, "m": 5}, cache=False)


@pytest.mark.parametrize("limit", ["PYTHON_INSTANCES", "INTERPRETER_INSTANCES"])
def test_large_kernels_are_verified_by_faster_programs(
    monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    from tilecast.compiler.kernels import verify

    monkeypatch.setattr(verify, "PYTHON_INSTANCES", 0)
    if limit == "INTERPRETER_INSTANCES":
        monkeypatch.setattr(verify, "INTERPRETER_INSTANCES", 0)
    fast = tilecast.compile(matmul, sizes={"n": 7, "m": 5}, verify=False)
    report = fast.verify()
    assert report.passed
    assert report.results[0].elements == 7


def test_stages_of_a_kernel_can_be_stopped_after() -> None:
    sizes = {"n": 7, "m": 5}
    scheduled: Any = tilecast.compile(matmul, sizes=sizes, stop_after="schedule")
    assert isinstance(scheduled.body.block.first_op, ScopOp)
    sources: Any = tilecast.compile(matmul, sizes=sizes, stop_after="emit", name="mine")
    assert "void mine(" in sources["mine.c"]
    with pytest.raises(OptionError, match="a kernel has the stages import, schedule"):
        tilecast.compile(matmul, sizes=sizes, stop_after="fuse")


def test_what_belongs_to_models_is_refused() -> None:
    with pytest.raises(OptionError, match="give sizes= instead"):
        tilecast.compile(matmul, (np.ones(3),), sizes={"n": 1, "m": 1})  # type: ignore[call-overload]
    with pytest.raises(OptionError, match=r"for @tilecast.kernel functions"):
        tilecast.compile(object(), schedule="")  # type: ignore[call-overload]
    with pytest.raises(OptionError, match="has its sizes already"):
        tilecast.compile(matmul.bind(n=1, m=1), sizes={"n": 1, "m": 1})
    with pytest.raises(KernelError, match="'k' is no integer parameter"):
        tilecast.compile(matmul, sizes={"n": 1, "m": 1, "k": 3})
