"""A run worker that comes back after a crash with the libraries it needs."""

from __future__ import annotations

from typing import Any

from .libraries import Library
from .task import MeasureTask
from .worker_process import WorkerProcess

START_SECONDS = 60.0
# Below this, sleeping threads and the caches that another library left decide about a time.
SHORT_SECONDS = 0.05


class RunProcess:
    """Runs libraries of one task in a process of its own."""

    def __init__(self, task: MeasureTask) -> None:
        module = "tilecast.compiler.tune.run_worker"
        self._worker = WorkerProcess(module, [str(task.folder)], task.threads)
        self._loaded: set[str] = set()

    def ask(self, what: str, library: Library, timeout: float, **more: Any) -> dict[str, Any]:
        """Send `what` (check, time, expect) for `library`, which is loaded where it is not yet.

        WorkerTimeout after `timeout` seconds, WorkerDied for a crash; the next call starts anew.
        """
        if not self._worker.is_running:
            self._loaded.clear()
        if library.path not in self._loaded:
            request: dict[str, Any] = {"do": "load", "id": library.path, "library": library.path}
            request |= {"scratch": library.scratch, "packed": library.packed}
            answer = self._worker.request(request, START_SECONDS)
            if "failure" in answer:
                return answer
            self._loaded.add(library.path)
        return self._worker.request({"do": what, "id": library.path, **more}, timeout)

    def time(self, library: Library, expected: float, timeout: float) -> float:
        """Seconds of one run; of the second of two where about `expected` seconds are short."""
        runs = 2 if expected < SHORT_SECONDS else 1
        times: list[float] = self.ask("time", library, timeout, runs=runs)["seconds"]
        return times[-1]

    def forget(self, library: Library) -> None:
        """Let go of the arrays of a library that will not run again."""
        if self._worker.is_running and library.path in self._loaded:
            self._loaded.remove(library.path)
            self._worker.request({"do": "forget", "id": library.path}, START_SECONDS)

    def close(self) -> None:
        """End the process."""
        self._worker.kill()
