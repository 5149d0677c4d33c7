"""What statements share: loops, parallel regions, caches; vectors as they are emitted."""

from __future__ import annotations

import numpy as np
import pytest
from tilecast.costmodel.features.footprints import in_strips
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
    facts = StatementFacts("S", (64, columns), 64.0 * columns, {"add": 1}, "f32", False, accesses)
    kinds, lanes = np.array([kind, FOR]), np.ones(2, np.int64)
    free = np.array([[64.0, columns], [1.0, columns], [1.0, 1.0]])
    trips = np.array([64.0, columns])
    return StatementNest(facts, trips, kinds, lanes, np.array(axes), free)


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
    )
    found = in_strips(vectors)
    assert found.trips.tolist() == [64, 4, 7.5]
    assert found.kinds.tolist() == [FOR, FOR, VECTOR]
    assert found.free.tolist() == [[64, 30], [1, 30], [1, 7.5], [1, 1]]
    assert in_strips(whole) is whole


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
