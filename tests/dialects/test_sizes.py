"""Sizes do arithmetic like numbers and refuse what would need their value."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tilecast.dialects.errors import SymbolicSizeError
from tilecast.dialects.sizes import Size, Symbol, exact_quotient, lower_bound, upper_bound, value_at

BATCH = Size.symbol(Symbol("batch", 1, 8))
SEQ = Size.symbol(Symbol("seq", 2, 256))


def test_arithmetic_is_canonical() -> None:
    assert BATCH * SEQ + SEQ * BATCH == 2 * (SEQ * BATCH)
    assert (BATCH + 3) - BATCH == 3
    assert BATCH - BATCH == 0
    assert (2 * BATCH * SEQ) // SEQ == 2 * BATCH
    assert (4 * BATCH + 2) // 2 == 2 * BATCH + 1
    assert hash(BATCH + SEQ) == hash(SEQ + BATCH)


def test_a_symbol_is_no_number_although_it_may_have_its_value() -> None:
    assert BATCH != 1
    assert BATCH != SEQ


def test_comparisons_are_decided_by_bounds_or_refused() -> None:
    assert BATCH < 9
    assert BATCH >= 1
    assert not SEQ < 2
    assert BATCH * 32 <= 256
    with pytest.raises(SymbolicSizeError, match="depends on whether batch"):
        assert BATCH < SEQ
    with pytest.raises(SymbolicSizeError):
        range(BATCH)
    with pytest.raises(SymbolicSizeError):
        assert (BATCH - 3) // 2


def test_bounds_of_differences() -> None:
    assert (lower_bound(SEQ - BATCH), upper_bound(SEQ - BATCH)) == (-6, 255)


def test_a_symbol_with_one_value_is_a_number() -> None:
    assert Size.symbol(Symbol("n", 4, 4)) == 4


coefficients = st.lists(st.integers(-5, 5), min_size=4, max_size=4)


@given(coefficients, coefficients, st.integers(1, 8), st.integers(2, 256))
def test_values_and_texts_agree_with_numbers(
    left: list[int], right: list[int], batch: int, seq: int
) -> None:
    values = {"batch": batch, "seq": seq}

    def size(c: list[int], b: int, s: int) -> int:
        return c[0] + c[1] * b + c[2] * s + c[3] * b * s

    x, y = size(left, BATCH, SEQ), size(right, BATCH, SEQ)
    m, n = size(left, batch, seq), size(right, batch, seq)
    for symbolic, number in ((x + y, m + n), (x - y, m - n), (x * y, m * n)):
        assert value_at(symbolic, values) == number
        assert value_at(Size.parse(str(symbolic)), values) == number
        assert lower_bound(symbolic) <= number <= upper_bound(symbolic)
    product = x * BATCH
    assert value_at(exact_quotient(product, BATCH), values) == m


@given(
    st.integers(1, 9), st.integers(0, 9), st.integers(1, 7), st.integers(1, 7), st.integers(2, 256)
)
def test_quotients_agree_with_numbers(
    factor: int, offset: int, first: int, second: int, seq: int
) -> None:
    values = {"seq": seq}
    number, symbolic = factor * seq + offset, factor * SEQ + offset
    once, twice = symbolic // first, (symbolic // first + 1) // second
    assert value_at(once, values) == number // first
    assert value_at(twice, values) == (number // first + 1) // second
    for size in (once, twice, 3 * twice + SEQ, symbolic - first * once):
        assert value_at(Size.parse(str(size)), values) == value_at(size, values)
        assert lower_bound(size) <= value_at(size, values) <= upper_bound(size)
    assert (lower_bound(symbolic - first * once), 0) >= (0, 0)


def test_quotients_have_one_form() -> None:
    assert (SEQ - 2) // 2 + 1 == SEQ // 2
    assert (SEQ + 1) // 2 // 2 == (SEQ + 1) // 4
    assert (6 * SEQ + 3) // 4 == SEQ + (SEQ + 1) // 2
    assert (2 * SEQ + 1) // 4 == SEQ // 2
    assert SEQ - 2 * (SEQ // 2) < 2
