"""Compile and check many samples at once: hundreds of tiny graphs share one compiler run."""

from __future__ import annotations

import gc
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from tilecast.codegen.c import emit_program, emit_unit
from tilecast.compiler.frontend.tensor_types import to_numpy
from tilecast.compiler.job import model_job
from tilecast.compiler.logging import Progress
from tilecast.compiler.lowering import lower
from tilecast.compiler.options import Options, resolve_options
from tilecast.compiler.runtime.artifact import Artifact
from tilecast.compiler.runtime.cache import open_store
from tilecast.compiler.runtime.library import call_unit
from tilecast.compiler.runtime.model import CompiledModel
from tilecast.compiler.runtime.toolchain import build_library, find_toolchain
from tilecast.compiler.target import resolve_target
from tilecast.compiler.verify.compare import compare
from tilecast.compiler.verify.definite import DefiniteInterpreter
from tilecast.compiler.verify.eager import DoubleInterpreter, run_program
from tilecast.compiler.verify.sizes import resized_leaves, size_points
from tilecast.costmodel.hardware import Machine
from tilecast.dialects.errors import TilecastError
from torch import Tensor
from torch.export import ExportedProgram
from torch.utils._pytree import tree_leaves
from xdsl.dialects.builtin import StringAttr
from xdsl.dialects.func import FuncOp

from .samples import Sample

SECONDS = 30  # for one sample; what takes longer counts as a crash
UNIT_CASES = 24  # samples per C file
Status = Literal["pass", "refused", "mismatch", "crash", "invalid", "near tie"]


@dataclass(frozen=True)
class Outcome:
    """What became of a sample: `invalid` samples do not run in eager either, a `near tie` is a
    mismatch that rounding errors explain (where asked for)."""

    operator: str
    dtype: str
    index: int
    status: Status
    reason: str = ""


@dataclass(frozen=True)
class Case:
    """A sample that is lowered and waits for the C compiler."""

    sample: Sample
    program: ExportedProgram
    artifact: Artifact
    kernels: tuple[FuncOp, ...]
    text: str


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """TimeoutError after `seconds` of processor time: a busy machine is no reason to give up."""

    def stop(*_: object) -> None:
        raise TimeoutError(f"took more than {seconds} s")

    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


@contextmanager
def without_collection() -> Iterator[None]:
    """No garbage collection: a quarter of the time, with this much IR. What is left of a batch is
    collected after it; what was there before stays for good, and is never looked at again."""
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.collect()


SecondLook = Callable[[Case, list[Tensor], list[Any]], bool]


def run_samples(
    samples: Sequence[Sample], target: str, is_near_tie: SecondLook | None = None
) -> list[Outcome]:
    """Every sample through all stages, compared with eager PyTorch in float64.

    `is_near_tie` says of wrong results whether rounding errors can lead to them.
    """
    machine = resolve_target(target)
    outcomes: list[Outcome] = []
    cases: list[Case] = []
    for number, sample in enumerate(samples):
        try:
            with time_limit(SECONDS), warnings.catch_warnings(), torch.no_grad():
                warnings.simplefilter("ignore")
                cases.append(lowered_case(sample, f"c{number}", target))
        except Exception as error:
            outcomes.append(failure(sample, error))
    for first in range(0, len(cases), UNIT_CASES * 8):
        outcomes += run_cases(cases[first : first + UNIT_CASES * 8], machine, is_near_tie)
    return outcomes


def failure(sample: Sample, error: Exception) -> Outcome:
    """The outcome of a sample that did not get as far as running."""
    refused = isinstance(error, TilecastError) and "defect of tilecast" not in str(error)
    status: Status = "refused" if refused else "crash"
    text = " ".join(str(error).split()) if refused else f"{type(error).__name__}: {error}"
    return Outcome(sample.operator, sample.dtype, sample.index, status, text[:300])


def lowered_case(sample: Sample, name: str, target: str) -> Case:
    """The C text of a sample, and its kernels under names of their own. Files of its own it needs
    none of, so it is lowered up to the program."""
    given = {"name": name, "target": target, "threads": 1, "stop_after": "program"}
    settings: Options = resolve_options(given | {"dynamic_shapes": sample.dynamic_shapes})
    inputs = tuple(tensor.clone() for tensor in sample.inputs)
    job = model_job(sample.module, inputs, None, settings)
    lowered = lower(job, Progress(False), keeps_text=sample.index % 8 == 0)
    artifact = lowered.artifact("none", ())
    main, kernels = lowered.functions()
    programs = lowered.programs()
    text = emit_program(main, kernels, name, prefix=f"{name}_", programs=programs)
    text += call_unit(name)
    for kernel in kernels:
        kernel.properties["sym_name"] = StringAttr(f"{name}_{kernel.sym_name.data}")
    return Case(sample, job.program, artifact, tuple(kernels), text)


def run_cases(
    cases: Sequence[Case], machine: Machine, is_near_tie: SecondLook | None = None
) -> list[Outcome]:
    """Build one library of all cases and run each; cases that do not build are found one by one."""
    if not cases:
        return []
    units = {}
    for first in range(0, len(cases), UNIT_CASES):
        part = cases[first : first + UNIT_CASES]
        kernels = [kernel for case in part for kernel in case.kernels]
        units[f"kernels{first}.c"] = emit_unit(kernels, machine)
        units[f"programs{first}.c"] = "\n".join(case.text for case in part)
    with tempfile.TemporaryDirectory(prefix="tilecast-conformance-") as folder:
        path = Path(folder) / "cases.so"
        try:
            path.write_bytes(build_library(units, find_toolchain(), machine, open_store(False)))
        except TilecastError as error:
            if len(cases) > 1:
                half = len(cases) // 2
                parts = cases[:half], cases[half:]
                return [o for part in parts for o in run_cases(part, machine, is_near_tie)]
            (case,) = cases
            text = f"defect: the C compiler refused it: {error}"
            return [replace(failure(case.sample, error), status="crash", reason=text[-300:])]
        return [run_case(case, path, is_near_tie) for case in cases]


def run_case(case: Case, library: Path, is_near_tie: SecondLook | None = None) -> Outcome:
    """One sample, compiled and eager; at several sizes where some are known at run time only."""
    sample, signature = case.sample, case.artifact.signature
    outcome = Outcome(sample.operator, sample.dtype, sample.index, "pass")
    model = CompiledModel(replace(case.artifact, library=library))
    places = [{}, *size_points(signature.sizes, np.random.default_rng(sample.index))]
    for values in places if signature.sizes else [{}]:
        inputs = [tensor.clone() for tensor in sample.inputs]
        inputs = resized_leaves(signature, inputs, values) if values else inputs
        found = run_once(case, model, inputs, outcome, is_near_tie)
        if found.status == "invalid" and values:
            continue  # torch has a condition on sizes that is no range
        if found.status != "pass":
            where = ", ".join(f"{name}={value}" for name, value in values.items())
            return replace(found, reason=f"{found.reason} for {where}") if where else found
    return outcome


def run_once(
    case: Case,
    model: CompiledModel,
    inputs: list[Tensor],
    outcome: Outcome,
    is_near_tie: SecondLook | None,
) -> Outcome:
    """A sample on inputs of some sizes."""
    try:
        native = run_program(case.program, [t.clone() for t in inputs], DefiniteInterpreter)
    except Exception as error:
        return replace(outcome, status="invalid", reason=f"eager: {error}"[:200])
    try:
        wide = run_program(case.program, [t.clone() for t in inputs], DoubleInterpreter)
    except Exception:
        wide = native  # float64 does not take this operator: a result in its own type decides
    try:
        with time_limit(SECONDS):
            found = tree_leaves(model(*inputs))
    except Exception as error:
        return failure(case.sample, error)
    outcome = checked(outcome, found, wide, native, case.artifact.reduction_length)
    wrong = outcome.status == "mismatch"
    if wrong and is_near_tie is not None and is_near_tie(case, inputs, found):
        return replace(outcome, status="near tie")
    return outcome


def checked(
    outcome: Outcome, found: list[Any], wide: list[Any], native: list[Any], length: int
) -> Outcome:
    """The outcome after comparing every result."""
    if len(found) != len(native):
        text = f"{len(found)} results instead of {len(native)}"
        return replace(outcome, status="mismatch", reason=text)
    for got, reference, eager in zip(found, wide, native, strict=True):
        reason = difference(got, reference, eager, length)
        if reason:
            return replace(outcome, status="mismatch", reason=reason)
    return outcome


def difference(got: Any, reference: Any, eager: Any, length: int) -> str:
    """What is wrong with one result; empty where nothing is."""
    if not isinstance(eager, Tensor):
        return "" if got == eager else f"{got!r} instead of {eager!r}"
    if got.dtype != eager.dtype or got.shape != eager.shape:
        return (
            f"{got.dtype} of shape {tuple(got.shape)} instead of {eager.dtype} {tuple(eager.shape)}"
        )
    arrays = [to_numpy(tensor) for tensor in (got, reference, eager)]
    result = compare("model", "result", *arrays, length)
    if result.passed:
        return ""
    return (
        f"found {result.found!r}, expected {result.expected!r} at {result.index}, "
        f"{result.margin:.3g} times what is allowed"
    )
