"""Every PolyBench kernel: extracted, lowered in original order, compiled and compared."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tilecast.costmodel.hardware import Machine

from benchmarks.polybench import DATASETS, load_all
from benchmarks.polybench.benchmark import Benchmark, Data
from benchmarks.polybench.build import DEFAULT_SCHEDULE, build

BENCHMARKS = load_all()
STRICT = ("-O1", "-ffp-contract=off", "-fno-math-errno")
# Elementary functions differ in the last place between libm and the emitted ones.
INEXACT = {"deriche"}


@pytest.fixture(params=sorted(BENCHMARKS))
def benchmark(request: pytest.FixtureRequest) -> Benchmark:
    return BENCHMARKS[request.param]


def largest_error(benchmark: Benchmark, actual: Data, expected: Data) -> float:
    """The largest error of an element, relative to the largest element of its array."""
    errors = []
    results = benchmark.live_out(expected)
    for name, value in benchmark.live_out(actual).items():
        wanted = results[name].astype(np.float64)
        assert np.isfinite(wanted).all(), name
        errors.append(np.abs(value - wanted).max() / np.abs(wanted).max())
    return float(max(errors))


def tolerance(benchmark: Benchmark) -> float:
    return 1e-6 if benchmark.name == "deriche" else 1e-13


def test_there_are_thirty() -> None:
    assert len(BENCHMARKS) == 30
    assert len({b.kernel.name for b in BENCHMARKS.values()}) == 30
    for benchmark in BENCHMARKS.values():
        assert len(benchmark.sizes) == len(DATASETS)


def test_compiled_loops_equal_the_python_function_and_numpy(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    native = build(benchmark, "MINI", tmp_path, STRICT)
    actual, expected, reference = (benchmark.data("MINI") for _ in range(3))
    native(actual)
    with np.errstate(all="ignore"):
        benchmark.kernel(*benchmark.arguments("MINI", expected))
        benchmark.reference(*benchmark.arguments("MINI", reference))
    for name in benchmark.outputs:
        if benchmark.name in INEXACT:
            assert largest_error(benchmark, actual, expected) < 1e-6
        else:
            np.testing.assert_array_equal(actual[name], expected[name], err_msg=name)
    assert largest_error(benchmark, actual, reference) < tolerance(benchmark)


@pytest.mark.slow
def test_compiled_loops_of_another_size_agree_with_numpy(
    benchmark: Benchmark, tmp_path: Path
) -> None:
    native = build(benchmark, "SMALL", tmp_path, STRICT)
    actual, expected = benchmark.data("SMALL"), benchmark.data("SMALL")
    native(actual)
    with np.errstate(all="ignore"):
        benchmark.reference(*benchmark.arguments("SMALL", expected))
    assert largest_error(benchmark, actual, expected) < tolerance(benchmark)


SEPARATE = ["gemm", "gemver", "syrk", "2mm", "atax", "bicg", "mvt", "correlation", "seidel-2d"]


@pytest.mark.isa("avx2")
@pytest.mark.isa("fma")
@pytest.mark.parametrize("name", SEPARATE)
def test_the_default_schedule_of_distributed_nests(name: str, tmp_path: Path) -> None:
    """Fused, tiled and vectorized where the domains are boxes, distributed where not."""
    benchmark, machine = BENCHMARKS[name], Machine("x86-64-v3", "avx2", vector_bytes=32)
    flags = (*STRICT, "-march=x86-64-v3")
    native = build(benchmark, "MINI", tmp_path, flags, DEFAULT_SCHEDULE, machine)
    actual, expected = benchmark.data("MINI"), benchmark.data("MINI")
    native(actual)
    benchmark.reference(*benchmark.arguments("MINI", expected))
    assert largest_error(benchmark, actual, expected) < tolerance(benchmark)


def test_a_wrong_result_is_seen(tmp_path: Path) -> None:
    """The comparison itself: one element off in the tenth digit is too much."""
    benchmark = BENCHMARKS["gemm"]
    expected = benchmark.data("MINI")
    benchmark.reference(*benchmark.arguments("MINI", expected))
    actual = {**expected, "C": expected["C"].copy()}
    actual["C"][3, 4] *= 1 + 1e-10
    assert largest_error(benchmark, actual, expected) > tolerance(benchmark)
