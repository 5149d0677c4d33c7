"""Samples of torch's operator database compile and are right, or are refused."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("expecttest")
sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.conformance.batch import run_samples
from benchmarks.conformance.exclusions import EXCLUDED, exclusion
from benchmarks.conformance.samples import DTYPES, operators, samples_of
from benchmarks.conformance.table import page, totals

# One or two of each kind, since all of them take long.
STRATA = (
    "add",
    "amax",
    "cat",
    "cumsum",
    "gather",
    "index_put",
    "isnan",
    "matmul",
    "nn_functional_adaptive_max_pool2d",
    "nn_functional_conv2d",
    "nn_functional_gelu",
    "nn_functional_interpolate_nearest",
    "nn_functional_layer_norm",
    "nn_functional_pad_reflect",
    "scatter_reduce_mean",
    "softmax",
    "sort",
    "where",
)


@pytest.mark.slow
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("part", range(16))
def test_no_operator_is_silently_wrong(dtype: str, part: int) -> None:
    chosen = [name for name in sorted(operators()) if exclusion(name) is None][part::16]
    samples = [sample for name in chosen for sample in samples_of(name, dtype, 2)]
    outcomes = run_samples(samples, "native")
    assert [o for o in outcomes if o.status in ("mismatch", "crash")] == []


def test_one_sample_of_each_kind_passes() -> None:
    samples = [
        sample
        for number, name in enumerate(STRATA)
        for sample in samples_of(name, ("float32", "bfloat16")[number % 2], 1)
    ]
    assert len(samples) == len(STRATA)
    outcomes = run_samples(samples, "native")
    assert [o for o in outcomes if o.status != "pass"] == []
    counts = totals(outcomes)
    assert counts["float32"]["pass"] + counts["bfloat16"]["pass"] == len(STRATA)
    assert "| softmax |" in page(outcomes, "a command")


def test_every_exclusion_names_an_operator() -> None:
    used = {name for name in operators() if exclusion(name) is not None}
    from fnmatch import fnmatchcase

    assert [p for p in EXCLUDED if not any(fnmatchcase(name, p) for name in used)] == []
