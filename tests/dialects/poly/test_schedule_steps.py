"""Schedule steps as text: what prints parses back, anything else is refused."""

from __future__ import annotations

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import (
    STEPS,
    Accumulate,
    Band,
    Bind,
    Chain,
    Distribute,
    Expand,
    Fuse,
    Leaf,
    Merge,
    Pack,
    Pad,
    Parallelize,
    Precompute,
    Rearrange,
    Recompute,
    Reorder,
    Reverse,
    Rfactor,
    Shift,
    Skew,
    Split,
    SplitDomain,
    SplitReduction,
    Step,
    Tile,
    Unroll,
    UnrollAndJam,
    Vectorize,
    chain,
    compact_text,
    find_band,
    parse_step,
    parse_tree,
    statements_of,
    tree_text,
)

ONE_LINE = "for t[S0: i0; S1: floor((i0 + i1)/32)] { vector(8) j[S0: i1] { S0 } S1 }"
EXAMPLES: list[tuple[Step, str]] = [
    (Split("S0.i0", 16, "io", "ii"), "split(S0.i0, 16, io, ii)"),
    (Reorder(("a", "b", "c")), "reorder(a+b+c)"),
    (Reorder(("a",)), "reorder(a)"),
    (Fuse(("S0.i0", "S1.i0"), "x"), "fuse(S0.i0+S1.i0, x)"),
    (Distribute("x"), "distribute(x)"),
    (Parallelize("x"), "parallelize(x)"),
    (Unroll("x"), "unroll(x)"),
    (Vectorize("x", 8), "vectorize(x, 8)"),
    (Tile(("i", "j"), (32, 64)), "tile(i+j, 32+64)"),
    (Skew("i", "t", -2), "skew(i, t, -2)"),
    (Shift("i", "S1", 3), "shift(i, S1, 3)"),
    (Reverse("i"), "reverse(i)"),
    (UnrollAndJam("i", 4), "unroll_and_jam(i, 4)"),
    (Bind("i", "block.x"), "bind(i, block.x)"),
    (Rearrange(ONE_LINE), f"rearrange({ONE_LINE})"),
    (
        SplitDomain("S0", "i0 >= 8*floor(i1/8)", "full"),
        "split_domain(S0, i0 >= 8*floor(i1/8), full)",
    ),
    (Accumulate("S0", 2, 256), "accumulate(S0, 2, 256)"),
    (Pack("S0", 2, 1, 16), "pack(S0, 2, 1, 16)"),
    (Rfactor("S0", 0, 8), "rfactor(S0, 0, 8)"),
    (SplitReduction("S0", 2, 256), "split_reduction(S0, 2, 256)"),
    (Expand("t", 1), "expand(t, 1)"),
    (Recompute("P", "C", (32, 32)), "recompute(P, C, 32+32)"),
    (Merge("S0", "S2"), "merge(S0, S2)"),
    (Precompute("S1", (0, 2)), "precompute(S1, 0+2)"),
    (Pad("t", 1, 8), "pad(t, 1, 8)"),
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
        ("twist(i, j)", "steps are split_domain, merge"),
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


def test_a_tree_prints_on_one_line_and_parses_back() -> None:
    assert compact_text(parse_tree(ONE_LINE)) == ONE_LINE


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a loop or a statement"),
        ("for i[S0: i0] { S0", "expected '}' at the end of loop 'i'"),
        ("for i[S0] { S0 }", "expected STATEMENT: EXPRESSION"),
        ("vector i[S0: i0] { S0 }", "expected a loop kind"),
        ("for i[S0: i0] { S0 } }", "expected the end of the loop tree"),
    ],
)
def test_bad_tree_texts_are_refused(text: str, reason: str) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        parse_tree(text)
