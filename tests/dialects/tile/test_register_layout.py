"""The algebra of register layouts: laws on random layouts, and the layouts of the papers."""

from __future__ import annotations

from itertools import pairwise
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tilecast.dialects.tile.layout_text import parse_layout, print_layout
from tilecast.dialects.tile.register_layout import (
    LayoutError,
    RegisterLayout,
    column_local,
    column_spatial,
    local,
    replicate,
    spatial,
)


@st.composite
def layouts(draw: st.DrawFn, rank: int = 2, most: int = 4) -> RegisterLayout:
    """Any layout of up to `most` modes, copies included, products of primitives or not."""
    sizes = draw(st.lists(st.sampled_from([2, 3, 4, 6]), max_size=most))
    cuts = sorted(draw(st.lists(st.integers(0, len(sizes)), min_size=rank - 1, max_size=rank - 1)))
    bounds = [0, *cuts, len(sizes)]
    shape = tuple(prod(sizes[a:b]) for a, b in pairwise(bounds))
    order = draw(st.permutations(range(len(sizes))))
    dealt = draw(st.integers(0, len(sizes)))
    threads = list(order[:dealt])
    for copies in draw(st.lists(st.sampled_from([2, 3]), max_size=1)):
        threads.insert(draw(st.integers(0, len(threads))), -copies)
    return RegisterLayout(shape, tuple(sizes), tuple(threads), tuple(order[dealt:]))


def product_table(f: RegisterLayout, g: RegisterLayout) -> np.ndarray:
    """The product as its definition says."""
    t, i = np.arange(f.threads * g.threads), np.arange(f.locals * g.locals)
    outer = f.table()[t // g.threads][:, i // g.locals]
    return outer * np.array(g.shape) + g.table()[t % g.threads][:, i % g.locals]


def check_laws(f: RegisterLayout, g: RegisterLayout, h: RegisterLayout) -> None:
    fg = f * g
    np.testing.assert_array_equal(fg.table(), product_table(f, g))
    assert (fg * h).is_same_as(f * (g * h))
    assert (fg / g) == f.canonical
    assert fg.quotient(g) is not None
    assert parse_layout(print_layout(f)) == f.canonical
    np.testing.assert_array_equal(f.canonical.table(), f.table())
    equal_tables = f.table().shape == g.table().shape and np.array_equal(f.table(), g.table())
    assert (f.is_same_as(g)) == (equal_tables and f.shape == g.shape)
    quotient = f.quotient(g)
    if quotient is not None:
        assert (quotient * g).is_same_as(f)


@given(layouts(), layouts(), layouts())
@settings(max_examples=100)
def test_products_and_quotients_obey_their_laws(
    f: RegisterLayout, g: RegisterLayout, h: RegisterLayout
) -> None:
    check_laws(f, g, h)


@pytest.mark.slow
@given(layouts(), layouts(), layouts())
@settings(max_examples=10_000)
def test_laws_on_ten_thousand_layouts(
    f: RegisterLayout, g: RegisterLayout, h: RegisterLayout
) -> None:
    check_laws(f, g, h)


@given(layouts(most=3), layouts(most=3))
@settings(max_examples=200)
def test_equality_is_equality_of_functions(f: RegisterLayout, g: RegisterLayout) -> None:
    same = f.shape == g.shape and np.array_equal(f.table(), g.table())
    assert (f.canonical == g.canonical) == same


@given(layouts(rank=3), st.permutations(range(3)))
@settings(max_examples=100)
def test_permuted_dims_keep_registers(f: RegisterLayout, dims: list[int]) -> None:
    np.testing.assert_array_equal(f.permute(dims).table(), f.table()[..., dims])


@given(layouts())
@settings(max_examples=100)
def test_reduced_layouts_hold_what_threads_held(f: RegisterLayout) -> None:
    reduced = f.reduce(1)
    assert reduced.threads == f.threads
    for t in range(f.threads):
        rows = {int(r) for r in f.table()[t, :, 0]}
        assert {int(r) for r in reduced.table()[t, :, 0]} == rows


def test_brute_force_agrees_with_the_quotient() -> None:
    """Every pair of small products of primitives: divisible exactly where a quotient exists."""
    makers = (local, spatial, column_local, column_spatial)
    parts = [make(*s) for make in makers for s in ((1, 2), (2, 1), (2, 2))]
    tables = {}
    for a in parts:
        for b in parts:
            tables[str(a * b)] = a * b
    for whole in tables.values():
        for inner in parts:
            exists = any((outer * inner).is_same_as(whole) for outer in parts)
            assert whole.is_divisible_by(inner) >= exists
            if not exists and whole.is_divisible_by(inner):
                assert ((whole / inner) * inner).is_same_as(whole)


def test_the_operand_of_a_tensor_core() -> None:
    tile = local(2, 1).spatial(8, 4).local(1, 2)
    assert (tile.shape, tile.threads, tile.locals) == ((16, 8), 32, 4)
    # thread 5, register 3: row 1 + 8, column 2 * 1 + 1
    assert tile.table()[5, 3].tolist() == [9, 3]
    assert tile / local(1, 2) == local(2, 1).spatial(8, 4)
    assert local(2, 4) / local(1, 2) == local(2, 2)
    assert str(tile) == "local(2,1).spatial(8,4).local(1,2)"


def test_groups_of_a_dim_are_reduced() -> None:
    operand = local(1, 2).spatial(8, 4).local(1, 2)
    assert operand.reduce(1, 8).is_same_as(local(1, 2).spatial(8, 1) * replicate(4, 2))
    assert operand.reduce(1).is_same_as(spatial(8, 1) * replicate(4, 2))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("local(2,1).spatal(8,4)", "expected one of"),
        ("local(2,1) spatial(8,4)", "expected '.'"),
        ("local(2,1).spatial(8)", "factors of one rank"),
        ("local(0,1)", "positive extents"),
        ("modes(4,4; 4,4; 0,0; 1)", "every mode once"),
        ("modes(4,4; 4,2; 0; 1)", "do not multiply"),
    ],
)
def test_wrong_text_says_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(LayoutError, match=message):
        parse_layout(text)


def test_what_does_not_divide_says_so() -> None:
    with pytest.raises(LayoutError, match="not divisible"):
        local(4, 4) / spatial(2, 2)
