"""Times of built functions: each program in a process of its own, all its functions in turns.

Rounds over all functions, forwards and backwards, so that a slow moment meets all of them; a
function's time is its shortest, and the shortest of every other round is kept as a measurement of
its own. Floats are random; integers are what the program's folder holds.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import numpy.typing as npt

from ...costmodel.data.samples import Sample
from .sample_build import BUILT, BuiltFunction

ROUNDS = 15
SECONDS_EACH = 0.03  # of running a function, at most, beyond its first three runs
HOPELESS = 6.0  # times the fastest, beyond which a function runs twice only
FEWEST_RUNS = 4  # of others
LONG_SECONDS = 0.02  # beyond which a first run is a measurement: what it warms up takes less
LONGEST_PROGRAM = 30
BATCH_SECONDS = 4e-4  # short functions run several times between two looks at the clock
PAGE = 4096
OPENMP = "libgomp.so.1"
Array = npt.NDArray[Any]


def read_built(folder: Path) -> list[BuiltFunction]:
    """What was built in `folder`."""
    found = []
    for line in (folder / BUILT).read_text(encoding="utf-8").splitlines():
        data = json.loads(line)
        data["arguments"] = tuple((tuple(s), t, r) for s, t, r in data["arguments"])
        found.append(BuiltFunction(**data))
    return found


def measure_program(folder: Path, threads: int) -> list[Sample]:
    """A sample for each function in `folder`; where their process dies, failures."""
    functions = read_built(folder)
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receive)
            signal.alarm(LONGEST_PROGRAM)
            with os.fdopen(send, "w") as pipe:
                json.dump(timed(folder, functions, threads), pipe)
        finally:
            os._exit(0)  # whatever happened: the rest of this program is its parent's
    os.close(send)
    with os.fdopen(receive) as pipe:
        content = pipe.read()
    os.waitpid(child, 0)
    times: list[list[float]] = json.loads(content) if content else [[]] * len(functions)
    return [sample_of(f, t) for f, t in zip(functions, times, strict=True)]


def sample_of(function: BuiltFunction, times: Sequence[float]) -> Sample:
    """The sample of a function that took `times`."""
    best = min(times, default=None)
    return Sample(
        function.task,
        function.steps,
        best,
        noise=median(times) / best - 1 if best else 0.0,
        runs=len(times),
        failure=None if best else "crash",
        choice=function.choice,
        instructions=function.instructions,
        vector_instructions=function.vector_instructions,
        spills=function.spills,
        halves=(min(times[::2]), min(times[1::2])) if len(times) > 1 else None,
    )


@dataclass
class Callable:
    """A function with its arguments, and what it changes to be put back before each run."""

    function: Any
    pointers: list[ctypes.c_void_p]
    changed: list[tuple[Array, Array]]
    repeats: int = 1

    def run(self) -> float:
        """Seconds of one run."""
        for array, initial in self.changed:
            array[...] = initial
        start = time.perf_counter()
        for _ in range(self.repeats):
            self.function(*self.pointers)
        return (time.perf_counter() - start) / self.repeats


def first_time(each: Callable) -> float:
    """Seconds of the first run that counts; short functions are repeated from here on."""
    first = each.run()
    if first > LONG_SECONDS:
        return first
    again = each.run()
    if not each.changed:
        each.repeats = max(1, round(BATCH_SECONDS / max(again, 1e-7)))
    return each.run()


def timed(folder: Path, functions: Sequence[BuiltFunction], threads: int) -> list[list[float]]:
    """The times of each function."""
    with suppress(OSError):  # without OpenMP, everything runs on one thread
        ctypes.CDLL(OPENMP).omp_set_num_threads(threads)
    arrays: dict[tuple[Any, ...], Array] = {}
    loaded = [callable_of(folder, f, arrays) for f in functions]
    times = [[first_time(each)] for each in loaded]
    for round_ in range(ROUNDS - 1):
        best = min(min(t) for t in times)
        order = range(len(loaded))
        for k in order if round_ % 2 else reversed(order):
            is_hopeless = min(times[k]) > HOPELESS * best
            spent = sum(times[k]) * loaded[k].repeats
            is_done = len(times[k]) >= FEWEST_RUNS and spent > SECONDS_EACH
            if round_ == 0 or not (is_hopeless or is_done):
                times[k].append(loaded[k].run())
    return times


def callable_of(
    folder: Path, built: BuiltFunction, arrays: dict[tuple[Any, ...], Array]
) -> Callable:
    """`built` on arrays that functions share where they are equal."""
    function = ctypes.CDLL(built.library)[built.symbol]
    function.restype = None
    pointers, changed = [], []
    for k, (shape, dtype, role) in enumerate(built.arguments):
        array = shared_array(folder, arrays, (k, shape, dtype, role))
        pointers.append(ctypes.c_void_p(array.ctypes.data))
        if role == "inout":
            changed.append((array, shared_array(folder, arrays, (k, shape, dtype, "initial"))))
    return Callable(function, pointers, changed)


def shared_array(folder: Path, arrays: dict[tuple[Any, ...], Array], key: tuple[Any, ...]) -> Array:
    """The array of argument number, shape, type and role, filled when it is made."""
    if key not in arrays:
        k, shape, dtype, _ = key
        rng = np.random.default_rng(k)
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        memory = np.zeros(size + 2 * PAGE, np.uint8)
        start = -memory.ctypes.data % PAGE
        array = memory[start : start + size].view(dtype).reshape(shape)
        stored = folder / f"a{k}.npy"
        if stored.exists():
            array[...] = np.load(stored, allow_pickle=False).reshape(shape)
        elif np.dtype(dtype).kind == "f":
            array[...] = rng.uniform(0.5, 1.5, shape)
        arrays[key] = array
    return arrays[key]
