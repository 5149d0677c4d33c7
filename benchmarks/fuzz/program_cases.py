"""Affine programs under schedules, many in one C file, compared bit for bit with Python.

A case is the program of a seed (some of its nodes), and a schedule as text or where it comes from:
"random" (legal ones, drawn from the seed) or "auto" (tilecast's own choice, vectors and threads).
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import re
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import numpy.typing as npt
from tilecast.codegen.c import emit_unit
from tilecast.compiler.frontend.kernel_language import Kernel
from tilecast.compiler.kernels.inputs import last_place_changed
from tilecast.compiler.kernels.lowering import LoweredKernel
from tilecast.compiler.kernels.program import KernelProgram, load_program
from tilecast.compiler.kernels.verify import farthest
from tilecast.compiler.target import architecture_flags, resolve_target
from tilecast.compiler.verify.compare import compare
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import IllegalScheduleError, TilecastError
from tilecast.dialects.poly import ScopOp
from tilecast.dialects.reference.loop_arithmetic import dtype_of
from tilecast.dialects.schedule import Rfactor, parse_steps
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.dependences.legality import LegalityChecker
from tilecast.passes.poly.extraction.extract_affine import extract_affine
from tilecast.passes.poly.scheduled import apply_schedule
from tilecast.passes.registry import load_pass
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp

from ..conformance.batch import time_limit, without_collection
from ..polybench.build import ORIGINAL_ORDER, PLAIN
from ..polybench.check_schedules import FLAGS, lowered
from ..polybench.schedule_stream import executable, schedules
from .random_program import RandomProgram

RANDOM_SCHEDULES = 2  # of each program
SECONDS = 60  # for lowering one program under its schedules
THREADS = 2
LONGEST_SUM = 4000
VERIFIED = 8  # the IR of every eighth program is verified and printed: an eighth of the time
Arrays = dict[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class ProgramCase:
    """What is to be run: all nodes where `kept` is None."""

    seed: int
    kept: tuple[int, ...] | None = None
    schedule: str = "random"


@dataclass(frozen=True)
class ProgramOutcome:
    """What became of a case; `schedule` is the one that failed, `ran` how many were compared."""

    index: int
    status: str
    reason: str = ""
    schedule: str = ""
    ran: int = 0


@dataclass(frozen=True)
class Variant:
    """A program in C under one schedule. `exact`: it has to give the bits of the original."""

    case: int
    func: FuncOp
    machine: Machine
    schedule: str
    exact: bool


def load_kernels(cases: Sequence[ProgramCase], folder: Path) -> list[Kernel]:
    """The Python kernels, which are read from files."""
    kernels = []
    for number, case in enumerate(cases):
        path = folder / f"case_{number}.py"
        text = RandomProgram(case.seed).text(case.kept)
        path.write_text(f"from tilecast import f32, f64, i32, i64, kernel\n\n\n{text}")
        spec = importlib.util.spec_from_file_location(f"case_{number}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        kernels.append(getattr(module, f"program_{case.seed}"))
    return kernels


def initial(program: KernelProgram, seed: int) -> Arrays:
    """The arguments."""
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    func = program.module.body.block.first_op
    assert isinstance(func, FuncOp)
    for argument, name in zip(func.body.block.args, program.names, strict=True):
        type: Any = argument.type
        shape, dtype = type.get_shape(), dtype_of(type)
        drawn = rng.uniform(-1, 1, shape) if dtype.kind == "f" else rng.integers(-3, 4, shape)
        arrays[name] = drawn.astype(dtype)
    return arrays


def widened(arrays: Arrays) -> Arrays:
    """The arguments with floats of the most digits: what a sum in order of the program is off by,
    which is far more than at random where it adds one number many times."""
    return {
        name: array.astype(np.longdouble if array.dtype.kind == "f" else array.dtype)
        for name, array in arrays.items()
    }


def run_python(kernel: Kernel, arrays: Arrays) -> Arrays:
    """The arguments after a run in Python."""
    copies = {name: array.copy() for name, array in arrays.items()}
    with np.errstate(all="ignore"):
        kernel.function(*copies.values())
    return copies


def variants(program: KernelProgram, case: ProgramCase, number: int) -> list[Variant]:
    """The loops of a program in its original order, and under the schedules that are asked for."""
    func = program.module.clone().body.block.first_op
    assert isinstance(func, FuncOp)
    scop = extract_affine(func)
    name = f"p{number}"
    if case.schedule == "auto":
        return [automatic(program, number, name)]
    found = [Variant(number, lowered(scop, [], f"{name}_0"), PLAIN, "", True)]
    if case.schedule != "random":
        return [given(scop, number, f"{name}_1", case.schedule)]
    rng = Random(case.seed)
    vectors = resolve_target("native")
    for serial, one in enumerate(islice(schedules(scop, rng, 0.0), RANDOM_SCHEDULES)):
        steps = executable(one, rng)
        try:
            loops = lowered(scop, steps, f"{name}_{serial + 1}")
        except IllegalScheduleError:
            continue  # what has no code: a bound that no type holds, nested parallel loops
        machine = vectors if serial % 2 else PLAIN
        text = "; ".join(map(str, steps))
        found.append(Variant(number, loops, machine, text, one.keeps_sums))
    return [*found, automatic(program, number, name)]


def steps_of(text: str) -> list[str]:
    """The steps of a schedule in one line; those that rearrange contain "; " themselves."""
    return re.split(r"; (?=\w+\()", text)


def given(scop: ScopOp, number: int, name: str, text: str) -> Variant:
    """The program under the steps `text`, separated by "; "."""
    steps = parse_steps("\n".join(steps_of(text)))
    rewritten, tree = apply_schedule(scop, steps)
    LegalityChecker(rewritten).check(tree)
    exact = not any(isinstance(step, Rfactor) for step in steps)
    return Variant(number, lowered(scop, steps, name), resolve_target("native"), text, exact)


def automatic(program: KernelProgram, number: int, name: str) -> Variant:
    """The program as `tilecast.compile` lowers it."""
    machine = resolve_target("native")
    whole = LoweredKernel.from_program(program, None, f"{name}_auto", machine, THREADS)
    whole.keeps_text = number % VERIFIED == 0
    whole.lower(None, None)
    func = whole.func
    func.detach()
    return Variant(number, func, machine, "auto", False)


class CaseLibrary:
    """All variants, built and loaded."""

    def __init__(self, built: Sequence[Variant], folder: Path) -> None:
        files = []
        for machine in {v.machine.name: v.machine for v in built}.values():
            plain = [v.func for v in built if v.machine is machine and v.schedule != "auto"]
            module = ModuleOp(plain)
            for name in ORIGINAL_ORDER[2:]:
                load_pass(name)().apply(CompileContext(machine=machine), module)
            for one in built:
                if one.machine is machine and one.case % VERIFIED == 0:
                    one.func.verify()
            funcs = [v.func for v in built if v.machine is machine]
            source = folder / f"unit_{machine.name}.c"
            source.write_text(emit_unit(funcs, machine))
            flags = ["-c", "-fopenmp", "-fPIC", *FLAGS[:-2]]
            if machine is not PLAIN:
                flags += architecture_flags(machine, "gcc", "12.0.0")
            run(["cc", *flags, str(source), "-o", str(source.with_suffix(".o"))])
            files.append(str(source.with_suffix(".o")))
        path = folder / "cases.so"
        run(["cc", "-shared", "-fopenmp", *files, "-o", str(path), "-lm"])
        self.library = ctypes.CDLL(str(path))

    def run(self, variant: Variant, arrays: Arrays) -> Arrays:
        """The arguments after a run."""
        copies = {name: array.copy() for name, array in arrays.items()}
        memory = list(copies.values())
        for argument in list(variant.func.body.block.args)[len(memory) :]:
            type: Any = argument.type
            scratch = np.empty(type.get_shape(), dtype_of(type))
            scratch.fill(np.nan if scratch.dtype.kind == "f" else 77)
            memory.append(scratch)
        self.library[variant.func.sym_name.data](*(ctypes.c_void_p(a.ctypes.data) for a in memory))
        return copies


def run(command: Sequence[str]) -> None:
    """Run the compiler; RuntimeError where it refuses."""
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"the C compiler refused it: {done.stderr[:600]}")


def run_cases(cases: Sequence[ProgramCase], _: str = "") -> list[ProgramOutcome]:
    """The outcome of every case, in order; in this process."""
    os.environ.setdefault("OMP_NUM_THREADS", str(THREADS))
    with without_collection():
        return run_batch(cases)


def run_batch(cases: Sequence[ProgramCase]) -> list[ProgramOutcome]:
    """As `run_cases`; where the C compiler refuses some, by halves."""
    outcomes: dict[int, ProgramOutcome] = {}
    built: list[Variant] = []
    with tempfile.TemporaryDirectory(prefix="tilecast-fuzz-") as name:
        folder = Path(name)
        kernels = load_kernels(cases, folder)
        programs: dict[int, KernelProgram] = {}
        for number, (case, kernel) in enumerate(zip(cases, kernels, strict=True)):
            try:
                with time_limit(SECONDS):
                    programs[number] = load_program(kernel, None)
                    built += variants(programs[number], case, number)
            except Exception as error:
                outcomes[number] = failed(number, error)
        todo = [k for k in range(len(cases)) if k not in outcomes]
        try:
            library = CaseLibrary([v for v in built if v.case in todo], folder) if todo else None
        except Exception as error:
            if len(cases) > 1:
                half = len(cases) // 2
                found = run_batch(cases[:half]) + run_batch(cases[half:])
                return [ProgramOutcome(k, *list(vars(o).values())[1:]) for k, o in enumerate(found)]
            return [failed(0, error)]
        for number in todo:
            assert library is not None
            mine = [v for v in built if v.case == number]
            arrays = initial(programs[number], cases[number].seed)
            outcomes[number] = compared(library, mine, kernels[number], arrays, cases[number].seed)
    return [outcomes[k] for k in range(len(cases))]


def failed(number: int, error: Exception) -> ProgramOutcome:
    """The outcome of what did not get as far as running."""
    refused = isinstance(error, TilecastError) and "defect of tilecast" not in str(error)
    text = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ProgramOutcome(number, "refused" if refused else "crash", text[:300])


def compared(
    library: CaseLibrary, mine: Sequence[Variant], kernel: Kernel, arrays: Arrays, seed: int
) -> ProgramOutcome:
    """Every variant of a case on `arrays`, against Python."""
    number = mine[0].case
    rng = np.random.default_rng(seed)
    try:
        expected = run_python(kernel, arrays)
        others = [last_place_changed(arrays, rng), last_place_changed(arrays, rng), widened(arrays)]
        nearby = [run_python(kernel, other) for other in others]
    except OverflowError as error:  # Python's integers do not wrap
        return ProgramOutcome(number, "invalid", f"Python: {error}")
    for variant in mine:
        found = library.run(variant, arrays)
        for name, value in found.items():
            wrong = difference(value, expected[name], [n[name] for n in nearby], variant.exact)
            if wrong:
                reason = f"{name}: {wrong}"
                return ProgramOutcome(number, "mismatch", reason, variant.schedule or "original")
    return ProgramOutcome(number, "pass", ran=len(mine))


def difference(
    found: npt.NDArray[Any],
    expected: npt.NDArray[Any],
    nearby: list[npt.NDArray[Any]],
    exact: bool,
) -> str:
    """What is wrong with one array; empty where nothing is."""
    if exact or expected.dtype.kind != "f":
        same = np.array_equal(found, expected, equal_nan=expected.dtype.kind == "f")
        return "" if same else "other bits"
    result = compare("kernel", "", found, expected, farthest(expected, nearby), LONGEST_SUM)
    return "" if result.passed else f"{result.margin:.3g} times what is allowed"
