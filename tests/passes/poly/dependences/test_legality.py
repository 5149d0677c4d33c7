"""Illegal schedules are refused by name; whatever is accepted computes the same bits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from tilecast.dialects.errors import BrokenDependenceError, IllegalScheduleError, LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import (
    Band,
    Chain,
    Distribute,
    Fuse,
    Node,
    Parallelize,
    Reorder,
    Split,
    Step,
    Unroll,
    Vectorize,
    bands_of,
)
from tilecast.passes.poly.primitives import apply_step, original_tree
from xdsl.dialects.func import FuncOp

Check = Callable[..., FuncOp]


def shifted_pair(scop_text: Any) -> ScopOp:
    """t = 2 x ; y[i] = t[i + 1]: the consumer is one iteration ahead."""
    s = scop_text(x="in 8xf32", y="out 7xf32", t="local 8xf32")
    s.statement("8", "t[i0]", "x[i0]", "double")
    s.statement("7", "y[i0]", "t[i0 + 1]", "copy")
    return s.scop()


def recurrence(scop_text: Any) -> ScopOp:
    """y[i, j] = y[i - 1, j + 1] + x[i, j]: neither loop order may be exchanged."""
    s = scop_text(x="in 6x6xf32", y="out 6x6xf32")
    s.statement("6 x 6", "y[i0, i1]", "x[i0, i1]", "copy")
    s.statement(
        "{ [i0, i1] : 1 <= i0 < 6 and 0 <= i1 < 5 }",
        "y[i0, i1]",
        "y[i0 - 1, i1 + 1]; x[i0, i1]",
        "add",
    )
    return s.scop()


def prefix_sums(scop_text: Any) -> ScopOp:
    """y[i] = y[i - 1] + x[i]."""
    s = scop_text(x="in 9xf32", y="out 9xf32")
    s.statement("1", "y[0]", "x[0]", "copy")
    s.statement("{ [i0] : 1 <= i0 < 9 }", "y[i0]", "y[i0 - 1]; x[i0]", "add")
    return s.scop()


def sums_and_use(scop_text: Any) -> ScopOp:
    """s[i] = sum_k x[i, k] ; y[i, j] = s[i] + x[i, j] over 3 x 5."""
    s = scop_text(x="in 3x5xf32", y="out 3x5xf32", s="local 3xf32")
    s.statement("3", "s[i0]", "", "zero")
    s.statement("3 x 5", "s[i0]", "s[i0]; x[i0, i1]", "add", "add")
    s.statement("3 x 5", "y[i0, i1]", "s[i0]; x[i0, i1]", "add")
    return s.scop()


def folded_sums(scop_text: Any) -> ScopOp:
    """p[k mod 4] += x[k] over 13: four interleaved accumulators."""
    s = scop_text(x="in 13xf32", p="out 4xf32")
    s.statement("4", "p[i0]", "", "zero")
    s.statement("13", "p[i0 mod 4]", "p[i0 mod 4]; x[i0]", "add", "add")
    return s.scop()


def product(scop_text: Any) -> ScopOp:
    """d = 2 a b for 3 x 4 by 4 x 5."""
    s = scop_text(a="in 3x4xf32", b="in 4x5xf32", d="out 3x5xf32", c="local 3x5xf32")
    s.statement("3 x 5", "c[i0, i1]", "", "zero")
    s.statement("3 x 5 x 4", "c[i0, i1]", "c[i0, i1]; a[i0, i2]; b[i2, i1]", "multiply_add", "add")
    s.statement("3 x 5", "d[i0, i1]", "c[i0, i1]", "double")
    return s.scop()


def transposed_use(scop_text: Any) -> ScopOp:
    """t = 2 x ; y[i, j] = t[j, i] + x[i, j] over 4 x 4."""
    s = scop_text(x="in 4x4xf32", y="out 4x4xf32", t="local 4x4xf32")
    s.statement("4 x 4", "t[i0, i1]", "x[i0, i1]", "double")
    s.statement("4 x 4", "y[i0, i1]", "t[i1, i0]; x[i0, i1]", "add")
    return s.scop()


def overwritten(scop_text: Any) -> ScopOp:
    """One temporary is used twice: t = 2 x ; y = t ; t = x + y ; z = t."""
    s = scop_text(x="in 5xf32", y="out 5xf32", z="out 5xf32", t="local 5xf32")
    s.statement("5", "t[i0]", "x[i0]", "double")
    s.statement("5", "y[i0]", "t[i0]", "copy")
    s.statement("5", "t[i0]", "x[i0]; y[i0]", "add")
    s.statement("5", "z[i0]", "t[i0]", "copy")
    return s.scop()


def triangle(scop_text: Any) -> ScopOp:
    """y[i, j] = x[j, i] where j <= i, over zeros."""
    s = scop_text(x="in 5x5xf32", y="out 5x5xf32")
    s.statement("5 x 5", "y[i0, i1]", "", "zero")
    s.statement("{ [i0, i1] : 0 <= i1 <= i0 < 5 }", "y[i0, i1]", "x[i1, i0]", "copy")
    return s.scop()


SCOPS = [
    shifted_pair, recurrence, prefix_sums, sums_and_use, folded_sums, product, transposed_use,
    overwritten, triangle,
]  # fmt: skip


@pytest.mark.parametrize(
    ("make", "steps", "reason"),
    [
        pytest.param(
            shifted_pair,
            [Fuse(("S0.i0", "S1.i0"), "x")],
            r"loop 'x' reverses a dependence: S1\[\d\] must run after S0\[\d\], "
            r"but the loop runs it at \d, before \d; shift or skew the loop",
            id="fusing_a_consumer_that_is_ahead",
        ),
        pytest.param(
            recurrence,
            [Reorder(("S1.i1", "S1.i0"))],
            r"loop 'S1\.i1' reverses a dependence: S1\[\d, \d\] must run after S1\[\d, \d\]",
            id="reordering_a_skewed_recurrence",
        ),
        pytest.param(
            prefix_sums,
            [Split("S1.i0", 3, "o", "i"), Reorder(("i", "o"))],
            r"loop 'i' reverses a dependence: S1\[\d\] must run after S1\[\d\]",
            id="reordering_strips_of_a_recurrence",
        ),
        pytest.param(
            prefix_sums,
            [Parallelize("S1.i0")],
            r"loop 'S1\.i0' carries a dependence, so it cannot be parallel: S1\[\d\] must",
            id="parallel_recurrence",
        ),
        pytest.param(
            recurrence,
            [Split("S1.i0", 8, "o", "l"), Vectorize("l", 8)],
            r"loop 'l' carries a dependence, so it cannot be vector: S1\[\d, \d\] must",
            id="vector_recurrence",
        ),
        pytest.param(
            sums_and_use,
            [Parallelize("S1.i1")],
            r"loop 'S1\.i1' carries a reduction, so it cannot be parallel: S1.* update one element",
            id="parallel_reduction",
        ),
        pytest.param(
            sums_and_use,
            [
                Fuse(("S0.i0", "S1.i0", "S2.i0"), "i"),
                Fuse(("S1.i1", "S2.i1"), "x"),
            ],
            r"loop 'x' reverses a dependence: S2\[\d, \d\] must run after S1",
            id="reading_a_sum_before_it_is_complete",
        ),
        pytest.param(
            sums_and_use,
            [
                Fuse(("S0.i0", "S1.i0", "S2.i0"), "i"),
                Split("S1.i1", 4, "o", "k"),
                Reorder(("k", "o")),
                Fuse(("k", "S2.i1"), "x"),
            ],
            r"loop 'x' reverses a dependence: S2\[\d, \d\] must run after S1",
            id="reading_a_reordered_sum_before_it_is_complete",
        ),
        pytest.param(
            transposed_use,
            [Fuse(("S0.i0", "S1.i0"), "x")],
            r"loop 'x' reverses a dependence: S1\[\d, \d\] must run after S0\[\d, \d\]",
            id="fusing_a_transposed_consumer",
        ),
        pytest.param(
            folded_sums,
            [Split("S1.i0", 8, "o", "l"), Vectorize("l", 8)],
            "vector loop 'l' reduces groups of its lanes of S1 into different elements",
            id="vector_longer_than_the_accumulators",
        ),
    ],
)
def test_illegal_schedules_are_refused(
    check: Check, scop_text: Any, make: Any, steps: list[Step], reason: str
) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        check(make(scop_text), *steps)


def test_a_reason_has_the_instances_of_the_broken_dependence(check: Check, scop_text: Any) -> None:
    with pytest.raises(BrokenDependenceError) as caught:
        check(shifted_pair(scop_text), Fuse(("S0.i0", "S1.i0"), "x"))
    (source, (written,)), (sink, (reader,)) = caught.value.source, caught.value.sink
    assert (source, sink, caught.value.axis) == ("S0", "S1", "x")
    assert written == reader + 1
    assert f"S1[{reader}] must run after S0[{written}]" in str(caught.value)


@pytest.mark.parametrize(
    ("make", "steps"),
    [
        (folded_sums, [Split("S1.i0", 4, "o", "l"), Vectorize("l", 4)]),
        (sums_and_use, [Split("S1.i1", 4, "o", "l"), Reorder(("l", "o"))]),
        (sums_and_use, [Fuse(("S0.i0", "S1.i0", "S2.i0"), "i"), Parallelize("i")]),
        (overwritten, [Fuse(("S0.i0", "S1.i0", "S2.i0", "S3.i0"), "i")]),
        (recurrence, [Reorder(("S0.i1", "S0.i0")), Vectorize("S1.i1", 8)]),
        (prefix_sums, [Split("S1.i0", 4, "o", "i"), Unroll("i")]),
    ],
)
def test_legal_relatives_of_illegal_schedules_are_accepted(
    check: Check, scop_text: Any, make: Any, steps: list[Step]
) -> None:
    check(make(scop_text), *steps)


def random_step(rng: np.random.Generator, tree: Node, serial: int) -> Step | None:
    """A step on a random loop of `tree`; not always one that applies."""
    bands = list(bands_of(tree))
    band: Band = bands[rng.integers(len(bands))]
    kind = rng.integers(10)
    if kind < 2:
        return Split(band.axis, int(rng.integers(2, 5)), f"o{serial}", f"i{serial}")
    if kind < 4 and isinstance(band.body, Band):
        return Reorder((band.body.axis, band.axis))
    if kind < 7:
        chains = [n for n in nodes(tree) if isinstance(n, Chain)]
        if not chains:
            return None
        children = chains[rng.integers(len(chains))].children
        k = int(rng.integers(len(children) - 1))
        pair = children[k : k + 2]
        if all(isinstance(c, Band) for c in pair):
            return Fuse(tuple(c.axis for c in pair), f"f{serial}")  # type: ignore[union-attr]
        return None
    return [Distribute(band.axis), Parallelize(band.axis), Unroll(band.axis)][kind - 7]


def nodes(node: Node) -> list[Node]:
    match node:
        case Band():
            return [node, *nodes(node.body)]
        case Chain(children):
            return [node, *(n for c in children for n in nodes(c))]
    return [node]


def random_schedule(rng: np.random.Generator, scop: ScopOp) -> list[Step]:
    """Up to six random steps that apply, the last sometimes a vector loop."""
    tree, steps = original_tree(scop), list[Step]()
    for serial in range(6):
        step = random_step(rng, tree, serial)
        if step is None:
            continue
        try:
            tree = apply_step(tree, step)
        except IllegalScheduleError:
            continue
        steps.append(step)
    plain = [b.axis for b in bands_of(tree) if b.kind == "for"]
    if plain and rng.random() < 0.5:
        steps.append(Vectorize(plain[rng.integers(len(plain))], int(rng.choice([4, 8]))))
    return steps


@pytest.mark.parametrize("make", SCOPS, ids=lambda f: f.__name__)
def test_accepted_schedules_keep_the_result(check: Check, scop_text: Any, make: Any) -> None:
    rng = np.random.default_rng(SCOPS.index(make))
    accepted = refused = 0
    for _ in range(40):
        scop = make(scop_text)
        steps = random_schedule(rng, scop)
        try:
            check(scop, *steps)
            accepted += 1
        except IllegalScheduleError:
            refused += 1
        except LoweringError as error:
            if "differs between lanes" not in str(error):
                raise AssertionError([str(s) for s in steps]) from error
        except AssertionError as error:
            raise AssertionError([str(s) for s in steps]) from error
    assert accepted >= 5
    assert refused >= 1
