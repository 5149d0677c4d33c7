"""Run random schedules of the kernels against their original order, and prove refusals right.

    python -m benchmarks.polybench.check_schedules --legal 2000 --refused 2000

Legal schedules are compiled at MINI size and must give the bits of the original order, reductions
that they reassociate excepted. For refused ones the two named instances must depend on one another
and really be run in the wrong order. Prints what was done; exit status 1 where something failed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing import get_context
from pathlib import Path
from random import Random

import numpy as np
from tilecast.codegen.c import emit_unit
from tilecast.dialects.errors import BrokenDependenceError, IllegalScheduleError, LoweringError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.schedule import Step
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.emission.lower_scop import lower_scop
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp

from .benchmark import BENCHMARKS, Benchmark, Data, load_all
from .build import ORIGINAL_ORDER, PLAIN
from .refusal_proofs import check_refusal
from .schedule_stream import Scheduled, executable, schedules

BATCH = 16
FLAGS = ("-std=c11", "-O1", "-ffp-contract=off", "-fno-math-errno", "-shared", "-fPIC")
REASSOCIATED = 1e-8  # relative error of sums in another order, which some kernels amplify


@dataclass
class Tally:
    """What was done: schedules run, refused, given up, how often which step; what went wrong."""

    legal: int = 0
    exact: int = 0
    refused: int = 0
    proven: int = 0
    not_lowered: Counter[str] = field(default_factory=Counter)
    steps: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add what another kernel had."""
        self.legal += other.legal
        self.exact += other.exact
        self.refused += other.refused
        self.proven += other.proven
        self.not_lowered += other.not_lowered
        self.steps += other.steps
        self.reasons += other.reasons
        self.failures += other.failures


def scop_of(benchmark: Benchmark) -> ScopOp:
    """The kernel at MINI size."""
    module = benchmark.bind("MINI").module()
    load_pass("extract-affine")().apply(CompileContext(machine=PLAIN), module)
    scop = module.body.block.first_op
    assert isinstance(scop, ScopOp)
    scop.detach()
    return scop


def lowered(scop: ScopOp, steps: Sequence[Step], name: str) -> FuncOp:
    """The loops of `scop` under `steps`, in a function called `name`."""
    copy = scop.clone()
    copy.properties["schedule"] = StringAttr("\n".join(map(str, steps)))
    copy.properties["sym_name"] = StringAttr(name)
    return lower_scop(copy, fma=False)


@dataclass
class Library:
    """Compiled variants of one kernel."""

    benchmark: Benchmark
    functions: list[FuncOp]
    folder: Path

    def __post_init__(self) -> None:
        module = ModuleOp(list(self.functions))
        for name in ORIGINAL_ORDER[2:]:
            load_pass(name)().apply(CompileContext(machine=PLAIN), module)
        module.verify()
        source = self.folder / f"{self.functions[0].sym_name.data}.c"
        source.write_text(emit_unit(self.functions, PLAIN))
        command = ["cc", *FLAGS, str(source), "-o", str(source.with_suffix(".so")), "-lm"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[:4000]}")
        self.library = ctypes.CDLL(str(source.with_suffix(".so")))
        self.names = [p.name for p in self.benchmark.bind("MINI").parameters]

    def run(self, func: FuncOp) -> Data:
        """All arguments after a run on fresh data."""
        data = self.benchmark.data("MINI")
        arrays = [np.ascontiguousarray(data[name]) for name in self.names]
        scratch = []
        for arg in list(func.body.block.args)[len(arrays) :]:
            array = np.empty(arg.type.get_shape(), dtype_of(arg.type))  # type: ignore[attr-defined]
            array.fill(np.nan if array.dtype.kind == "f" else 77)
            scratch.append(array)
        pointers = (ctypes.c_void_p(a.ctypes.data) for a in (*arrays, *scratch))
        self.library[func.sym_name.data](*pointers)
        return dict(zip(self.names, arrays, strict=True))


def difference(benchmark: Benchmark, actual: Data, expected: Data, exact: bool) -> str | None:
    """What differs; None where nothing does. With another order of sums, only what is well
    conditioned is compared."""
    if exact:
        different = [n for n in expected if not np.array_equal(actual[n], expected[n], True)]
        return f"other bits in {', '.join(different)}" if different else None
    wanted = benchmark.live_out(expected)
    for name, value in benchmark.live_out(actual).items():
        error = np.abs(value - wanted[name]).max() / np.abs(wanted[name]).max()
        if not error < REASSOCIATED:
            return f"{name} differs by {error:.1e}"
    return None


def run_legal(benchmark: Benchmark, scop: ScopOp, count: int, seed: int, tally: Tally) -> None:
    """Execute `count` random legal schedules."""
    rng = Random(f"legal {benchmark.name} {seed}")
    drawn = (s for s in schedules(scop, rng, 0.0) if s.refusal is None)
    with tempfile.TemporaryDirectory() as folder:
        original = lowered(scop, [], f"{benchmark.kernel.name}_original")
        expected = Library(benchmark, [original], Path(folder)).run(original)
        batch: list[tuple[Scheduled, list[Step], FuncOp]] = []
        done = 0
        for serial, one in enumerate(drawn):
            steps = executable(one, rng)
            try:
                func = lowered(scop, steps, f"{benchmark.kernel.name}_{serial}")
                batch.append((one, steps, func))
                done += 1
            except (IllegalScheduleError, LoweringError) as error:
                tally.not_lowered[str(error)[:60]] += 1
            except Exception as error:
                tally.failures.append(f"{benchmark.name}: {texts(steps)}: {error!r}")
                done += 1
            if len(batch) == BATCH or done == count:
                compare(benchmark, batch, expected, Path(folder), tally)
                batch = []
            if done == count:
                return


def compare(
    benchmark: Benchmark,
    batch: list[tuple[Scheduled, list[Step], FuncOp]],
    expected: Data,
    folder: Path,
    tally: Tally,
) -> None:
    """Compile and run a batch."""
    if not batch:
        return
    library = Library(benchmark, [func for _, _, func in batch], folder)
    for one, steps, func in batch:
        what = difference(benchmark, library.run(func), expected, one.keeps_sums)
        if what is not None:
            tally.failures.append(f"{benchmark.name}: {texts(steps)}: {what}")
        tally.legal += 1
        tally.exact += one.keeps_sums
        tally.steps.update(s.step_name() for s in one.steps)


def prove_refusals(benchmark: Benchmark, scop: ScopOp, count: int, seed: int, tally: Tally) -> None:
    """Check that `count` random illegal schedules are refused for what is so."""
    rng = Random(f"refused {benchmark.name} {seed}")
    drawn = (s for s in schedules(scop, rng, 0.6) if s.refusal is not None)
    for one in islice(drawn, count):
        tally.refused += 1
        tally.reasons[reason(one.refusal)] += 1
        if not isinstance(one.refusal, BrokenDependenceError):
            continue
        try:
            check_refusal(one.scop, one.tree, one.refusal)
            tally.proven += 1
        except AssertionError as error:
            message = f"{benchmark.name}: {texts(one.steps)}: {one.refusal}: not so, {error}"
            tally.failures.append(message)


def reason(error: IllegalScheduleError | None) -> str:
    """The kind of a refusal."""
    kinds = ("a sequence reverses", "reverses", "carries a dependence", "carries a reduction")
    kinds += ("have the same place", "stands inside", "groups of its lanes")
    return next((kind for kind in kinds if kind in str(error)), str(error))


def texts(steps: Sequence[Step]) -> str:
    """Steps on one line."""
    return "; ".join(map(str, steps))


def check_kernel(name: str, legal: int, refused: int, seed: int) -> Tally:
    """All of it for one kernel."""
    benchmark, tally = load_all()[name], Tally()
    scop = scop_of(benchmark)
    if legal:
        run_legal(benchmark, scop, legal, seed, tally)
    if refused:
        prove_refusals(benchmark, scop, refused, seed, tally)
    return tally


def share(total: int, kernels: int, k: int) -> int:
    """The part of `total` that falls to kernel k of `kernels`."""
    return total * (k + 1) // kernels - total * k // kernels


def check_kernels(
    names: Sequence[str], legal: int, refused: int, seed: int = 0, processes: int = 2
) -> Tally:
    """`legal` and `refused` schedules in all, spread over the kernels `names`."""
    tally, n = Tally(), len(names)
    jobs = [(x, share(legal, n, k), share(refused, n, k), seed) for k, x in enumerate(names)]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for result in pool.map(check_kernel, *zip(*jobs, strict=True)):
            tally.add(result)
    return tally


def main() -> int:
    """The command line."""
    load_all()
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kernel", nargs="*", default=sorted(BENCHMARKS))
    parser.add_argument("--legal", type=int, default=60)
    parser.add_argument("--refused", type=int, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    tally = check_kernels(
        options.kernel, options.legal, options.refused, options.seed, options.processes
    )
    print(json.dumps(tally.__dict__, indent=1))
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
