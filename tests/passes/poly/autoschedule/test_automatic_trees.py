"""The loop trees of some kernels, and that those of all kernels are legal."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.schedule import Band, bands_of, compact_text, tree_text
from tilecast.passes.poly.autoschedule import isl_scheduler
from tilecast.passes.poly.autoschedule.autoschedule import autoschedule
from tilecast.passes.poly.autoschedule.candidate import base_tree, candidate
from tilecast.passes.poly.autoschedule.choice import BASES, Choice
from tilecast.passes.poly.autoschedule.defaults import default_choice
from tilecast.passes.poly.autoschedule.nest import ScheduledScop
from tilecast.passes.poly.autoschedule.peel import peeled
from tilecast.passes.poly.autoschedule.time_tiles import TimeTile
from tilecast.passes.poly.dependences.legality import LegalityChecker
from tilecast.passes.poly.dependences.vector_legality import check_vector_loops
from tilecast.passes.poly.scheduled import apply_schedule

Polybench = Callable[..., ScheduledScop]
MACHINE = Machine("avx2", "avx2", vector_bytes=32, cores=2)
KERNELS = (
    *("2mm", "3mm", "adi", "atax", "bicg", "cholesky", "correlation", "covariance", "deriche"),
    *("doitgen", "durbin", "fdtd-2d", "floyd-warshall", "gemm", "gemver", "gesummv"),
    *("gramschmidt", "heat-3d", "jacobi-1d", "jacobi-2d", "lu", "ludcmp", "mvt", "nussinov"),
    *("seidel-2d", "symm", "syr2k", "syrk", "trisolv", "trmm"),
)
TOO_LARGE_FOR_ISL = ("adi", "heat-3d", "ludcmp")  # within its time limit


def tree_of(scheduled: ScheduledScop, choice: Choice) -> str:
    (step,) = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, choice)
    return tree_text(apply_schedule(scheduled.scop, [step])[1])


def test_gemm_is_distributed_and_tiled(polybench: Polybench) -> None:
    choice = Choice(base="distributed", tile=32, vector_tile=512)
    assert tree_of(polybench("gemm", "MEDIUM"), choice) == (
        "parallel S0.i0  [S0: i0]\n"
        "  vector S0.i1  [S0: i1]\n"
        "    S0\n"
        "parallel S1.i0_o  [S1: floor((i0)/32)]\n"
        "  for S1.i1_o  [S1: floor((i1)/32)]\n"
        "    for S1.i2_o  [S1: floor((i2)/512)]\n"
        "      for S1.i0  [S1: i0]\n"
        "        for S1.i1  [S1: i1]\n"
        "          vector S1.i2  [S1: i2]\n"
        "            S1\n"
    )


def test_gramschmidt_walks_columns_in_blocks(polybench: Polybench) -> None:
    """Both products of a step do, so that vectors start at multiples of their length."""
    scheduled = polybench("gramschmidt", "SMALL")
    steps = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2)
    tree = tree_text(apply_schedule(scheduled.scop, steps)[1])
    assert tree.partition("  for S5.i1_c")[2] == (
        "  [S5: floor((i1)/32), S6: floor((i1)/32)]\n"
        "    for S5.i2_b  [S5: floor((i2)/4)]\n"
        "      vector S5.i1  [S5: i1]\n"
        "        unroll S5.i2_u  [S5: (i2) - 4*floor((i2)/4)]\n"
        "          S5\n"
        "    for S6.i2_b  [S6: floor((i2)/4)]\n"
        "      vector S6.i1  [S6: i1]\n"
        "        unroll S6.i2_u  [S6: (i2) - 4*floor((i2)/4)]\n"
        "          S6\n"
    )


def test_jacobi_2d_has_diamonds_of_whole_rows(polybench: Polybench) -> None:
    choice = Choice(time_tile=TimeTile("diamond", (32, 32)))
    assert tree_of(polybench("jacobi-2d"), choice) == (
        "for S0.i0_w  [S0: floor((2*(i0) + (i1))/32) + floor((2*(i0) - (i1))/32), "
        "S1: floor((2*(i0) + (i1) + 1)/32) + floor((2*(i0) - (i1) + 1)/32)]\n"
        "  parallel S0.i0_p  "
        "[S0: floor((2*(i0) - (i1))/32), S1: floor((2*(i0) - (i1) + 1)/32)]\n"
        "    for S0.i0  [S0: i0, S1: i0]\n"
        "      for S0.i1  [S0: i1]\n"
        "        vector S0.i2  [S0: i2]\n"
        "          S0\n"
        "      for S1.i1  [S1: i1]\n"
        "        vector S1.i2  [S1: i2]\n"
        "          S1\n"
    )


def test_scans_of_rows_run_in_lanes_with_their_scalars_expanded(polybench: Polybench) -> None:
    """Strips of one vector of rows, threads across strips; along columns whole rows."""
    scheduled = polybench("deriche", "LARGE")
    choice = Choice(base="distributed", expand=True)
    *expansions, last = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, choice)
    assert "expand(xm1, 2)" in map(str, expansions)
    text = str(last)
    assert "parallel S14.i0_s[S14: floor((i0)/8);" in text
    assert "vector(8) S14.i0[" in text
    assert "vector(8) S31.i0[" in text
    assert "S31.i0_s" not in text


def test_isl_fuses_lu(polybench: Polybench) -> None:
    choice = Choice(base="isl-max", vectors=False, parallel=False)
    assert tree_of(polybench("lu"), choice) == (
        "for c0  [S0: i0, S1: i0, S2: i0]\n"
        "  for c1  [S0: i1, S1: 1 + i1, S2: i1]\n"
        "    for c2  [S0: i2, S1: i1, S2: i2]\n"
        "      S1\n"
        "      S0\n"
        "      S2\n"
    )


def test_nussinov_pushes_complete_elements_along_rows(polybench: Polybench) -> None:
    """The loop over k shares that of j, and the former j has the lanes: rows instead of columns."""
    tree = tree_of(polybench("nussinov"), Choice(base="distributed"))
    assert tree.endswith(
        "  for S0.i1_1  [S0: i1, S4: i2]\n    S0\n    vector S4.i2  [S4: i1]\n      S4\n"
    )


def test_reversed_rows_have_lanes(polybench: Polybench) -> None:
    tree = tree_of(polybench("durbin"), Choice(base="distributed"))
    assert "vector S5.i1  [S5: i1]\n" in tree
    assert "vector S7.i1  [S7: i1]\n" in tree


def check(scop: ScopOp, steps: list[object]) -> None:
    """Legality by the checker that candidates of a search go through."""
    rewritten, tree = apply_schedule(scop, steps)  # type: ignore[arg-type]
    LegalityChecker(rewritten).check(tree)
    check_vector_loops(tree, rewritten)


@pytest.mark.parametrize("name", KERNELS)
def test_the_machines_choice_is_legal(polybench: Polybench, name: str) -> None:
    scheduled = polybench(name)
    check(scheduled.scop, [*autoschedule(scheduled.scop, MACHINE, 2)])


@pytest.mark.slow
@pytest.mark.parametrize(("name", "base"), list(product(KERNELS, BASES)))
def test_plain_choices_are_legal(polybench: Polybench, name: str, base: str) -> None:
    scheduled = polybench(name, "MINI")
    by_isl = base.startswith("isl")
    for choice in (
        Choice(base=base, tile=8, vector_tile=16, peel=not by_isl, jam=2),  # type: ignore[arg-type]
        Choice(base=base, outer_parallel=by_isl),  # type: ignore[arg-type]
    ):
        try:
            steps = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, choice)
        except IllegalScheduleError:
            if base.startswith("isl") and name in TOO_LARGE_FOR_ISL:
                continue
            raise
        check(scheduled.scop, [*steps])


@pytest.mark.parametrize("name", ["jacobi-2d", "heat-3d", "fdtd-2d", "seidel-2d"])
def test_stencils_get_time_tiles_at_full_size(polybench: Polybench, name: str) -> None:
    choice = default_choice(polybench(name, "LARGE"), MACHINE, 2)
    assert choice.time_tile is not None


def test_what_cannot_be_tiled_in_time_is_refused(polybench: Polybench) -> None:
    scheduled = polybench("gemm")
    choice = Choice(time_tile=TimeTile("diamond", (8, 8)))
    with pytest.raises(IllegalScheduleError, match="no loop can be tiled in time"):
        candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, choice)


def test_small_kernels_stay_on_one_thread(polybench: Polybench) -> None:
    scheduled = polybench("gemm", "MINI")
    (step,) = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, Choice())
    tree = apply_schedule(scheduled.scop, [step])[1]
    assert all(band.kind != "parallel" for band in bands_of(tree))


def test_triangular_recurrences_keep_their_order(polybench: Polybench) -> None:
    """The innermost loop of trisolv is a reduction: lanes, but no threads."""
    scheduled = polybench("trisolv", "LARGE")
    (step,) = candidate(scheduled.scop, scheduled.dependences, MACHINE, 2, Choice())
    tree = apply_schedule(scheduled.scop, [step])[1]
    kinds = {band.axis: band.kind for band in bands_of(tree)}
    assert kinds == {"S0.i0": "for", "S1.i1": "vector"}


def test_distribution_sorts_by_dependence(polybench: Polybench) -> None:
    """The pieces of floyd-warshall in the innermost loop come in any order; row k and column k are
    written after those who read their old values, and before the others."""
    scheduled = polybench("floyd-warshall")
    scop, steps = peeled(scheduled)
    assert len(steps) == 8
    tree = apply_schedule(scheduled.scop, [*steps, *autoschedule(scop, MACHINE, 2, "distributed")])[
        1
    ]
    assert isinstance(tree, Band)
    vectors = [b for b in bands_of(tree) if b.kind == "vector"]
    assert len(vectors) == 6


def test_isl_is_stopped_when_it_takes_too_long(
    polybench: Polybench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(isl_scheduler, "SECONDS", 0.001)
    with pytest.raises(IllegalScheduleError, match="no schedule in 0"):
        base_tree(polybench("gemm"), Choice(base="isl-max"))


def test_what_isl_says_is_passed_on() -> None:
    problem = {"options": {}, "domains": ["{ S[i] : "], "validity": []}
    with pytest.raises(IllegalScheduleError, match="isl's scheduler"):
        isl_scheduler.computed_schedule(problem)


def test_the_text_of_a_candidate_is_one_line(polybench: Polybench) -> None:
    scheduled = polybench("gemm")
    (step,) = candidate(scheduled.scop, scheduled.dependences, MACHINE, 1, Choice())
    tree = apply_schedule(scheduled.scop, [step])[1]
    assert str(step) == f"rearrange({compact_text(tree)})"


def test_rows_of_a_stencil_are_jammed_four_at_a_time(polybench: Polybench) -> None:
    tree = tree_of(polybench("jacobi-2d"), Choice(jam=4))
    assert (
        "  for S0.i1_b  [S0: floor((i1)/4)]\n"
        "    vector S0.i2  [S0: i2]\n"
        "      unroll S0.i1_u  [S0: (i1) - 4*floor((i1)/4)]\n"
        "        S0\n"
    ) in tree


def test_copies_of_a_recurrence_are_skewed_until_they_are_independent(
    polybench: Polybench,
) -> None:
    """Row i of seidel-2d needs row i - 1 up to the next column: two columns behind is enough."""
    tree = tree_of(polybench("seidel-2d"), Choice(jam=4))
    assert "for S0.i2  [S0: i2 + 2*((i1) - 8*floor((i1)/8))]" in tree


def test_independent_recurrences_are_jammed_as_they_are(polybench: Polybench) -> None:
    tree = tree_of(polybench("adi"), Choice(base="distributed", jam=4))
    assert "for S3.i2  [S3: i2, S4: i2]\n      unroll S3.i1_u" in tree
