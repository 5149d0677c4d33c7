"""The checker for many trees: the answers of a fresh check, from fewer dependences and memory."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tilecast.dialects.errors import BrokenDependenceError, IllegalScheduleError
from tilecast.dialects.schedule import Node, parse_step, parse_tree
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences import alive_pairs, covered_pairs
from tilecast.passes.poly.dependences.covered_pairs import without_covered_pairs
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.poly.dependences.legality import LegalityChecker, check_schedule_is_legal
from tilecast.passes.poly.extraction.extract_affine import extract_affine
from tilecast.passes.poly.primitives import apply_steps, original_tree
from tilecast.passes.poly.sets import isl
from xdsl.dialects.builtin import DenseArrayBase, i64
from xdsl.dialects.func import FuncOp
from xdsl.parser import Parser


@pytest.fixture
def sweeps(scop_text: Any) -> Any:
    """Two alternating stencils: y = f(x) ; x = f(y), six times."""
    s = scop_text(x="inout 10xf32", y="inout 10xf32")
    inside = "{ [i0, i1] : 0 <= i0 < 6 and 1 <= i1 < 9 }"
    s.statement(inside, "y[i1]", "x[i1 - 1]; x[i1 + 1]", "add")
    s.statement(inside, "x[i1]", "y[i1 - 1]; y[i1 + 1]", "add")
    scop = s.scop()
    for k, statement in enumerate(scop.statements):
        statement.properties["position"] = positions(0, k, 0)
    scop.verify()
    return scop


def positions(*entries: int) -> Any:
    return DenseArrayBase.from_list(i64, entries)


def verdict(check: Any, tree: Node) -> bool:
    try:
        check(tree)
    except IllegalScheduleError:
        return False
    return True


def random_trees(scop: Any, count: int) -> list[Node]:
    """Fused, shifted, skewed and tiled forms of the two stencils, most of them illegal."""
    rng, trees = Random(0), []
    for _ in range(count):
        texts = [
            "fuse(S0.i1+S1.i1, i)",
            f"shift(i, S1, {rng.randint(-1, 3)})",
            f"skew(i, S0.i0, {rng.randint(-1, 4)})",
            rng.choice(["tile(S0.i0+i, 2+3)", "reorder(i+S0.i0)", "reverse(i)"]),
            rng.choice(["parallelize(S0.i0)", "unroll(i)", "fuse(i, j)", "parallelize(i)"]),
        ]
        tree = original_tree(scop)
        for text in texts:
            try:
                tree = apply_steps(tree, [parse_step(text)])
            except IllegalScheduleError:
                continue  # the loop has another name by now
        trees.append(tree)
    return trees


def test_a_checker_agrees_with_fresh_checks_of_all_dependences(sweeps: Any) -> None:
    dependences = dependences_of(sweeps)
    checker, ranks = LegalityChecker(sweeps, dependences), {"S0": 2, "S1": 2}
    trees = random_trees(sweeps, 60)
    verdicts = [verdict(checker.check, tree) for tree in trees]
    fresh = [
        verdict(lambda t: check_schedule_is_legal(t, dependences, ranks), tree) for tree in trees
    ]
    assert verdicts == fresh
    assert {True, False} == set(verdicts)


def test_a_checker_that_forgets_gives_the_same_answers(
    sweeps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    trees = random_trees(sweeps, 20)
    expected = [verdict(LegalityChecker(sweeps).check, tree) for tree in trees]
    monkeypatch.setattr(alive_pairs, "LIMIT", 5)
    checker = LegalityChecker(sweeps)
    assert [verdict(checker.check, tree) for tree in trees] == expected


def successors(pairs: Any) -> dict[str, set[str]]:
    """Each source instance with its sinks, as text."""
    found: dict[str, set[str]] = {}

    def add(point: Any) -> None:
        source, sink = str(point).strip("{ }[]").split(" -> ")
        found.setdefault(source, set()).add(sink + "]")

    pairs.wrap().foreach_point(add)
    return found


def test_covered_pairs_are_dropped_and_implied(sweeps: Any) -> None:
    order = dependences_of(sweeps).order
    sparse = without_covered_pairs(order)
    assert sparse.is_strict_subset(order)
    near = successors(sparse)
    for source, sinks in successors(order).items():
        reached, front = set(), {source}
        while front:
            front = {sink for x in front for sink in near.get(x, ())} - reached
            reached |= front
        assert sinks <= reached


def test_a_chain_of_updates_keeps_its_neighbours() -> None:
    order = isl.UnionMap("{ S[i] -> S[j] : 0 <= i < j < 9 }")
    nearest = isl.UnionMap("{ S[i] -> S[i + 1] : 0 <= i < 8 }")
    assert without_covered_pairs(order).is_equal(nearest)


def test_a_tree_without_one_of_the_statements_is_refused(sweeps: Any) -> None:
    tree = parse_tree("for t[S0: i0] { for i[S0: i1] { S0 } }")
    with pytest.raises(IllegalScheduleError, match=r"one leaf for each of S0, S1 .* found S0"):
        LegalityChecker(sweeps).check(tree)


def test_instances_that_only_remainders_tell_apart_have_their_place(sweeps: Any) -> None:
    tree = original_tree(sweeps)
    texts = ["split(S0.i1, 4, a, b)", "split(a, 3, c, d)", "reverse(b)"]
    LegalityChecker(sweeps).check(apply_steps(tree, map(parse_step, texts)))


def test_where_covered_pairs_are_hard_to_find_all_are_kept(
    sweeps: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = dependences_of(sweeps).order
    monkeypatch.setattr(covered_pairs, "LIMIT", 50)
    assert without_covered_pairs(order).is_equal(order)
    monkeypatch.undo()
    assert not without_covered_pairs(order).is_equal(order)


def test_a_reason_has_the_sizes_of_its_example() -> None:
    text = """
func.func @sums(%x: memref<?xf64>, %n: index) {
  affine.for %i = 1 to %n {
    %a = affine.load %x[%i - 1] : memref<?xf64>
    affine.store %a, %x[%i] : memref<?xf64>
  }
  func.return
}"""
    module = Parser(CompileContext(), text).parse_module()
    func = module.body.block.first_op
    assert isinstance(func, FuncOp)
    scop = extract_affine(func)
    checker = LegalityChecker(scop)
    checker.check(parse_tree("for i[S0: i0 + s0] { S0 }"))
    with pytest.raises(BrokenDependenceError, match=r"\(for s0 = (\d+), s1 = \1\); shift"):
        checker.check(parse_tree("for i[S0: s0 - i0] { S0 }"))
    with pytest.raises(IllegalScheduleError, match=r"same place .*'i'\) \(for s0 = \d+"):
        checker.check(parse_tree("for i[S0: s0] { S0 }"))
