"""What statements share: loops, parallel regions, caches; vectors as they are emitted."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tilecast.costmodel.features.footprints import broken, footprints, stacked
from tilecast.costmodel.features.hardware import Hardware
from tilecast.costmodel.features.nests import (
    KINDS,
    Access,
    ScheduledProgram,
    StatementFacts,
    StatementNest,
    Term,
)
from tilecast.costmodel.features.program import program_features
from tilecast.costmodel.features.reuse import surroundings
from tilecast.costmodel.features.statement import STATEMENT_NAMES
from tilecast.costmodel.hardware import Machine
from tilecast.costmodel.speeds import estimated_speeds

MACHINE = Machine("x86-64-v4", "avx512", (), 64, 32, 2, 32 << 10, 1 << 20, 16 << 20)
HARDWARE = Hardware(MACHINE, estimated_speeds(MACHINE))
FOR, PARALLEL, VECTOR = (KINDS.index(k) for k in ("for", "parallel", "vector"))


def access(array: int, columns: int, is_write: bool = False) -> Access:
    """array[i, j] of floats."""
    indices = ((Term((1, 0)),), (Term((0, 1)),))
    return Access(array, is_write, False, 4, (64, columns), indices, (columns, 1), (0, 0))


def nest(written: int, read: int, axes: tuple[int, ...], columns: int, kind=FOR) -> StatementNest:
    """written[i, j] = read[i, j] in a loop over i and one over j."""
    accesses = (access(written, columns, is_write=True), access(read, columns))
    count = 64.0 * columns
    facts = StatementFacts("S", (64, columns), count, {"add": 1}, "f32", False, accesses, (4.0,))
    kinds, lanes = np.array([kind, FOR]), np.ones(2, np.int64)
    free = np.array([[64.0, columns], [1.0, columns], [1.0, 1.0]])
    trips = np.array([64.0, columns])
    return StatementNest(facts, trips, kinds, lanes, np.array(axes), free, np.ones(2))


def column(program: ScheduledProgram, name: str) -> list[float]:
    """A feature of each statement."""
    [rows] = program_features([program], HARDWARE)[1]
    return rows[:, STATEMENT_NAMES.index(name)].tolist()


def test_long_vector_loops_are_loops_over_vectors():
    whole = nest(0, 1, (0, 1), 30)
    vectors = StatementNest(
        whole.facts,
        whole.trips,
        np.array([FOR, VECTOR]),
        np.array([1, 8]),
        whole.axes,
        whole.free,
        whole.largest,
    )
    found = stacked([vectors, whole])
    assert found.trips[:, :3].tolist() == [[64, 4, 7.5], [64, 30, 1]]
    assert found.kinds[:, :3].tolist() == [[FOR, FOR, VECTOR], [FOR, FOR, FOR]]
    assert found.lanes[0, :3].tolist() == [1, 1, 8]
    assert found.free[0, :5].tolist() == [[64, 30], [1, 30], [1, 7.5], [1, 1], [1, 1]]
    assert found.free[1, :4].tolist() == [[64, 30], [1, 30], [1, 1], [1, 1]]


def test_statements_find_what_others_touched_in_a_loop_that_both_are_in():
    apart = (nest(1, 0, (0, 1), 8), nest(2, 1, (2, 3), 8))
    fused = (nest(1, 0, (0, 1), 8), nest(2, 1, (0, 2), 8))
    found = [surroundings(ScheduledProgram(nests, 1)) for nests in (apart, fused)]
    assert [around.shared for around in found[0]] == [(-1, -1), (0, -1)]
    assert [around.shared for around in found[1]] == [(-1, -1), (1, -1)]


@pytest.mark.parametrize(("columns", "fetches"), [(8, False), (1 << 17, True)])
def test_a_program_that_fits_into_a_cache_fetches_nothing_from_behind_it(columns, fetches):
    program = ScheduledProgram((nest(1, 0, (0, 1), columns),), 1)
    assert (column(program, "seconds_memory")[0] > 0) == fetches


def test_rows_of_a_fused_loop_stay_in_the_cache():
    columns = 1 << 17
    apart = (nest(1, 0, (0, 1), columns), nest(2, 1, (2, 3), columns))
    fused = (nest(1, 0, (0, 1), columns), nest(2, 1, (0, 2), columns))
    of_second = [column(ScheduledProgram(n, 1), "seconds_memory")[1] for n in (apart, fused)]
    assert of_second[1] == pytest.approx(of_second[0] / 2)  # but for what is written


def test_a_parallel_region_counts_once():
    alone = ScheduledProgram((nest(1, 0, (0, 1), 8, PARALLEL),), 2)
    both = (nest(1, 0, (0, 1), 8, PARALLEL), nest(2, 1, (0, 2), 8, PARALLEL))
    regions = column(ScheduledProgram(both, 2), "seconds_regions")
    assert sum(regions) == pytest.approx(column(alone, "seconds_regions")[0])


def test_a_sum_that_another_statement_touches_in_its_loop_goes_through_memory():
    """s[i] += a[i, j], beside a statement that reads s or none that does."""
    row = Access(0, True, False, 4, (64,), ((Term((1, 0)),),), (1,), (0,))
    facts = StatementFacts(
        "S", (64, 64), 4096.0, {"add": 1}, "f32", True, (row, row, access(1, 64)), (4.0, 4.0)
    )
    reduction = nest(0, 1, (0, 1), 64)
    reduction = replace(reduction, facts=facts)
    reader, other = nest(2, 0, (0, 1), 64), nest(3, 2, (0, 1), 64)
    seconds = [
        column(ScheduledProgram((reduction, beside), 1), "seconds_arithmetic")[0]
        for beside in (reader, other)
    ]
    assert seconds[0] > 3 * seconds[1]


def test_rows_a_page_apart_cost_more_than_others_where_they_are_read_again():
    """b[j] = a[i, j] by columns: 64 rows of 1024 floats are in one set of the cache."""

    def by_columns(columns: int) -> StatementNest:
        rows = nest(1, 0, (0, 1), columns)
        free = np.array([[64.0, columns], [64.0, 1.0], [1.0, 1.0]])
        trips = np.array([columns, 64.0])
        return replace(rows, trips=trips, free=free)

    conflicts = [
        column(ScheduledProgram((by_columns(n),), 1), "seconds_conflicts")[0] for n in (1024, 1040)
    ]
    assert conflicts[0] > 0 == conflicts[1]


def test_loops_that_skip_values_cost_what_they_run_through():
    full = nest(1, 0, (0, 1), 8)
    skipping = replace(full, trips=np.array([6400.0, 8.0]))
    idle = [column(ScheduledProgram((n,), 1), "seconds_idle")[0] for n in (full, skipping)]
    assert idle[1] > 0 == idle[0]


def test_a_statement_with_one_instance_in_a_loop_stands_beside_it():
    """s[i] = 0 before s[i] += a[i, j] in one loop over i and j: the sum stays in a register."""
    row = Access(0, True, False, 4, (64,), ((Term((1, 0)),),), (1,), (0,))
    facts = StatementFacts(
        "S", (64, 64), 4096.0, {"add": 1}, "f32", True, (row, row, access(1, 64)), (4.0, 4.0)
    )
    reduction = replace(nest(0, 1, (0, 1), 64), facts=facts)
    every = nest(0, 2, (0, 1), 64)
    once = replace(every, trips=np.array([64.0, 1.0]))
    watched = [
        column(ScheduledProgram((reduction, beside), 1), "watched")[0] for beside in (once, every)
    ]
    assert watched == [0.0, 1.0]


def test_regions_in_a_parallel_loop_are_entered_in_each_iteration():
    inner = nest(0, 1, (0, 1), 64, kind=PARALLEL)
    both = replace(inner, kinds=np.array([PARALLEL, PARALLEL]))
    regions = [column(ScheduledProgram((n,), 2), "seconds_regions")[0] for n in (inner, both)]
    assert np.isclose(regions[1], 65 * regions[0])


def test_a_thread_with_the_longest_iterations_is_waited_for():
    """Two threads, four tiles of 20 rows and a last one of 4 rows or four of 16."""
    even = nest(0, 1, (0, 1), 64, kind=PARALLEL)
    free = np.array([[64.0, 64.0], [16.0, 64.0], [16.0, 1.0]])
    even = replace(even, trips=np.array([4.0, 1024.0]), free=free)
    uneven = replace(even, largest=np.array([1.25, 1.0]))
    balance = [column(ScheduledProgram((n,), 2), "parallel_balance")[0] for n in (even, uneven)]
    assert balance == [1.0, 0.8]


def test_short_rows_share_lines():
    """64 rows of 4 floats are 16 lines where they follow each other, 64 where they do not."""
    sizes = [64.0, 4.0]
    free = np.array([[sizes]])
    found = []
    for stride in (4, 1024):
        indices = ((Term((1, 0)),), (Term((0, 1)),))
        array = Access(0, False, False, 4, (64, stride), indices, (stride, 1), (0, 0))
        found.append(footprints((array,), free).line_bytes[0, 0, 0] / 64)
    assert found == [16.0, 64.0]


def test_lanes_of_a_quotient_alone_are_gathered():
    """a[j / 2] repeats each element; a[j / 16, j mod 16] is a row of 16."""
    repeated = Access(0, False, False, 4, (32,), ((Term((1,), 2),),), (1,), (0,))
    packed_terms = ((Term((1,), 16),), (Term((1,), 1, 16),))
    packed = Access(1, False, False, 4, (4, 16), packed_terms, (16, 1), (0, 0))
    found = broken((repeated, packed), np.array([[1.0]]), np.array([16.0]))
    assert found.tolist() == [[True, False]]
