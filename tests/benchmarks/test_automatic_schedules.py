"""Automatic schedules of PolyBench kernels, compiled and compared with NumPy."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError
from tilecast.dialects.poly import ScopOp
from tilecast.passes.poly.autoschedule.candidate import candidate
from tilecast.passes.poly.autoschedule.choice import Choice
from tilecast.passes.poly.autoschedule.time_tiles import TimeTile
from tilecast.passes.poly.dependences.dependences import dependences_of
from tilecast.passes.registry import load_pass
from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.passes import ModulePass

from benchmarks.polybench import load_all
from benchmarks.polybench.build import ORIGINAL_ORDER, build

BENCHMARKS = load_all()
MACHINE = Machine("x86-64-v3", "avx2", vector_bytes=32, cores=2)
FLAGS = ("-O1", "-ffp-contract=off", "-fno-math-errno", "-march=x86-64-v3", "-fopenmp")
CHOSEN: list[Choice] = []


@dataclass(frozen=True)
class ChosenPass(ModulePass):
    """Schedule by the choice under test, for two threads."""

    name = "chosen-schedule"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in op.ops:
            assert isinstance(scop, ScopOp)
            steps = candidate(scop, dependences_of(scop), MACHINE, 2, CHOSEN[-1])
            scop.properties["schedule"] = StringAttr("\n".join(map(str, steps)))


def load_chosen_pass(name: str) -> type[ModulePass]:
    """`load_pass` that knows the pass of this file too."""
    return ChosenPass if name == ChosenPass.name else load_pass(name)


def check(
    monkeypatch: pytest.MonkeyPatch, name: str, dataset: str, choice: Choice, folder: Path
) -> None:
    """Compile, run, compare."""
    passes = ("extract-affine", ChosenPass.name, *ORIGINAL_ORDER[1:])
    monkeypatch.setattr("benchmarks.polybench.build.load_pass", load_chosen_pass)
    CHOSEN.append(choice)
    benchmark = BENCHMARKS[name]
    native = build(benchmark, dataset, folder, FLAGS, passes, MACHINE)
    actual, expected = benchmark.data(dataset), benchmark.data(dataset)
    native(actual)
    with np.errstate(all="ignore"):
        benchmark.reference(*benchmark.arguments(dataset, expected))
    bound = 1e-6 if name == "deriche" else 1e-9  # sums in lanes; durbin and gramschmidt amplify
    for array, wanted in benchmark.live_out(expected).items():
        error = np.abs(benchmark.live_out(actual)[array] - wanted).max()
        assert error <= bound * np.abs(wanted).max(), array


@pytest.mark.isa("avx2")
@pytest.mark.isa("fma")
@pytest.mark.parametrize(
    ("name", "choice"),
    [
        ("jacobi-2d", Choice(time_tile=TimeTile("diamond", (8, 8)))),
        ("jacobi-2d", Choice(time_tile=TimeTile("leaning", (4, 8, 8)))),
        ("fdtd-2d", Choice(time_tile=TimeTile("diamond", (8, 6)))),
        ("heat-3d", Choice(time_tile=TimeTile("diamond", (6, 6, 5)))),
        ("seidel-2d", Choice(time_tile=TimeTile("leaning", (3, 7)))),
        ("floyd-warshall", Choice(base="distributed", peel=True)),
        ("gemver", Choice(base="isl-max", tile=4, vector_tile=8)),
        ("lu", Choice(base="isl-none", tile=4, vector_tile=8)),
    ],
    ids=str,
)
def test_choices_keep_the_result(
    monkeypatch: pytest.MonkeyPatch, name: str, choice: Choice, tmp_path: Path
) -> None:
    check(monkeypatch, name, "MINI", choice, tmp_path)


@pytest.mark.slow
@pytest.mark.isa("avx2")
@pytest.mark.isa("fma")
@pytest.mark.parametrize("name", sorted(BENCHMARKS))
def test_every_kernel_keeps_its_result(
    monkeypatch: pytest.MonkeyPatch, name: str, tmp_path: Path
) -> None:
    for number, choice in enumerate(
        (
            Choice(base="original"),
            Choice(base="distributed", expand=True, peel=True, tile=8, vector_tile=16),
            Choice(base="isl-max", tile=8, vector_tile=16),
            Choice(base="isl-none", outer_parallel=True),
        )
    ):
        try:
            check(monkeypatch, name, "SMALL", choice, tmp_path / str(number))
        except IllegalScheduleError:
            if not (choice.base.startswith("isl") and name in ("adi", "heat-3d", "ludcmp")):
                raise
