"""Schedule steps as text: what prints parses back, anything else is refused."""

from __future__ import annotations

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import (
    STEPS,
    Band,
    Chain,
    Distribute,
    Fuse,
    Leaf,
    Parallelize,
    Reorder,
    Split,
    Step,
    Unroll,
    Vectorize,
    chain,
    find_band,
    parse_step,
    statements_of,
    tree_text,
)

EXAMPLES: list[tuple[Step, str]] = [
    (Split("S0.i0", 16, "io", "ii"), "split(S0.i0, 16, io, ii)"),
    (Reorder(("a", "b", "c")), "reorder(a+b+c)"),
    (Reorder(("a",)), "reorder(a)"),
    (Fuse(("S0.i0", "S1.i0"), "x"), "fuse(S0.i0+S1.i0, x)"),
    (Distribute("x"), "distribute(x)"),
    (Parallelize("x"), "parallelize(x)"),
    (Unroll("x"), "unroll(x)"),
    (Vectorize("x", 8), "vectorize(x, 8)"),
]


@pytest.mark.parametrize(("step", "text"), EXAMPLES, ids=[t for _, t in EXAMPLES])
def test_a_step_prints_and_parses_back(step: Step, text: str) -> None:
    assert str(step) == text
    assert parse_step(text) == step
    assert hash(parse_step(text)) == hash(step)


def test_every_step_has_an_example() -> None:
    assert {type(step) for step, _ in EXAMPLES} == set(STEPS.values())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a schedule step"),
        ("split", "expected a schedule step"),
        ("skew(i, j)", "steps are split, reorder"),
        ("split(i, 16)", "split takes 4 arguments, found 2"),
        ("unroll(i, j)", "unroll takes 1 arguments, found 2"),
        ("split(i, 0, a, b)", "expected a positive integer, found '0'"),
        ("split(i, -2, a, b)", "expected a positive integer, found '-2'"),
        ("split(i, x, a, b)", "expected a positive integer, found 'x'"),
        ("vectorize(i, 2.5)", "expected a positive integer, found '2.5'"),
        ("unroll(i) unroll(j)", "expected a loop name, found 'i) unroll(j'"),
        ("unroll()", "expected a loop name, found ''"),
        ("fuse(a++b, x)", "expected a loop name, found ''"),
        ("split(i, ², a, b)", "expected a positive integer"),
    ],
)
def test_bad_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(IllegalScheduleError) as error:
        parse_step(text)
    assert reason in str(error.value)


TREE = Chain(
    (
        Band("i", (("S0", "i0"), ("S1", "i0")), Chain((Leaf("S0"), Leaf("S1"))), "parallel"),
        Leaf("S2"),
    )
)


def test_statements_are_listed_in_tree_order() -> None:
    assert statements_of(TREE) == ["S0", "S1", "S2"]


def test_nested_chains_are_flattened() -> None:
    assert chain([Leaf("a"), Chain((Leaf("b"), Leaf("c")))]) == Chain(
        (Leaf("a"), Leaf("b"), Leaf("c"))
    )
    assert chain([Leaf("a")]) == Leaf("a")


def test_an_unknown_loop_is_named_with_the_known_ones() -> None:
    with pytest.raises(IllegalScheduleError, match="'k'; the loops are i"):
        find_band(TREE, "k")


def test_the_picture_of_a_tree_is_indented() -> None:
    assert tree_text(TREE) == "parallel i  [S0: i0, S1: i0]\n  S0\n  S1\nS2\n"
