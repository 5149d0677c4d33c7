"""Design spaces of scops: what they propose is legal, different, and repeatable."""

from __future__ import annotations

from random import Random

import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Vectorize, bands_of
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.search import (
    BeamSearch,
    Budget,
    Candidate,
    Result,
    ScopCheck,
    StepSpace,
    scop_space,
    vectorized_original,
)
from tilecast.passes.poly.search.choice_space import ChoiceSpace
from tilecast.passes.registry import load_pass
from xdsl.parser import Parser

MACHINE = Machine("wide", "avx512", vector_bytes=64, vector_registers=32)
PRODUCT = """
func.func @product(%a: memref<40x50xf64>, %b: memref<50x48xf64>, %c: memref<40x48xf64>) {
  affine.for %i = 0 to 40 {
    affine.for %k = 0 to 50 {
      affine.for %j = 0 to 48 {
        %x = affine.load %a[%i, %k] : memref<40x50xf64>
        %y = affine.load %b[%k, %j] : memref<50x48xf64>
        %z = affine.load %c[%i, %j] : memref<40x48xf64>
        %m = arith.mulf %x, %y : f64
        %s = arith.addf %z, %m : f64
        affine.store %s, %c[%i, %j] : memref<40x48xf64>
      }
    }
  }
  func.return
}
"""
STENCIL = """
func.func @relax(%a: memref<9000xf64>) {
  affine.for %t = 0 to 20 {
    affine.for %i = 1 to 8999 {
      %l = affine.load %a[%i - 1] : memref<9000xf64>
      %r = affine.load %a[%i + 1] : memref<9000xf64>
      %s = arith.addf %l, %r : f64
      affine.store %s, %a[%i] : memref<9000xf64>
    }
  }
  func.return
}
"""


def scop_of(text: str) -> ScopOp:
    context = CompileContext()
    module = Parser(context, text).parse_module()
    load_pass("extract-affine")().apply(context, module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    return scop


@pytest.mark.parametrize("text", [PRODUCT, STENCIL], ids=["product", "stencil"])
def test_mutations_of_step_lists_are_legal_and_repeatable(text: str) -> None:
    scop = scop_of(text)
    space, check = StepSpace(scop, 8), ScopCheck(scop)
    walks = []
    for _ in range(2):
        rng, point, walk = Random(1), tuple(space.defaults()[0]), []
        for _ in range(12):
            point = space.mutate(point, rng)
            check(Candidate(point))
            walk.append(Candidate(point).text)
        walks.append(walk)
    assert walks[0] == walks[1]
    assert len(set(walks[0])) > 4


def test_the_original_order_is_vectorized_innermost() -> None:
    scop = scop_of(PRODUCT)
    steps = vectorized_original(scop, MACHINE)
    assert any(isinstance(s, Vectorize) for s in steps)
    tree = ScopCheck(scop).tree_of(Candidate(tuple(steps)))
    assert [b.kind for b in bands_of(tree)][-1] == "vector"
    assert vectorized_original(scop_of(STENCIL), MACHINE) == []
    assert vectorized_original(scop, Machine("plain", "scalar")) == []


def test_choices_vary_time_tiles_of_a_stencil() -> None:
    space = ChoiceSpace(scop_of(STENCIL), MACHINE, 2)
    assert space.default.time_tile is not None
    rng = Random(0)
    seen = {space.mutate(space.default, rng) for _ in range(30)}
    assert len({c.time_tile for c in seen}) > 3
    mixed = space.crossover(space.default, space.sample(rng), rng)
    assert mixed.base in ("original", "distributed", "isl-max", "isl-none")


def test_a_search_over_all_spaces_sees_each_kind_of_schedule() -> None:
    """The cost prefers more steps, so that the search is drawn away from the defaults."""

    class Longest:
        def evaluate(self, candidates: list[Candidate]) -> list[Result]:
            return [Result(1.0 / (1 + len(c.text))) for c in candidates]

    scop = scop_of(PRODUCT)
    space = scop_space(scop, MACHINE, 2)
    report = BeamSearch(width=3, branching=3).search(
        space,
        Longest(),  # type: ignore[arg-type]
        Budget(evaluations=14),
        ScopCheck(scop),
    )
    assert report.evaluated == 14
    assert len(report.best.steps) >= 2
    assert "accumulate" in report.best.text


def test_a_member_without_legal_points_is_not_sampled() -> None:
    space = scop_space(scop_of(STENCIL), MACHINE, 2)
    with pytest.raises(IllegalScheduleError):
        space.steps(("register tiles", space.members["register tiles"].defaults()[0]))
    rng = Random(0)
    assert "register tiles" not in {space.sample(rng)[0] for _ in range(10)}
