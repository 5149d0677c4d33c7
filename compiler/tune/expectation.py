"""What candidates are compared with: the results of the program in its original order."""

from __future__ import annotations

from dataclasses import replace

from ...costmodel.hardware import Machine
from ...dialects.errors import VerifyFailure
from ...passes.poly.search import Result
from .libraries import BuildPool
from .run_process import RunProcess
from .task import MeasureTask

# Plain C without reassociation or contraction: the arithmetic of the program as it is written.
PLAIN = Machine("plain", "scalar")
EXACT_FLAGS = ("-std=c11", "-O2", "-ffp-contract=off", "-fno-math-errno")


def record_expectation(task: MeasureTask, scop_text: str, timeout: float = 120.0) -> float:
    """Run the untransformed program once on the task's inputs and store its results.

    The seconds that it took. VerifyFailure where it cannot be built or run.
    """
    exact = replace(
        task,
        folder=task.folder / "original",
        machine=PLAIN,
        compiler=(task.compiler[0], *EXACT_FLAGS),
        threads=1,
        origin="loops",
    )
    exact.write(scop_text, {a.name: task.initial(a) for a in task.arguments})
    pool, runner = BuildPool(exact, 1), RunProcess(exact)
    try:
        [built] = pool.build([""], timeout)
        if isinstance(built, Result):
            raise VerifyFailure(f"the original program cannot be built: {built.detail}")
        seconds: float = runner.ask("expect", built, timeout)["seconds"][0]
    finally:
        pool.close()
        runner.close()
    task.set_expected({a.name: exact.expected(a) for a in task.arguments if a.is_written})
    return seconds
