"""What each step makes of a loop tree, text to text; which trees it refuses."""

from __future__ import annotations

import pytest
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.schedule import compact_text, parse_step, parse_tree
from tilecast.passes.poly.primitives import apply_step

NEST = "for t[S: i0] { for i[S: i1] { for j[S: i2] { S } } }"
PAIR = "for i[S: i0; T: i0] { S T }"
IMPERFECT = "for i[S: i0; T: i0; U: i0] { S for j[T: i1] { T } U }"
FUSED = "for t[S: i0; T: i0] { for i[S: i1; T: i1 + 1] { S T } }"


@pytest.mark.parametrize(
    ("before", "step", "after"),
    [
        pytest.param(
            "for i[S: i0] { S }",
            "split(i, 4, io, ii)",
            "for io[S: floor((i0)/4)] { for ii[S: (i0) - 4*floor((i0)/4)] { S } }",
            id="split",
        ),
        pytest.param(
            NEST,
            "tile(i+j, 8+16)",
            "for t[S: i0] { for i_o[S: floor((i1)/8)] { for j_o[S: floor((i2)/16)] { "
            "for i_i[S: (i1) - 8*floor((i1)/8)] { for j_i[S: (i2) - 16*floor((i2)/16)] { "
            "S } } } } }",
            id="tile",
        ),
        pytest.param(
            NEST,
            "tile(j+t, 2+3)",
            "for j_o[S: floor((i2)/2)] { for t_o[S: floor((i0)/3)] { "
            "for t_i[S: (i0) - 3*floor((i0)/3)] { for i[S: i1] { "
            "for j_i[S: (i2) - 2*floor((i2)/2)] { S } } } } }",
            id="tile_in_another_order_around_a_loop_in_between",
        ),
        pytest.param(
            NEST,
            "reorder(j+t)",
            "for j[S: i2] { for i[S: i1] { for t[S: i0] { S } } }",
            id="reorder_around_a_loop_in_between",
        ),
        pytest.param(
            "for i[S: i0] { S } parallel j[T: i0] { T } parallel k[U: i0] { U }",
            "fuse(j+k, x)",
            "for i[S: i0] { S } parallel x[T: i0; U: i0] { T U }",
            id="fuse_keeps_how_loops_are_run",
        ),
        pytest.param(
            "vector(8) i[S: i0; T: i0] { S T }",
            "distribute(i)",
            "vector(8) i_0[S: i0] { S } vector(8) i_1[T: i0] { T }",
            id="distribute_keeps_how_loops_are_run",
        ),
        pytest.param(
            IMPERFECT,
            "distribute(i)",
            "for i_0[S: i0] { S } for i_1[T: i0] { for j[T: i1] { T } } for i_2[U: i0] { U }",
            id="distribute",
        ),
        pytest.param(
            FUSED,
            "skew(i, t, 2)",
            "for t[S: i0; T: i0] { for i[S: i1 + 2*i0; T: i1 + 1 + 2*i0] { S T } }",
            id="skew",
        ),
        pytest.param(
            FUSED,
            "skew(t, i, -1)",
            "for t[S: i0 - i1; T: i0 + (-(i1 + 1))] { for i[S: i1; T: i1 + 1] { S T } }",
            id="skew_an_outer_loop",
        ),
        pytest.param(
            PAIR, "shift(i, T, -3)", "for i[S: i0; T: i0 - 3] { S T }", id="shift_back"
        ),
        pytest.param(FUSED, "reverse(i)", FUSED.replace("S: i1; T: i1 + 1", "S: -i1; T: -(i1 + 1)"),
                     id="reverse"),
        pytest.param(PAIR, "parallelize(i)", PAIR.replace("for", "parallel"), id="parallelize"),
        pytest.param(PAIR, "unroll(i)", PAIR.replace("for", "unroll"), id="unroll"),
        pytest.param(PAIR, "vectorize(i, 8)", PAIR.replace("for", "vector(8)"), id="vectorize"),
        pytest.param(PAIR, "bind(i, thread.x)", PAIR.replace("for", "thread.x"), id="bind"),
        pytest.param(
            NEST,
            "unroll_and_jam(t, 2)",
            "for t_o[S: floor((i0)/2)] { for i[S: i1] { for j[S: i2] { "
            "unroll t_u[S: (i0) - 2*floor((i0)/2)] { S } } } }",
            id="unroll_and_jam",
        ),
        pytest.param(
            NEST.replace("for j", "vector(4) j"),
            "unroll_and_jam(i, 2)",
            "for t[S: i0] { for i_o[S: floor((i1)/2)] { unroll i_u[S: (i1) - 2*floor((i1)/2)] { "
            "vector(4) j[S: i2] { S } } } }",
            id="unroll_and_jam_stays_outside_of_vectors",
        ),
        pytest.param(
            "for i[S: i0; T: i0; U: i0; V: i0] { S T for j[U: i1] { U } V }",
            "unroll_and_jam(i, 2)",
            "for i_o[S: floor((i0)/2); T: floor((i0)/2); U: floor((i0)/2); V: floor((i0)/2)] { "
            "unroll i_u0[S: (i0) - 2*floor((i0)/2); T: (i0) - 2*floor((i0)/2)] { S T } "
            "for j[U: i1] { unroll i_u1[U: (i0) - 2*floor((i0)/2)] { U } } "
            "unroll i_u2[V: (i0) - 2*floor((i0)/2)] { V } }",
            id="unroll_and_jam_of_an_imperfect_nest",
        ),
        pytest.param(
            PAIR,
            "unroll_and_jam(i, 2)",
            "for i_o[S: floor((i0)/2); T: floor((i0)/2)] { "
            "unroll i_u[S: (i0) - 2*floor((i0)/2); T: (i0) - 2*floor((i0)/2)] { S T } }",
            id="unroll_and_jam_of_an_innermost_loop_unrolls",
        ),
        pytest.param(
            PAIR,
            "rearrange(for x[T: 2*i0 mod 3] { T } parallel y[S: -i0] { S })",
            "for x[T: 2*i0 mod 3] { T } parallel y[S: -i0] { S }",
            id="rearrange",
        ),
    ],
)  # fmt: skip
def test_a_step_makes_this_tree(before: str, step: str, after: str) -> None:
    tree = apply_step(parse_tree(before), parse_step(step))
    assert compact_text(tree) == after
    assert parse_tree(after) == tree


@pytest.mark.parametrize(
    ("before", "step", "reason"),
    [
        (PAIR, "split(i, 2, x, x)", "called 'x' already"),
        (PAIR, "split(j, 2, x, y)", "no loop is called 'j'; the loops are i"),
        (NEST, "tile(i+j, 8)", r"2 loops \(i, j\) but 1 factors"),
        (NEST, "tile(i+i, 8+8)", "named twice"),
        (NEST.replace("for i", "unroll i"), "tile(t+i, 2+2)", "tile: loop 'i' is unroll already"),
        (NEST.replace("for j", "for t_i"), "tile(t+i, 2+2)", "called 't_i' already"),
        (IMPERFECT, "tile(i+j, 2+2)", "not perfectly nested"),
        (IMPERFECT, "reorder(j+i)", "reorder: loops j, i are not perfectly nested"),
        (NEST, "reorder(t+t)", "named twice"),
        ("for i[S: i0] { S } unroll j[T: i0] { T }", "fuse(i+j, x)",
         r"in different ways \(i is for, j is unroll\)"),
        ("for i[S: i0] { S } for j[T: i0] { T }", "skew(i, j, 1)", "'j' is not around 'i'"),
        (IMPERFECT, "skew(i, j, 1)", "'j' is not around 'i', nor inside it around all"),
        (PAIR, "skew(i, i, 1)", "'i' is not around 'i'"),
        (PAIR.replace("for", "vector(4)"), "skew(i, i, 1)", "skew: loop 'i' is vector already"),
        (PAIR, "shift(i, U, 1)", "statement 'U' is not in loop 'i'; there are S, T"),
        (PAIR.replace("for", "parallel"), "shift(i, S, 1)", "shift: loop 'i' is parallel already"),
        (PAIR.replace("for", "unroll"), "reverse(i)", "reverse: loop 'i' is unroll already"),
        (PAIR.replace("for", "unroll"), "unroll_and_jam(i, 2)", "is unroll already"),
        (NEST.replace("for j", "for t_u"), "unroll_and_jam(t, 2)", "called 't_u' already"),
        (PAIR, "bind(i, warp)", "expected one of block.x, .* for loop 'i', found 'warp'"),
        (PAIR.replace("for", "block.x"), "bind(i, thread.x)", "loop 'i' is block.x already"),
        (PAIR, "rearrange(S)", "missing statements: T"),
        (PAIR, "rearrange(S T S)", "statements with several leaves: S"),
        (PAIR, "rearrange(S T U)", "each of S, T must have one leaf; unknown statements: U"),
        (PAIR, "rearrange(for i[S: i0] { S T })", "around S, T but gives values for S"),
        (PAIR, "rearrange(for i[S: i0; S: i0] { S } T)", "gives values for S, S"),
        (PAIR, "rearrange(for i[S: i0] { for i[S: i1] { S } } T)", "called 'i' already"),
        (PAIR, "rearrange(for i[S: x] { S } T)", "'i' for S, found 'x'"),
        (PAIR, "rearrange(vector(0) i[S: i0] { S } T)", "vector loop 'i' has no lanes"),
    ],
)  # fmt: skip
def test_a_step_that_does_not_apply_says_why(before: str, step: str, reason: str) -> None:
    with pytest.raises(IllegalScheduleError, match=reason):
        apply_step(parse_tree(before), parse_step(step))
