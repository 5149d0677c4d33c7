"""Scheduled scops as data: counts that fit together, and footprints of a product of matrices."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest
from tilecast.compiler.target import resolve_target
from tilecast.costmodel.features.footprints import DEPTH, footprints, stacked, strides
from tilecast.costmodel.features.hardware import Hardware
from tilecast.costmodel.features.nests import KINDS
from tilecast.costmodel.features.program import PROGRAM_NAMES, ROOFLINE, program_features
from tilecast.costmodel.speeds import estimated_speeds
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import parse_steps
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.cost.describe import ScopDescriber
from tilecast.passes.poly.search import StepSpace
from tilecast.passes.registry import load_pass
from xdsl.parser import Parser

PRODUCT = """
func.func @mm(%a: memref<32x64xf32>, %b: memref<64x48xf32>, %c: memref<32x48xf32>) {
  affine.for %i = 0 to 32 { affine.for %j = 0 to 48 { affine.for %k = 0 to 64 {
    %x = affine.load %a[%i, %k] : memref<32x64xf32>
    %y = affine.load %b[%k, %j] : memref<64x48xf32>
    %z = affine.load %c[%i, %j] : memref<32x48xf32>
    %p = arith.mulf %x, %y : f32
    %s = arith.addf %z, %p : f32
    affine.store %s, %c[%i, %j] : memref<32x48xf32>
  } } }
  func.return
}
"""
MACHINE = resolve_target("zen4")
HARDWARE = Hardware(MACHINE, estimated_speeds(MACHINE))


@pytest.fixture(scope="module")
def scop() -> ScopOp:
    context = CompileContext()
    module = Parser(context, PRODUCT).parse_module()
    load_pass("extract-affine")().apply(context, module)
    [found] = [op for op in module.ops if isinstance(op, ScopOp)]
    return found


def axes(scop: ScopOp) -> list[str]:
    from tilecast.dialects.schedule import bands_of
    from tilecast.passes.poly.primitives import original_tree

    return [b.axis for b in bands_of(original_tree(scop))]


def test_the_original_order_has_the_loops_of_the_program(scop):
    [nest] = ScopDescriber(scop, 1)(()).nests
    assert nest.trips.tolist() == [32, 48, 64]
    assert nest.facts.operations == {"mul": 1, "add": 1}
    assert nest.facts.element == "f32"
    assert nest.facts.is_reduction


def test_footprints_of_a_tile_are_its_elements(scop):
    i, j, k = axes(scop)
    steps = parse_steps(f"split({i}, 8, io, ii)\nsplit({j}, 16, jo, ji)\nreorder(io+jo+{k}+ii+ji)")
    [nest] = ScopDescriber(scop, 1)(steps).nests
    assert nest.trips.tolist() == [4, 3, 64, 8, 16]
    loops = stacked([nest])
    touched = footprints(nest.facts.accesses, loops.free).elements[0]
    by_array = {a.array: touched[:, n] for n, a in enumerate(nest.facts.accesses)}
    assert by_array[0][:4].tolist() == [32 * 64, 8 * 64, 8 * 64, 8]
    assert by_array[1][:4].tolist() == [64 * 48, 64 * 48, 64 * 16, 16]
    assert by_array[2][:4].tolist() == [32 * 48, 8 * 48, 8 * 16, 8 * 16]
    moved = strides(nest.facts.accesses, loops.steps)[0, 4]
    assert sorted(moved.tolist()) == [0, 1, 1, 1]


def test_schedules_by_chance_keep_the_number_of_instances(scop):
    space, rng = StepSpace(scop, 16), Random(0)
    describe = ScopDescriber(scop, 2)
    programs = [describe(space.steps(space.sample(rng))) for _ in range(25)]
    for program in programs:
        for nest in program.nests:
            ratio = nest.trips.prod() / nest.facts.instances
            assert 0.2 < ratio < 5, program.steps  # partial blocks of up to 4 count as whole ones
    features, _ = program_features(programs, HARDWARE)
    assert features.shape == (25, len(PROGRAM_NAMES))
    assert np.isfinite(features).all()


def test_features_do_not_depend_on_what_else_is_in_the_batch(scop):
    space, rng = StepSpace(scop, 16), Random(1)
    describe = ScopDescriber(scop, 2)
    programs = [describe(space.steps(space.sample(rng))) for _ in range(6)]
    whole, _ = program_features(programs, HARDWARE)
    alone = [program_features([p], HARDWARE)[0][0] for p in programs]
    assert whole == pytest.approx(np.array(alone))


def test_the_roofline_prefers_vectors_and_tiles(scop):
    i, j, k = axes(scop)
    describe = ScopDescriber(scop, 1)
    texts = ["", f"reorder({i}+{k}+{j})\nvectorize({j}, 16)"]
    programs = [describe(parse_steps(t)) for t in texts]
    plain, vectors = program_features(programs, HARDWARE)[0]
    assert vectors[ROOFLINE] < plain[ROOFLINE]


def test_deep_nests_keep_their_innermost_loops(scop):
    i, _, k = axes(scop)
    lines = [f"split({i}, 16, i1, r1)"]
    lines += [f"split(r{n}, {16 >> n}, i{n + 1}, r{n + 1})" for n in range(1, 4)]
    lines += [f"split({k}, 32, k1, q1)"]
    lines += [f"split(q{n}, {32 >> n}, k{n + 1}, q{n + 1})" for n in range(1, 5)]
    [nest] = ScopDescriber(scop, 1)(parse_steps("\n".join(lines))).nests
    assert len(nest.trips) > 10
    loops = stacked([nest, nest])
    assert loops.trips.shape == (2, DEPTH)
    assert loops.trips[0].prod() == pytest.approx(nest.trips.prod())
    assert KINDS[0] == "for"
