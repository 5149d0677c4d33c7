"""Measured evaluation: right candidates get a time, wrong, crashing and hanging ones a reason."""

from __future__ import annotations

import ctypes
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tilecast.compiler.tune.expectation import record_expectation
from tilecast.compiler.tune.guarded_arrays import GuardedArray
from tilecast.compiler.tune.libraries import Library
from tilecast.compiler.tune.measure import MeasuredEvaluator, Patience
from tilecast.compiler.tune.run_process import RunProcess
from tilecast.compiler.tune.task import Argument, MeasureTask
from tilecast.costmodel.hardware import Machine
from tilecast.passes.context import CompileContext
from tilecast.passes.poly.search import BeamSearch, Budget, Candidate, StepSpace
from tilecast.passes.registry import load_pass
from xdsl.parser import Parser

AFFINE = """
func.func @product(%a: memref<20x30xf64>, %b: memref<30x24xf64>, %c: memref<20x24xf64>) {
  affine.for %i = 0 to 20 {
    affine.for %j = 0 to 24 {
      affine.for %k = 0 to 30 {
        %x = affine.load %a[%i, %k] : memref<20x30xf64>
        %y = affine.load %b[%k, %j] : memref<30x24xf64>
        %z = affine.load %c[%i, %j] : memref<20x24xf64>
        %m = arith.mulf %x, %y : f64
        %s = arith.addf %z, %m : f64
        affine.store %s, %c[%i, %j] : memref<20x24xf64>
      }
    }
  }
  func.return
}
"""
ARGUMENTS = (Argument("a", "in"), Argument("b", "in"), Argument("c", "inout"))
QUICK = Patience(rounds=2, seconds=0.05, run_seconds=1.0)


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> MeasureTask:
    context = CompileContext()
    module = Parser(context, AFFINE).parse_module()
    load_pass("extract-affine")().apply(context, module)
    folder = tmp_path_factory.mktemp("task")
    made = MeasureTask(
        folder, "product", ARGUMENTS, Machine("plain", "scalar"), ("gcc", "-std=c11", "-O1")
    )
    rng = np.random.default_rng(0)
    shapes = {"a": (20, 30), "b": (30, 24), "c": (20, 24)}
    made.write(str(module), {name: rng.normal(size=shape) for name, shape in shapes.items()})
    record_expectation(made, str(module))
    return made


def test_the_expectation_is_what_the_program_computes(task: MeasureTask) -> None:
    a, b, c = (task.initial(argument) for argument in ARGUMENTS)
    np.testing.assert_allclose(task.expected(ARGUMENTS[2]), c + a @ b, rtol=1e-12)


def test_only_what_is_determined_is_compared(task: MeasureTask, tmp_path: Path) -> None:
    part = (*ARGUMENTS[:2], replace(ARGUMENTS[2], determined=(20, 10)))
    looser = replace(task, folder=tmp_path, arguments=part)
    looser.write(task.scop_text, {a.name: task.initial(a) for a in ARGUMENTS})
    looser.set_expected({"c": task.expected(ARGUMENTS[2])})
    assert MeasureTask.read(tmp_path) == looser
    with MeasuredEvaluator(looser, 0, QUICK) as evaluator:
        beyond = evaluator.measure(compiled(task, "beyond10", f"{RIGHT}\nc[3 * 24 + 10] = 0.0;"))
        inside = evaluator.measure(compiled(task, "inside10", f"{RIGHT}\nc[3 * 24 + 9] = 0.0;"))
    assert (beyond.failure, inside.failure) == (None, "wrong")


def test_a_task_survives_its_folder(task: MeasureTask) -> None:
    assert MeasureTask.read(task.folder) == task


def test_candidates_get_seconds_or_a_reason(task: MeasureTask) -> None:
    texts = ["", "split(S0.i0, 4, a, b)\nparallelize(a)", "parallelize(S0.i2)", "unroll(nothing)"]
    with MeasuredEvaluator(task, 1, QUICK) as evaluator:
        results = evaluator.evaluate([Candidate.parse(text) for text in texts])
    assert [r.failure for r in results] == [None, None, "illegal", "illegal"]
    assert all(0 < r.seconds < 1 for r in results[:2] if r.seconds is not None)
    assert "carries a reduction" in results[2].detail
    assert "no loop is called 'nothing'" in results[3].detail


def compiled(task: MeasureTask, name: str, body: str) -> Library:
    """A library of the task's function with another body."""
    source = task.folder / f"{name}.c"
    signature = "const double *a, const double *b, double *c"
    source.write_text(f"void product({signature})\n{{\n{body}\n}}\n")
    library = source.with_suffix(".so")
    command = ["gcc", "-O0", "-w", "-shared", "-fPIC", str(source), "-o", str(library)]
    subprocess.run(command, check=True)
    return Library(str(library))


RIGHT = """for (int i = 0; i < 20; ++i) for (int j = 0; j < 24; ++j) for (int k = 0; k < 30; ++k)
    c[i * 24 + j] += a[i * 30 + k] * b[k * 24 + j];"""
BROKEN = {
    "wrong": ("c[3] = 1.0;", "wrong", "c: largest error"),
    "null": ("*(volatile double *)0 = 1.0;", "crash", "SIGSEGV"),
    "input": ("((double *)a)[0] = 1.0;", "crash", "SIGSEGV"),
    "beyond": (f"{RIGHT}\nc[480 + 8] = 1.0;", "crash", "SIGSEGV"),
    "hang": ('for (;;) { __asm__ volatile(""); }', "slow", "no answer within"),
    "exit": ("_exit(3);", "crash", "exit code 3"),
    "nan": (f"{RIGHT}\nc[7] = 0.0 / 0.0;", "wrong", "found"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_a_candidate_breaks_is_told_and_the_next_one_runs(
    task: MeasureTask, name: str
) -> None:
    body, failure, detail = BROKEN[name]
    with MeasuredEvaluator(task, 0, replace(QUICK, first_run_seconds=1.0)) as evaluator:
        result = evaluator.measure(compiled(task, f"broken_{name}", body))
        after = evaluator.measure(compiled(task, "right", RIGHT))
    assert result.failure == failure
    assert detail in result.detail
    assert result.seconds is None
    assert after.seconds is not None


@pytest.mark.slow
def test_a_build_that_hangs_is_stopped(task: MeasureTask, tmp_path: Path) -> None:
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\nsleep 60\n")
    compiler.chmod(0o755)
    slow = replace(task, folder=tmp_path / "task", compiler=(str(compiler),))
    slow.write(task.scop_text, {a.name: task.initial(a) for a in ARGUMENTS})
    patience = replace(QUICK, build_seconds=3.0)
    with MeasuredEvaluator(slow, 1, patience) as evaluator:
        [result] = evaluator.evaluate([Candidate()])
    assert (result.failure, result.detail) == ("lowering", "building takes too long")


def test_a_slow_candidate_is_not_repeated(task: MeasureTask) -> None:
    busy = f"{RIGHT}\nfor (volatile long n = 0; n < 20000000; ++n) {{}}"
    with MeasuredEvaluator(task, 0, QUICK) as evaluator:
        fast = evaluator.measure(compiled(task, "right", RIGHT))
        slow = evaluator.measure(compiled(task, "busy", busy))
        assert evaluator.incumbent is not None
        assert evaluator.incumbent.library.path.endswith("right.so")
    assert fast.cost < slow.cost < float("inf")


def test_arrays_are_guarded() -> None:
    guarded = GuardedArray((3, 5), np.float64)
    assert guarded.array.ctypes.data % 64 == 0
    guarded.poison()
    assert np.isnan(guarded.array).all()
    assert guarded.is_intact
    after = ctypes.c_char.from_address(guarded.array.ctypes.data + 15 * 8)
    after.value = b"x"
    assert not guarded.is_intact


def test_a_worker_may_not_take_all_memory(task: MeasureTask, tmp_path: Path) -> None:
    small = replace(task, folder=tmp_path, memory_bytes=2 * 2**30)
    small.write(task.scop_text, {a.name: task.initial(a) for a in ARGUMENTS})
    small.set_expected({"c": task.expected(ARGUMENTS[2])})
    library = replace(compiled(task, "right", RIGHT), scratch=(((2**29,), "float64"),))
    runner = RunProcess(small)
    try:
        answer = runner.ask("check", library, 20.0)
    finally:
        runner.close()
    assert answer["failure"] == "memory"


@pytest.mark.slow
def test_a_search_by_measurement_gets_no_wrong_results(task: MeasureTask) -> None:
    context = CompileContext()
    module = Parser(context, task.scop_text).parse_module()
    scop = module.body.block.first_op
    with MeasuredEvaluator(task, 2, QUICK) as evaluator:
        space = StepSpace(scop, 1)  # type: ignore[arg-type]
        report = BeamSearch().search(space, evaluator, Budget(evaluations=20))
    assert report.evaluated == 20
    assert report.best_seconds <= report.original_seconds
    assert not set(report.failed) - {"slow"}
