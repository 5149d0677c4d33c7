"""Loops whose iterations wait for each other are told from those that do not."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.features.innermost import recurrences
from tilecast.costmodel.features.nests import Access, StatementFacts, Term


def access(rows: int, columns: int, is_write: bool = False, array: int = 0) -> Access:
    """a[i + rows, j + columns]."""
    indices = ((Term((1, 0)),), (Term((0, 1)),))
    return Access(array, is_write, False, 8, (50, 50), indices, (50, 1), (rows, columns))


def found(read: Access, *step: float, unrolled: float = 1.0) -> float:
    accesses = (access(0, 0, True), read)
    facts = StatementFacts("S", (50, 50), 2500, {"add": 1}, "f64", False, accesses, (4.0,))
    share, cycles = recurrences(facts, np.array([step]), np.array([unrolled]))
    assert cycles[0] == 4.0 * share[0]
    return float(share[0])


@pytest.mark.parametrize(
    ("read", "step", "expected"),
    [
        (access(0, -1), (0, 1), 1.0),  # a[i, j] = a[i, j - 1]: each waits for the one before
        (access(0, -2), (0, 1), 0.5),
        (access(0, -1), (0, 2), 0.0),  # never reads what it wrote
        (access(0, 1), (0, 1), 0.0),  # reads what is written later
        (access(-1, 0), (0, 1), 0.0),  # that row was written by another loop
        (access(-1, -1), (1, 1), 1.0),  # along a diagonal
        (access(-1, -2), (1, 1), 0.0),
        (access(0, 0), (0, 1), 0.0),
        (access(0, -1, array=1), (0, 1), 0.0),
    ],
)
def test_what_an_iteration_waits_for(read, step, expected):
    assert found(read, *step) == expected


def test_unrolled_instances_wait_for_each_other():
    assert found(access(0, -1), 0, 4, unrolled=4.0) == 1.0  # along the unrolled dim
    assert found(access(0, -1), 0, 1, unrolled=4.0) == 0.25  # four rows side by side


@pytest.mark.parametrize(("near", "far", "expected"), [(5.0, 30.0, 7.5), (8.0, 30.0, 8.0)])
def test_the_longest_wait_counts(near: float, far: float, expected: float) -> None:
    """a[i, j] = f(a[i, j - 1], a[i, j - 4]): `near` cycles every time, or `far` every fourth."""
    accesses = (access(0, 0, True), access(0, -1), access(0, -4))
    facts = StatementFacts("S", (50, 50), 2500, {}, "f64", False, accesses, (near, far))
    share, cycles = recurrences(facts, np.array([(0.0, 1.0)]), np.array([1.0]))
    assert (share[0], cycles[0]) == (1.0, expected)
