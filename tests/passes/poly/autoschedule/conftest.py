"""PolyBench kernels as scops."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tilecast.dialects.poly import ScopOp
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.autoschedule.nest import ScheduledScop
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.registry import load_pass

sys.path.insert(0, str(Path(__file__).parents[4]))


@pytest.fixture(scope="session")
def polybench() -> Callable[..., ScheduledScop]:
    """polybench(name, dataset): a kernel with its dependences."""
    from benchmarks.polybench import load_all

    benchmarks = load_all()

    def scheduled(name: str, dataset: str = "MINI") -> ScheduledScop:
        module = benchmarks[name].bind(dataset).module()
        load_pass("extract-affine")().apply(CompileContext(), module)
        scop = module.body.block.first_op
        assert isinstance(scop, ScopOp)
        return ScheduledScop(scop, dependences_of(scop))

    return scheduled
