"""Sums of products: which forms are seen, and that each product is rounded once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loops import run_kernel
from tilecast.dialects.reference.poly import run_scop
from tilecast.dialects.schedule import Split, Vectorize
from tilecast.passes.poly.access_patterns import contraction_of
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.poly.emission.summed_products import summed_products
from xdsl.dialects.builtin import StringAttr

Scop = Callable[..., ScopOp]


@kernel
def plus(n: int, C: f64[n, n], A: f64[n, n], B: f64[n, n], w: f64) -> None:
    for i in range(n):
        for k in range(n):
            for j in range(n):
                C[i, j] += A[i, k] * B[k, j]


@kernel
def minus(n: int, C: f64[n, n], A: f64[n, n], B: f64[n, n], w: f64) -> None:
    for i in range(n):
        for k in range(n):
            for j in range(n):
                C[i, j] -= w * A[i, k] * B[k, j]


@kernel
def two(n: int, C: f64[n, n], A: f64[n, n], B: f64[n, n], w: f64) -> None:
    for i in range(n):
        for k in range(n):
            for j in range(n):
                C[i, j] += A[i, k] * B[k, j] - B[i, k] * w * A[k, j]


@kernel
def quotient(n: int, C: f64[n, n], A: f64[n, n], B: f64[n, n], w: f64) -> None:
    for i in range(n):
        for k in range(n):
            for j in range(n):
                C[i, j] += A[i, k] * B[k, j] + A[i, k] / w


FORMS = [(plus, [False]), (minus, [True]), (two, [False, True]), (quotient, None)]


@pytest.mark.parametrize(("make", "signs"), FORMS, ids=lambda f: getattr(f, "name", ""))
def test_products_and_signs(scop: Scop, make, signs) -> None:  # type: ignore[no-untyped-def]
    (statement,) = scop(make, n=3).statements
    found = summed_products(statement)
    assert (None if found is None else [p.negated for p in found.products]) == signs


def test_scaled_products_are_contractions(scop: Scop) -> None:
    for make in (plus, minus):
        (statement,) = scop(make, n=3).statements
        contraction = contraction_of(statement)
        assert contraction is not None
        arrays = [statement.sources[k].name_hint for k in (contraction.narrow, contraction.wide)]
        assert arrays == ["A", "B"]
        assert (contraction.vector_dim, contraction.rows) == (2, (0,))
    (statement,) = scop(two, n=3).statements
    assert contraction_of(statement) is None


@pytest.mark.parametrize(("make", "signs"), FORMS[:3], ids=lambda f: getattr(f, "name", ""))
@pytest.mark.parametrize("lanes", [0, 4])
def test_each_product_is_one_op(scop: Scop, make, signs, lanes: int) -> None:  # type: ignore[no-untyped-def]
    program = scop(make, n=6)
    rng = np.random.default_rng(0)
    shapes = [a.type.get_shape() for a in program.body.block.args]  # type: ignore[attr-defined]
    want = [np.asarray(rng.uniform(1, 2, s)) for s in shapes]
    got = [a.copy() for a in want]
    run_scop(program, want)
    if lanes:
        steps = [Split("S0.i2", lanes, "o", "l"), Vectorize("l", lanes)]
        program.properties["schedule"] = StringAttr("\n".join(map(str, steps)))
    func = lower_scop(program)
    ops = {op.name for op in func.walk()}
    vector = {"vector.fnma" if s else "vector.fma" for s in signs}
    assert (vector if lanes else {"math.fma"}) <= ops
    assert not ops & {"arith.subf", "arith.addf"}
    run_kernel(func, got)
    for one, other in zip(got, want, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)
