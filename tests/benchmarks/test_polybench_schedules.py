"""PolyBench kernels in tiles, vectors and wavefronts, compiled and compared on every ISA."""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tilecast.codegen.c import emit_unit
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import (
    Band,
    Chain,
    Leaf,
    Node,
    Rearrange,
    bands_of,
    chain,
    compact_text,
    find_band,
)
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences.dependences import Dependences, dependences_of
from tilecast.passes.poly.dependences.legality import check_schedule_is_legal
from tilecast.passes.poly.dependences.vector_legality import check_vector_loops
from tilecast.passes.poly.primitives import original_tree
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import StringAttr

from benchmarks.polybench import load_all
from benchmarks.polybench.benchmark import Benchmark

BENCHMARKS = load_all()
MACHINES = {
    "scalar": Machine("scalar", "scalar"),
    "avx2": Machine("x86-64-v3", "avx2", vector_bytes=32),
    "avx512": Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32),
}
FLAGS = {"scalar": (), "avx2": ("-march=x86-64-v3",), "avx512": ("-march=x86-64-v4",)}
LANES = {"scalar": 4, "avx2": 4, "avx512": 8}
LOOPS = (
    "lower-scop",
    "promote-buffers",
    "eliminate-common-subexpressions",
    "eliminate-dead-values",
)
ISAS = [
    "scalar",
    pytest.param("avx2", marks=pytest.mark.isa("avx2")),
    pytest.param("avx512", marks=pytest.mark.isa("avx512")),
]


def scop_of(benchmark: Benchmark) -> tuple[object, ScopOp]:
    module = benchmark.bind("MINI").module()
    load_pass("extract-affine")().apply(CompileContext(), module)
    (scop,) = module.ops
    assert isinstance(scop, ScopOp)
    return module, scop


def is_legal(tree: Node, scop: ScopOp, dependences: Dependences) -> bool:
    ranks = {s.sym_name.data: s.rank for s in scop.statements}
    try:
        check_schedule_is_legal(tree, dependences, ranks)
        check_vector_loops(tree, scop)
    except IllegalScheduleError:
        return False
    return True


def with_kind(node: Node, axis: str, kind: str, lanes: int = 0) -> Node:
    """`node` with the band `axis` of another kind."""
    match node:
        case Leaf():
            return node
        case Chain(children):
            return chain([with_kind(c, axis, kind, lanes) for c in children])
        case Band():
            if node.axis == axis:
                return replace(node, kind=kind, lanes=lanes)
            return replace(node, body=with_kind(node.body, axis, kind, lanes))


def run(benchmark: Benchmark, tree: Node, isa: str, folder: Path) -> float:
    """The largest relative error of the kernel under `tree`."""
    import ctypes
    import subprocess

    module, scop = scop_of(benchmark)
    context = CompileContext(machine=MACHINES[isa])
    scop.properties["schedule"] = StringAttr(str(Rearrange(compact_text(tree))))
    for name in LOOPS:
        load_pass(name)().apply(context, module)
    module.verify()
    (func,) = module.ops
    source, library = folder / "k.c", folder / f"{isa}{abs(hash(tree))}.so"
    source.write_text(emit_unit([func], context.machine))
    command = ["gcc", "-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-O1", *FLAGS[isa]]
    command += ["-ffp-contract=off", "-fno-math-errno", "-fopenmp", "-shared", "-fPIC"]
    done = subprocess.run(
        [*command, str(source), "-o", str(library), "-lm"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr[:2000]
    actual, expected = benchmark.data("MINI"), benchmark.data("MINI")
    names = [p.name for p in benchmark.bind("MINI").parameters]
    arrays = [np.asarray(actual[n]) for n in names]
    arrays += [np.empty(a.type.get_shape()) for a in list(func.args)[len(names) :]]
    function = ctypes.CDLL(str(library))[func.sym_name.data]
    function.restype = None
    function(*(ctypes.c_void_p(a.ctypes.data) for a in arrays))
    with np.errstate(all="ignore"):
        benchmark.reference(*benchmark.arguments("MINI", expected))
    wanted = benchmark.live_out(expected)
    return max(
        float(np.abs(value - wanted[name]).max() / np.abs(wanted[name]).max())
        for name, value in benchmark.live_out(actual).items()
    )


def check(name: str, tree: Node, isa: str, folder: Path) -> None:
    error = run(BENCHMARKS[name], tree, isa, folder)
    bound = 1e-6 if name == "deriche" else 1e-10  # as in original order: its exp is in f32
    assert error <= bound, compact_text(tree)


def vectorized(name: str, lanes: int) -> Node:
    """The original order with every innermost loop in vectors that can be."""
    _, scop = scop_of(BENCHMARKS[name])
    dependences, tree = dependences_of(scop), original_tree(scop)
    for band in list(bands_of(tree)):
        if next(bands_of(band.body), None) is None:
            candidate = with_kind(tree, band.axis, "vector", lanes)
            tree = candidate if is_legal(candidate, scop, dependences) else tree
    return tree


@pytest.mark.parametrize("isa", ISAS)
@pytest.mark.parametrize("name", ["jacobi-2d", "bicg", "syrk"])
def test_innermost_loops_in_vectors(name: str, isa: str, tmp_path: Path) -> None:
    tree = vectorized(name, LANES[isa])
    assert any(b.kind == "vector" for b in bands_of(tree))
    check(name, tree, isa, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_innermost_loops_of_every_kernel_in_vectors(name: str, tmp_path: Path) -> None:
    for isa in ("scalar", "avx2", "avx512"):
        check(name, vectorized(name, LANES[isa]), isa, tmp_path)


def skewed_and_tiled(node: Node, rng: random.Random, serial: list[int]) -> Node:
    """Loops skewed by outer ones, some of them tiled, two perhaps interchanged."""
    if isinstance(node, Leaf):
        return node
    if isinstance(node, Chain):
        return chain([skewed_and_tiled(c, rng, serial) for c in node.children])
    nest: list[Band] = []
    inside: Node = node
    while isinstance(inside, Band):
        nest.append(inside)
        inside = inside.body
    body = skewed_and_tiled(inside, rng, serial)
    exprs = [dict(b.exprs) for b in nest]
    for k in range(1, len(nest)):
        if rng.random() < 0.4:
            by, factor = exprs[rng.randrange(k)], rng.choice([1, 1, 2, -1])
            exprs[k] = {s: f"({e} + {factor}*({by[s]}))" for s, e in exprs[k].items()}
    first = rng.randrange(len(nest))
    last = rng.randint(first, len(nest) - 1)
    outer: list[tuple[str, dict[str, str]]] = []
    inner: list[tuple[str, dict[str, str]]] = []
    for k, band in enumerate(nest):
        if k < first or k > last:
            (outer if k < first else inner).append((band.axis, exprs[k]))
            continue
        f = rng.choice([2, 3, 4, 5, 8, 16])
        serial[0] += 1
        tiles = {s: f"floor(({e})/{f})" for s, e in exprs[k].items()}
        if rng.random() < 0.5:
            exprs[k] = {s: f"({e}) - {f}*floor(({e})/{f})" for s, e in exprs[k].items()}
        outer.append((f"o{serial[0]}", tiles))
        inner.append((f"i{serial[0]}", exprs[k]))
    order = outer + inner
    if rng.random() < 0.3:
        a, b = rng.randrange(len(order)), rng.randrange(len(order))
        order[a], order[b] = order[b], order[a]
    for axis, values in reversed(order):
        body = Band(axis, tuple(values.items()), body)
    return body


def random_tree(name: str, seed: int, lanes: int) -> Node:
    """A legal tree with tiles, vectors, unrolled and parallel loops."""
    rng = random.Random(f"{name}{seed}")
    _, scop = scop_of(BENCHMARKS[name])
    dependences = dependences_of(scop)
    tree = original_tree(scop)
    for _ in range(6):
        candidate = skewed_and_tiled(original_tree(scop), rng, [0])
        if is_legal(candidate, scop, dependences):
            tree = candidate
            break
    for axis in [b.axis for b in bands_of(tree)]:
        is_innermost = next(bands_of(find_band(tree, axis).body), None) is None
        draw, candidate = rng.random(), tree
        if is_innermost and draw < 0.8:
            candidate = with_kind(tree, axis, "vector", lanes)
        elif draw < 0.2:
            candidate = with_kind(tree, axis, "parallel")
        if candidate is not tree and is_legal(candidate, scop, dependences):
            tree = candidate
    return tree


@pytest.mark.slow
@pytest.mark.parametrize("isa", ["avx512", "scalar"])
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_random_tiles_of_every_kernel(name: str, isa: str, tmp_path: Path) -> None:
    for seed in range(3):
        check(name, random_tree(name, seed, LANES[isa]), isa, tmp_path)
