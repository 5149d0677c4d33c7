"""Every rewrite of every PolyBench kernel, at tiny sizes: refused, or the same values."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[4]))

from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ArrayOp, ScopOp
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import (
    Accumulate,
    Expand,
    Pack,
    Recompute,
    Rewrite,
    Rfactor,
    SplitDomain,
)
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.access_patterns import reduction_dims
from tilecast.passes.poly.dependences.dependences import array_names, dependences_of
from tilecast.passes.poly.dependences.legality import check_schedule_is_legal
from tilecast.passes.poly.extraction.extract_affine import ExtractAffinePass
from tilecast.passes.poly.primitives import original_tree
from tilecast.passes.poly.rewrites import apply_rewrite
from tilecast.passes.poly.simplification.eliminate_dead_statements import eliminate_dead_statements

from benchmarks.polybench import load_all
from benchmarks.polybench.benchmark import Benchmark

BENCHMARKS = load_all()


def scop_of(benchmark: Benchmark) -> ScopOp:
    sizes = {name: 6 - k % 2 for k, name in enumerate(benchmark.size_names)}
    module = benchmark.kernel.bind(**sizes).module()
    ExtractAffinePass().apply(CompileContext(), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


def results_of(scop: ScopOp) -> list[np.ndarray]:
    """The arguments after a run on random values; square arrays can be factored."""
    rng = np.random.default_rng(5)
    arrays = []
    for argument in scop.body.block.args:
        shape = argument.type.get_shape()  # type: ignore[attr-defined]
        dtype = dtype_of(argument.type)
        if dtype.kind == "i":
            array = rng.integers(0, 4, shape)
        else:
            array = rng.uniform(1, 2, shape)
            if len(shape) == 2 and shape[0] == shape[1]:
                array = array + array.T + 20 * np.eye(len(array))
        arrays.append(np.asarray(array, dtype))
    run_scop(scop, arrays)
    return arrays


def steps_for(scop: ScopOp) -> Iterator[Rewrite]:
    """One step of each kind per place where it could apply."""
    for name in (n for a, n in array_names(scop).items() if isinstance(a.owner, ArrayOp)):
        yield Expand(name, 3)
    for s in scop.statements:
        name = s.sym_name.data
        if s.rank:
            yield SplitDomain(name, f"i{s.rank - 1} mod 2 = 0 and i0 > 1", "inside")
        for dim in reduction_dims(s) if s.reduction is not None else ():
            yield Accumulate(name, dim, 2)
            yield Accumulate(name, dim, 100)
            yield Rfactor(name, dim, 3)
        for k, access in enumerate(s.read_maps):
            if access.results:
                yield Pack(name, k, len(access.results) - 1, 4)
        for other in scop.statements:
            if other.rank and s.target in other.sources and other is not s:
                yield Recompute(name, other.sym_name.data, (2,))


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_rewrite_keeps_the_values(name: str) -> None:
    original = scop_of(BENCHMARKS[name])
    want = results_of(original)
    applied = 0
    for step in steps_for(original):
        scop = original.clone()
        try:
            apply_rewrite(scop, step)
        except IllegalScheduleError:
            assert str(scop) == str(original), f"{step} was refused half way"
            continue
        applied += 1
        scop.verify()
        if not isinstance(step, SplitDomain):
            ranks = {s.sym_name.data: s.rank for s in scop.statements}
            check_schedule_is_legal(original_tree(scop), dependences_of(scop), ranks)
        for got, expected in zip(results_of(scop), want, strict=True):
            if isinstance(step, Rfactor):
                np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-9, err_msg=str(step))
            else:
                np.testing.assert_array_equal(got, expected, err_msg=str(step))
    assert applied or not any(s.rank for s in original.statements)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_without_dead_instances(name: str) -> None:
    scop = scop_of(BENCHMARKS[name])
    want = results_of(scop)
    eliminate_dead_statements(scop, instances=True)
    scop.verify()
    outputs = {"out", "inout"}
    for got, expected, role in zip(results_of(scop), want, scop.roles, strict=True):
        if role.data in outputs:
            np.testing.assert_array_equal(got, expected)
