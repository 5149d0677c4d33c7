"""One process that runs built candidates on arrays of its own, checks results and takes times.

    python -m tilecast.compiler.tune.run_worker TASK_FOLDER

Requests name a library by `id`. `load` opens it, `check` runs it once on fresh inputs and poisoned
outputs and compares, `time` runs it `runs` times, `expect` makes its results the expected ones.
Arrays are allocated once, and refilled outside of the timed region.
"""

from __future__ import annotations

import ctypes
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from .guarded_arrays import Array, GuardedArray
from .serve import limit_memory, serve
from .task import Argument, MeasureTask


@dataclass
class Loaded:
    """A library's function with the scratch arrays it needs besides the arguments, and the weights
    that it wants in another arrangement."""

    function: Any
    scratch: list[GuardedArray]
    packed: dict[str, GuardedArray] = field(default_factory=dict)


def difference(found: Array, expected: Array, bound: float) -> str:
    """Why `found` is wrong; empty where it is right."""
    if expected.dtype.kind != "f":
        wrong = int((found != expected).sum())
        return f"{wrong} of {found.size} elements differ" if wrong else ""
    largest = float(np.abs(expected).max(initial=0.0))
    error = np.abs(found - expected)
    worst = float(error.max(initial=0.0))  # NaN where either has one
    if worst <= bound * largest:
        return ""
    place = np.unravel_index(int(np.argmax(np.where(np.isnan(error), np.inf, error))), error.shape)
    at = [int(k) for k in place]
    return (
        f"largest error {worst:.3e} at {at}: found {found[place]!r}, expected {expected[place]!r}, "
        f"allowed {bound:.0e} of {largest:.3e}"
    )


class Runner:
    """Runs candidates of one task."""

    def __init__(self, task: MeasureTask) -> None:
        self.task = task
        self.loaded: dict[str, Loaded] = {}
        self.arrays: dict[str, GuardedArray] = {}
        self.initial = {a.name: task.initial(a) for a in task.arguments}
        self.expected: dict[str, Array] = {}
        self.packed: WeakValueDictionary[str, GuardedArray] = WeakValueDictionary()
        self.scratch: dict[tuple[int, tuple[int, ...], str], GuardedArray] = {}
        for argument in task.arguments:
            value = self.initial[argument.name]
            guarded = GuardedArray(value.shape, value.dtype)
            guarded.array[...] = value
            if not argument.is_written:
                guarded.forbid_writing()
            self.arrays[argument.name] = guarded

    def __call__(self, request: dict[str, Any]) -> dict[str, Any]:
        """Answer one request."""
        match request["do"]:
            case "load":
                return self.load(request)
            case "check":
                return self.check(request["id"])
            case "time":
                loaded = self.loaded[request["id"]]
                return {"seconds": [self.run(loaded) for _ in range(request["runs"])]}
            case "forget":
                del self.loaded[request["id"]]
                return {}
            case "expect":
                seconds = self.run(self.loaded[request["id"]])
                self.task.set_expected({a.name: self.arrays[a.name].array for a in self.written})
                self.expected.clear()
                return {"seconds": [seconds]}
        raise ValueError(f"unknown request {request['do']!r}")

    @property
    def written(self) -> list[Argument]:
        """The arguments that results are in."""
        return [a for a in self.task.arguments if a.is_written]

    def load(self, request: dict[str, Any]) -> dict[str, Any]:
        """Open a library; it stays open."""
        try:
            function = ctypes.CDLL(request["library"])[self.task.function]
        except (OSError, AttributeError) as error:
            return {"failure": "build", "detail": str(error)}
        function.restype = None
        scratch = [
            self.scratch_array(k, tuple(shape), dtype)
            for k, (shape, dtype) in enumerate(request["scratch"])
        ]
        packed = {name: self.packed_array(path) for name, path in request["packed"].items()}
        self.loaded[request["id"]] = Loaded(function, scratch, packed)
        return {}

    def packed_array(self, path: str) -> GuardedArray:
        """A weight in another arrangement, shared by the libraries that want the same."""
        known = self.packed.get(path)
        if known is None:
            value = np.load(path, mmap_mode="r", allow_pickle=False)
            known = self.packed[path] = GuardedArray(value.shape, value.dtype)
            known.array[...] = value
            known.forbid_writing()
        return known

    def scratch_array(self, k: int, shape: tuple[int, ...], dtype: str) -> GuardedArray:
        """Scratch number `k`; equal ones of several libraries share memory."""
        key = (k, shape, dtype)
        if key not in self.scratch:
            self.scratch[key] = GuardedArray(shape, dtype)
        return self.scratch[key]

    def run(self, loaded: Loaded) -> float:
        """Seconds of one run on fresh arguments."""
        for argument in self.written:
            guarded = self.arrays[argument.name]
            if argument.role == "out":
                guarded.poison()
            else:
                guarded.array[...] = self.initial[argument.name]
        given = {**self.arrays, **loaded.packed}
        arrays = [*(given[a.name] for a in self.task.arguments), *loaded.scratch]
        pointers = [ctypes.c_void_p(a.array.ctypes.data) for a in arrays]
        start = time.perf_counter()
        loaded.function(*pointers)
        return time.perf_counter() - start

    def check(self, id: str) -> dict[str, Any]:
        """Run once and compare every written argument; `wrong` is empty where all are right."""
        loaded = self.loaded[id]
        for guarded in loaded.scratch:
            guarded.poison()
        seconds = self.run(loaded)
        arrays = [*self.arrays.values(), *loaded.scratch]
        if not all(guarded.is_intact for guarded in arrays):
            return {"seconds": [seconds], "wrong": "memory around an array was overwritten"}
        for argument in self.written:
            if argument.name not in self.expected:
                self.expected[argument.name] = self.task.expected(argument)
            found = argument.compared(self.arrays[argument.name].array)
            expected = argument.compared(self.expected[argument.name])
            wrong = difference(found, expected, argument.bound)
            if wrong:
                return {"seconds": [seconds], "wrong": f"{argument.name}: {wrong}"}
        return {"seconds": [seconds], "wrong": ""}


if __name__ == "__main__":
    chosen = MeasureTask.read(Path(sys.argv[1]))
    limit_memory(chosen.memory_bytes)
    serve(Runner(chosen))
