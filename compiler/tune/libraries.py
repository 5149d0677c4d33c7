"""Shared libraries of candidates, built by several processes at a time."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...passes.poly.search import Result
from ..options import compiler_environment
from .task import INTRINSICS, MeasureTask
from .worker_process import WorkerDied, WorkerProcess, WorkerTimeout, wait_for_any


@dataclass(frozen=True)
class Library:
    """A built candidate. `scratch` has shape and type of what it needs besides the arguments,
    `packed` files with weights as it wants them, by argument."""

    path: str
    scratch: tuple[tuple[tuple[int, ...], str], ...] = ()
    lower_s: float = 0.0
    compile_s: float = 0.0
    packed: dict[str, str] = field(default_factory=dict)

    @staticmethod
    def of(answer: dict[str, Any]) -> Library:
        """The library that a build worker speaks of."""
        scratch = tuple((tuple(shape), dtype) for shape, dtype in answer["scratch"])
        seconds = answer["lower_s"], answer["compile_s"]
        return Library(answer["library"], scratch, *seconds, answer["packed"])


def precompile_intrinsics(task: MeasureTask) -> None:
    """Compile the header of the vector intrinsics once: parsing it is half of a small compilation.

    Without success nothing changes; each candidate includes the header itself anyway.
    """
    if task.machine.isa == "scalar" or task.include:
        return
    header = task.folder / INTRINSICS
    header.write_text("#include <immintrin.h>\n", encoding="utf-8")
    command = [*task.compiler, "-shared", "-fPIC", "-x", "c-header", str(header)]
    done = subprocess.run(
        [*command, "-o", f"{header}.gch"], env=compiler_environment(), capture_output=True
    )
    if done.returncode != 0:
        header.unlink()


class BuildPool:
    """Some build workers; each builds one candidate at a time. The first library that is built gets
    the number `first` + 1, so that those of an earlier pool can stay."""

    def __init__(self, task: MeasureTask, workers: int, first: int = 0) -> None:
        module = "tilecast.compiler.tune.build_worker"
        self._task, self._serial = task, first
        precompile_intrinsics(task)
        self._workers = [WorkerProcess(module, [str(task.folder)]) for _ in range(workers)]

    def build(self, schedules: Sequence[str], timeout: float) -> list[Library | Result]:
        """A library per schedule text, or the result that says why there is none."""
        results: list[Library | Result | None] = [None] * len(schedules)
        waiting = list(enumerate(schedules))
        running: dict[WorkerProcess, tuple[int, float]] = {}
        idle = list(self._workers)
        while waiting or running:
            while waiting and idle:
                worker = idle.pop()
                number, text = waiting.pop(0)
                worker.send({"steps": text, "output": self._output()})
                running[worker] = number, time.monotonic() + timeout
            nearest = min(deadline for _, deadline in running.values())
            ready = wait_for_any(list(running), nearest - time.monotonic())
            for worker in ready or [w for w, (_, d) in running.items() if d <= nearest]:
                number, _ = running.pop(worker)
                results[number] = self._receive(worker, timeout if worker in ready else 0.0)
                idle.append(worker)
        return [r for r in results if r is not None]

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            worker.kill()

    def _output(self) -> str:
        self._serial += 1
        return str(self._task.folder / f"candidate_{self._serial}.so")

    @staticmethod
    def _receive(worker: WorkerProcess, timeout: float) -> Library | Result:
        try:
            answer = worker.receive(timeout)
        except WorkerTimeout:
            return Result(None, "lowering", "building takes too long")
        except WorkerDied as error:
            return Result(None, "lowering", f"the build process died: {error}")
        if "failure" in answer:
            return Result(None, answer["failure"], answer["detail"])
        return Library.of(answer)
