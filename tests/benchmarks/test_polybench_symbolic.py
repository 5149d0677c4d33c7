"""Every PolyBench kernel with all its sizes as arguments: compiled once, right at several sizes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

import tilecast

from benchmarks.polybench import load_all

BENCHMARKS = load_all()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_one_function_serves_all_sizes(name: str) -> None:
    benchmark = BENCHMARKS[name]
    fast = tilecast.compile(benchmark.kernel, threads=2)
    assert fast.size_names == benchmark.size_names
    assert fast.report is not None
    assert fast.report.passed
    assert len({row.name.partition("[")[2] for row in fast.report.results}) >= 3


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_kernels_of_fixed_sizes_verify_under_the_default_schedule(name: str) -> None:
    benchmark = BENCHMARKS[name]
    fast = tilecast.compile(benchmark.kernel, sizes=benchmark.dataset("MINI"), threads=2)
    assert fast.report is not None
    assert fast.report.passed
