"""Programs in the kernel language as scops; the check that a rewrite keeps what they compute."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import Step
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.poly.dependences.legality import check_schedule_is_legal
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.extraction.extract_affine import ExtractAffinePass
from tilecast.passes.poly.scheduled import apply_schedule
from xdsl.dialects.builtin import StringAttr


def scop_of(kernel: Kernel, **sizes: int) -> ScopOp:
    """The scop of a kernel at its sizes."""
    module = kernel.bind(**sizes).module()
    ExtractAffinePass().apply(CompileContext(), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


def arguments_of(scop: ScopOp) -> list[np.ndarray]:
    """Random arrays; square ones can be factored."""
    rng = np.random.default_rng(7)
    arrays = []
    for argument in scop.body.block.args:
        shape = argument.type.get_shape()  # type: ignore[attr-defined]
        array = np.asarray(rng.uniform(1, 2, shape))
        if len(shape) == 2 and shape[0] == shape[1]:
            array = array + array.T + 4 * len(array) * np.eye(len(array))
        arrays.append(array)
    return arrays


def check_rewrites(scop: ScopOp, *steps: Step, exact: bool = True) -> ScopOp:
    """The scop after `steps`, which computes what `scop` does: bit by bit, if `exact`.

    Instances are interpreted in the original order of the rewritten scop; where `steps` contain
    more than rewrites, the loops that they make are interpreted too.
    """
    before = arguments_of(scop)
    results = [before]
    run_scop(scop, before)
    rewritten, tree = apply_schedule(scop, steps)
    rewritten.verify()
    assert rewritten.positions == sorted(rewritten.positions)
    check_schedule_is_legal(
        tree, dependences_of(rewritten), {s.sym_name.data: s.rank for s in rewritten.statements}
    )
    results.append(arguments_of(scop))
    run_scop(rewritten, results[-1])
    scheduled = scop.clone()
    scheduled.properties["schedule"] = StringAttr("\n".join(str(s) for s in steps))
    func = lower_scop(scheduled, fma=False)
    results.append(arguments_of(scop))
    scratch = [np.full(a.type.get_shape(), np.nan) for a in list(func.args)[len(results[-1]) :]]
    run_kernel(func, [*results[-1], *scratch])
    for after in results[1:]:
        for want, got in zip(before, after, strict=True):
            if exact:
                np.testing.assert_array_equal(got, want)
            else:
                np.testing.assert_allclose(got, want, rtol=1e-12)
    return rewritten


@pytest.fixture(scope="session")
def scop() -> Callable[..., ScopOp]:
    """scop(kernel, **sizes): see scop_of."""
    return scop_of


@pytest.fixture(scope="session")
def keeps() -> Callable[..., ScopOp]:
    """keeps(scop, *steps, exact=True): see check_rewrites."""
    return check_rewrites
