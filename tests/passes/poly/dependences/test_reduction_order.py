"""Reductions that read their target elsewhere: every order that keeps the dependences is right.

Instances run in random orders that respect the pairs of `Dependences.order` and nothing else.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from tilecast import f64, kernel
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.poly import Instance, original_order, run_scop
from tilecast.dialects.schedule import parse_tree
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.poly.dependences.legality import LegalityChecker
from tilecast.passes.poly.extraction.extract_affine import ExtractAffinePass
from tilecast.passes.poly.sets import UnionMap, isl


@kernel
def lu(n: int, A: f64[n, n]) -> None:
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[k, j]
            A[i, j] /= A[j, j]
        for j in range(i, n):
            for k in range(i):
                A[i, j] -= A[i, k] * A[k, j]


@kernel
def cholesky(n: int, A: f64[n, n]) -> None:
    for i in range(n):
        for j in range(i):
            for k in range(j):
                A[i, j] -= A[i, k] * A[j, k]
            A[i, j] /= A[j, j]
        for k in range(i):
            A[i, i] -= A[i, k] * A[i, k]
        A[i, i] = A[i, i] ** 0.5


@kernel
def triangular_product(n: int, A: f64[n, n], B: f64[n, n]) -> None:
    for i in range(n):
        for j in range(n):
            for k in range(i + 1, n):
                B[i, j] += A[k, i] * B[k, j]
            B[i, j] = 2.0 * B[i, j]


@kernel
def triangular_solve(n: int, L: f64[n, n], x: f64[n], b: f64[n]) -> None:
    for i in range(n):
        x[i] = b[i]
        for j in range(i):
            x[i] -= L[i, j] * x[j]
        x[i] = x[i] / L[i, i]


@kernel
def reads_itself(n: int, x: f64[n], A: f64[n, n]) -> None:
    """At j == i the element is doubled: a place in the order of its updates that must stay."""
    for i in range(n):
        for j in range(n):
            x[i] += A[i, j] * x[j]


@kernel
def folding(n: int, t: f64[n, n]) -> None:
    """Four statements whose maxima meet in one element."""
    for i in range(n - 1, -1, -1):
        for j in range(i + 1, n):
            t[i, j] = max(t[i, j], t[i, j - 1])
            t[i, j] = max(t[i, j], t[i + 1, j] - 1.0)
            for k in range(i + 1, j):
                t[i, j] = max(t[i, j], t[i, k] + t[k + 1, j])


@kernel
def largest_and_doubled(n: int, x: f64[n], A: f64[n, n]) -> None:
    """A maximum that an assignment interrupts."""
    for i in range(n):
        for j in range(n):
            x[i] = max(x[i], A[i, j])
        x[i] = max(x[i], 1.5)
        x[i] = x[i] * 2.0
        for j in range(n):
            x[i] = max(x[i], A[j, i])


KERNELS = [
    *(lu, cholesky, triangular_product, triangular_solve, reads_itself),
    *(folding, largest_and_doubled),
]


def scop_of(program: Kernel) -> ScopOp:
    module = program.bind(n=5).module()
    ExtractAffinePass().apply(CompileContext(), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


def arguments_of(scop: ScopOp) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    arrays = []
    for argument in scop.body.block.args:
        array = rng.uniform(1, 2, argument.type.get_shape())  # type: ignore[attr-defined]
        arrays.append(array + 20 * np.eye(5) if array.ndim == 2 else array)
    return arrays


def pairs_of(relation: UnionMap) -> set[tuple[Instance, Instance]]:
    pairs = set()

    def split(one: Any) -> None:
        source = one.get_tuple_name(isl.dim_type.in_)
        sink = one.get_tuple_name(isl.dim_type.out)
        depth = one.dim(isl.dim_type.in_)
        flat = one.wrap().flatten()
        rank = flat.dim(isl.dim_type.set)

        def add(point: Any) -> None:
            coordinates = (point.get_coordinate_val(isl.dim_type.set, d) for d in range(rank))
            values = [v.to_python() for v in coordinates]
            pairs.add(((source, tuple(values[:depth])), (sink, tuple(values[depth:]))))

        flat.foreach_point(add)

    relation.foreach_map(split)
    return pairs


def random_order(
    instances: list[Instance], pairs: set[tuple[Instance, Instance]], rng: random.Random
) -> Iterator[Instance]:
    """A random linear extension of `pairs`."""
    waiting = dict.fromkeys(instances, 0)
    after: dict[Instance, list[Instance]] = {i: [] for i in instances}
    for source, sink in pairs:
        waiting[sink] += 1
        after[source].append(sink)
    ready = [i for i in instances if waiting[i] == 0]
    while ready:
        chosen = ready.pop(rng.randrange(len(ready)))
        yield chosen
        for sink in after[chosen]:
            waiting[sink] -= 1
            if waiting[sink] == 0:
                ready.append(sink)


@pytest.mark.parametrize("program", KERNELS, ids=lambda k: k.name)
def test_every_order_that_keeps_the_pairs_is_right(program: Kernel) -> None:
    scop = scop_of(program)
    assert any(s.reduction is not None for s in scop.statements)
    want = arguments_of(scop)
    run_scop(scop, want)
    dependences = dependences_of(scop)
    pairs, relaxed = pairs_of(dependences.order), pairs_of(dependences.reduction)
    instances = list(original_order(scop))
    reordered = 0
    for seed in range(25):
        order = list(random_order(instances, pairs, random.Random(seed)))
        assert sorted(order) == sorted(instances)
        got = arguments_of(scop)
        run_scop(scop, got, order)
        for one, other in zip(got, want, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12)
        time = {instance: k for k, instance in enumerate(order)}
        reordered += any(time[sink] < time[source] for source, sink in relaxed)
    assert reordered, "no order reassociated anything"


def test_an_update_that_reads_its_element_twice_keeps_its_place() -> None:
    dependences = dependences_of(scop_of(reads_itself))
    relaxed = pairs_of(dependences.reduction)
    twice = {("S0", (i, i)) for i in range(5)}
    assert relaxed
    assert not any(source in twice or sink in twice for source, sink in relaxed)


def test_only_exact_updates_of_several_statements_change_places() -> None:
    """Maxima do; sums of floats keep the order of their statements."""

    @kernel
    def sums(n: int, x: f64[n], A: f64[n, n]) -> None:
        for i in range(n):
            x[i] += 1.0
            for j in range(n):
                x[i] += A[i, j]

    between = {
        program.name: {
            (source[0], sink[0])
            for source, sink in pairs_of(dependences_of(scop_of(program)).reduction)
            if source[0] != sink[0]
        }
        for program in (folding, largest_and_doubled, sums)
    }
    assert between["folding"] == {("S0", "S1"), ("S0", "S2"), ("S1", "S2")}
    assert between["largest_and_doubled"] == {("S0", "S1"), ("S0", "S3"), ("S1", "S3")}
    assert between["sums"] == set()


def test_a_vector_loop_may_not_hold_updates_of_two_statements_apart() -> None:
    """S0 of one lane and S1 of another update one element."""

    @kernel
    def neighbours(n: int, x: f64[2 * n], y: f64[n], z: f64[n]) -> None:
        for i in range(n):
            x[i] = max(x[i], y[i])
            x[i + 1] = max(x[i + 1], z[i])

    scop = scop_of(neighbours)
    leaves = "{ S0 S1 }"
    apart = parse_tree(f"vector(4) v[S0: i0; S1: i0] {leaves}")
    with pytest.raises(IllegalScheduleError, match="update one element"):
        LegalityChecker(scop).check(apart)
    LegalityChecker(scop).check(parse_tree(f"for v[S0: -i0; S1: -i0] {leaves}"))
