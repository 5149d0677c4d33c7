"""Measure what the machine at hand reaches, once: `tilecast targets --probe`."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ...costmodel.hardware import Machine
from ...costmodel.speeds import ELEMENT_BYTES, LEVELS, Bandwidth, Level, Speeds, estimated_speeds
from ...dialects.errors import InvalidInputError
from ..runtime.cache import Store, aligned_bytes
from ..runtime.toolchain import Toolchain
from .source import OPERATIONS_PER_LANE, probe_source

BATCH_SECONDS = 0.01
BATCHES = 5
BEYOND_L3 = 3  # a working set this many times the last cache is in memory
LARGEST_BYTES = 256 * 2**20
PART_ELEMENTS = 256  # parts are whole multiples of what one unrolled iteration takes


def probe(machine: Machine, toolchain: Toolchain, store: Store) -> Speeds:
    """Measure `machine`, which is the one at hand, in about two seconds; the result is stored."""
    with tempfile.TemporaryDirectory(prefix="tilecast-probe-") as folder:
        library = _library(machine, toolchain, Path(folder))
        threads = sorted({1, machine.cores}) if toolchain.openmp else [1]
        speeds = Speeds(
            {name: _peak(library, name, machine) for name in ELEMENT_BYTES},
            tuple(_bandwidth(library, level, t, machine) for level in LEVELS for t in threads),
            {t: _region_seconds(library, t) for t in threads},
        )
    parts = _parts(machine, toolchain)
    store.add("machines", _key(parts), {"speeds.json": speeds.to_json().encode()}, parts)
    return speeds


def known_speeds(machine: Machine, toolchain: Toolchain, store: Store) -> Speeds:
    """What an earlier `probe` of this machine has measured, else an estimate."""
    entry = store.find("machines", _key(_parts(machine, toolchain)))
    content = None if entry is None else entry.read("speeds.json")
    if content is not None:
        try:
            return Speeds.from_json(content.decode())
        except (InvalidInputError, UnicodeDecodeError):
            pass
    return estimated_speeds(machine)


def _parts(machine: Machine, toolchain: Toolchain) -> dict[str, str]:
    """What the measured numbers depend on."""
    source = hashlib.blake2b(probe_source(machine).encode(), digest_size=20).hexdigest()
    return {"machine": repr(machine), "compiler": toolchain.identity, "source": source}


def _key(parts: dict[str, str]) -> str:
    return hashlib.blake2b("\0".join(parts.values()).encode(), digest_size=20).hexdigest()


def _library(machine: Machine, toolchain: Toolchain, folder: Path) -> Any:
    """The probe's functions. Multiplications and additions may become one instruction here."""
    source, built, output = folder / "probe.c", folder / "probe.o", folder / "probe.so"
    source.write_text(probe_source(machine), encoding="utf-8")
    flags = (*toolchain.flags(machine), "-ffp-contract=fast")
    toolchain.compile(source, built, flags)
    toolchain.link([built], output, flags)
    library = ctypes.CDLL(str(output))
    for name in (*(f"peak_{n}" for n in ELEMENT_BYTES), "read_all", "copy_all", "regions"):
        library[name].restype = ctypes.c_double
    return library


def _rate(run: Callable[[int], object]) -> float:
    """The most repetitions per second that `run(repeats)` reaches in one of several batches."""
    repeats, seconds = 1, 0.0
    while seconds < BATCH_SECONDS:
        start = time.perf_counter()
        run(repeats)
        seconds = time.perf_counter() - start
        if seconds < BATCH_SECONDS:
            repeats = max(2 * repeats, round(repeats * BATCH_SECONDS / max(seconds, 1e-6)))
    best = seconds
    for _ in range(BATCHES):
        start = time.perf_counter()
        run(repeats)
        best = min(best, time.perf_counter() - start)
    return repeats / best


def _peak(library: Any, name: str, machine: Machine) -> float:
    """Operations per second of one core."""
    lanes = max(machine.vector_bytes, 16) // ELEMENT_BYTES[name]
    function = library[f"peak_{name}"]
    return _rate(lambda repeats: function(ctypes.c_int64(repeats))) * lanes * OPERATIONS_PER_LANE


def _part_bytes(level: Level, threads: int, machine: Machine) -> int:
    """Bytes per thread that `level` holds, and no smaller one."""
    match level:
        case "l1":
            return machine.l1_bytes // 2
        case "l2":
            return machine.l2_bytes // 2
        case "l3":
            return max(2 * machine.l2_bytes, machine.l3_bytes // 4 // threads)
        case "memory":
            return min(LARGEST_BYTES, BEYOND_L3 * machine.l3_bytes) // threads


def _bandwidth(library: Any, level: Level, threads: int, machine: Machine) -> Bandwidth:
    """Bytes per second of all threads; a copy moves every byte of the working set once."""
    part = _part_bytes(level, threads, machine) // 8 // PART_ELEMENTS * PART_ELEMENTS
    array = aligned_bytes(part * threads * 8).view(np.float64)
    array[:] = 1.0
    pointer = ctypes.c_void_p(array.ctypes.data)

    def rate(function: Any) -> float:
        size, count = ctypes.c_int64(part), ctypes.c_int(threads)
        return _rate(lambda r: function(pointer, size, ctypes.c_int64(r), count)) * array.nbytes

    return Bandwidth(level, threads, rate(library.read_all), rate(library.copy_all))


def _region_seconds(library: Any, threads: int) -> float:
    """What a parallel region costs that does nothing."""
    count = ctypes.c_int(threads)
    return 1 / _rate(lambda repeats: library.regions(ctypes.c_int64(repeats), count))
