"""The normal form of an affine map has the same value at every point of its box."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.passes.graph.simplify_map import (
    bounds,
    is_linear,
    is_reshape,
    reshape_map,
    simplify_map,
)
from xdsl.ir.affine import AffineExpr, AffineMap

D0, D1, D2 = (AffineExpr.dimension(d) for d in range(3))


def expressions(depth: int = 3) -> st.SearchStrategy[AffineExpr]:
    leaves = st.one_of(st.sampled_from([D0, D1, D2]), st.integers(-5, 9).map(AffineExpr.constant))
    return st.recursive(
        leaves,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map(lambda pair: pair[0] + pair[1]),
            st.tuples(inner, st.integers(-3, 6)).map(lambda pair: pair[0] * pair[1]),
            st.tuples(inner, st.integers(1, 6)).map(lambda pair: pair[0] // pair[1]),
            st.tuples(inner, st.integers(1, 6)).map(lambda pair: pair[0] % pair[1]),
            st.tuples(inner, st.integers(1, 6)).map(lambda pair: pair[0].ceil_div(pair[1])),
        ),
        max_leaves=6,
    )


@settings(max_examples=300)
@given(expressions(), st.tuples(*[st.integers(1, 5)] * 3))
def test_simplified_expression_has_the_same_values_within_its_bounds(
    expr: AffineExpr, shape: tuple[int, int, int]
) -> None:
    (simple,) = simplify_map(AffineMap(3, 0, (expr,)), shape).results
    low, high = bounds(expr, shape)
    for point in itertools.product(*(range(n) for n in shape)):
        value = expr.eval(point, [])
        assert simple.eval(point, []) == value
        assert low <= value <= high


@settings(max_examples=200)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_reshape_map_keeps_row_major_order(source: list[int], data: st.DataObject) -> None:
    result = data.draw(st.permutations([n for n in source if n > 1]).map(list))
    map = reshape_map(source, result)
    points = itertools.product(*(range(n) for n in result))
    for position, point in enumerate(points):
        index = map.eval(point, [])
        flat = 0
        for i, n in zip(index, source, strict=True):
            assert 0 <= i < n
            flat = flat * n + i
        assert flat == position
    # the normal form is not complete for quotients of quotients
    assert is_reshape(map, source, result) or not is_linear(map)


@pytest.mark.parametrize(
    ("expr", "shape", "expected"),
    [
        (D0 % 4, (4,), D0),
        (D0 // 4, (4,), AffineExpr.constant(0)),
        ((D0 * 4 + D1) // 4, (3, 4), D0),
        ((D0 * 4 + D1) % 4, (3, 4), D1),
        (D0 // 2 * 2 + D0 % 2, (9,), D0),
        (D0 * 3 + D1 - D0 * 3, (2, 5), D1),
        (D0 + 0, (1,), AffineExpr.constant(0)),
    ],
)
def test_known_normal_forms(expr: AffineExpr, shape: tuple[int, ...], expected: AffineExpr) -> None:
    assert simplify_map(AffineMap(len(shape), 0, (expr,)), shape).results == (expected,)


def test_splitting_a_dim_is_linear_and_merging_dims_is_not() -> None:
    assert is_linear(reshape_map([12, 5], [3, 4, 5]))
    assert not is_linear(reshape_map([3, 4, 5], [12, 5]))


def test_a_permutation_is_no_reshape() -> None:
    assert not is_reshape(AffineMap(2, 0, (D1, D0)), [3, 2], [2, 3])
    assert is_reshape(AffineMap(2, 0, (D1, D0)), [3, 1], [1, 3])
