"""Target names to machines: the CPU at hand, an x86-64 level, a CPU known to archspec, plain C."""

from __future__ import annotations

import ctypes
import difflib
import os
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import archspec.cpu
from archspec.cpu.detect import detected_info

from ..costmodel.hardware import Isa, Machine
from ..dialects.errors import OptionError

PLAIN_C = ("c99", "generic")
LEVELS: dict[Isa, str] = {"avx512": "x86-64-v4", "avx2": "x86-64-v3"}
AVX512 = frozenset({"avx512f", "avx512bw", "avx512vl", "avx512dq", "fma"})
AVX2 = frozenset({"avx2", "fma"})
# Instructions beyond a level that emitted code uses where a flag allows them: feature -> flag
EXTENSIONS = {
    "avx512_vnni": "-mavx512vnni",
    "avx512_bf16": "-mavx512bf16",
    "amx_tile": "-mamx-tile",
    "amx_bf16": "-mamx-bf16",
    "amx_int8": "-mamx-int8",
}
# Cache sizes of a recent server core, for targets that are not the machine at hand.
GPUS = ("sm_80", "sm_89", "sm_90")
# NEON through GNU vector extensions: C that any CPU runs, for the registers that aarch64 has.
ARM = "aarch64"
GENERIC_CACHES: dict[str, Any] = {
    "l1_bytes": 32 * 1024,
    "l2_bytes": 1024 * 1024,
    "l3_bytes": 32 * 1024 * 1024,
}


def resolve_target(name: str) -> Machine:
    """The machine called `name`: native, x86-64[-v2|-v3|-v4], a CPU name, plain C, aarch64, a GPU.

    "generic" is scalar C11 with threads for any CPU, "c99" the same without threads or heap;
    "aarch64" has vectors as wide as NEON; "sm_80", "sm_89" and "sm_90" are CUDA, "sm_90:114" for a
    device with 114 multiprocessors instead of those of the usual one.
    """
    if name in PLAIN_C:
        return Machine(name, "scalar", cores=1 if name == "c99" else physical_cores())
    if name == ARM:
        return Machine(name, "neon", vector_bytes=16, vector_registers=32, cores=physical_cores())
    if gpu := re.fullmatch(r"(sm_\d+)(?::([1-9]\d{0,2}))?", name):
        architecture, multiprocessors = gpu[1], int(gpu[2] or 0)
        if architecture in GPUS:
            return Machine(
                architecture, "scalar", features=("fma",), multiprocessors=multiprocessors
            )
    if name == "native":
        return native_machine()
    known = archspec.cpu.TARGETS
    found = known.get(name) or known.get(name.replace("-", "_"))
    if found is None or not is_x86(found):
        names = target_names()
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else "."
        raise OptionError(f"unknown target {name!r}{hint} Known targets: {', '.join(names)}")
    return machine_of(found, level_name(found))


def target_names() -> list[str]:
    """Every name that `resolve_target` takes, sorted; the general ones first."""
    cpus = sorted(n for n, cpu in archspec.cpu.TARGETS.items() if is_x86(cpu))
    levels = [n.replace("x86_64_v", "x86-64-v") for n in cpus if n.startswith("x86_64_v")]
    return [
        "native",
        *PLAIN_C,
        ARM,
        *GPUS,
        *levels,
        *(n for n in cpus if not n.startswith("x86_64")),
    ]


def portable_targets(machine: Machine) -> tuple[str, ...]:
    """Targets that together run on every CPU, best first, for CPUs that lack what `machine` has."""
    levels = list(LEVELS.values())
    below = levels[levels.index(LEVELS[machine.isa]) :] if machine.isa in LEVELS else []
    able = set(machine.features)
    return *(level for level in below if able > set(resolve_target(level).features)), "generic"


def level_name(cpu: Any) -> str:
    """The name of an archspec CPU, levels spelled as compilers do: x86-64-v3."""
    return str(cpu.name).replace("x86_64", "x86-64").replace("_v", "-v")


def is_x86(cpu: Any) -> bool:
    """Whether an archspec microarchitecture is a 64-bit x86 one."""
    return str(cpu.family) == "x86_64"


@cache
def native_machine() -> Machine:
    """The machine this process runs on; scalar where it is not an x86-64 one."""
    cpu = archspec.cpu.host()
    if str(cpu.family) == ARM:
        return replace(resolve_target(ARM), name="native", **cache_sizes())
    if not is_x86(cpu):
        return Machine("native", "scalar", cores=physical_cores(), **cache_sizes())
    # archspec names the best model that it knows, whose features may be fewer than there are
    seen = frozenset(map(str, detected_info().features)) & EXTENSIONS.keys()
    machine = machine_of(cpu, level_name(cpu), physical_cores(), cache_sizes(), seen)
    if "amx_tile" not in machine.features or may_use_tiles():
        return machine
    usable = tuple(f for f in machine.features if not f.startswith("amx"))
    return replace(machine, features=usable)


def may_use_tiles() -> bool:
    """Ask Linux for the tile registers of AMX, which it keeps for no process that did not ask
    (Documentation/arch/x86/xstate.rst); whether this process has them now."""
    if sys.platform != "linux":
        return False
    permission, tile_data, arch_prctl = 0x1023, 18, 158
    return bool(ctypes.CDLL(None).syscall(arch_prctl, permission, tile_data) == 0)


def machine_of(
    cpu: Any,
    name: str,
    cores: int = 1,
    caches: dict[str, Any] | None = None,
    more: frozenset[str] = frozenset(),
) -> Machine:
    """A machine with the vector unit that the features of `cpu`, and `more`, allow."""
    features = frozenset(str(f) for f in cpu.features) | more
    isa: Isa = "avx512" if features >= AVX512 else "avx2" if features >= AVX2 else "scalar"
    return Machine(
        name,
        isa,
        features=tuple(sorted(features)),
        vector_bytes={"avx512": 64, "avx2": 32, "scalar": 0}[isa],
        vector_registers=32 if isa == "avx512" else 16,
        cores=cores,
        **(GENERIC_CACHES | (caches or {})),
    )


def architecture_flags(machine: Machine, compiler: str, version: str) -> tuple[str, ...]:
    """Flags that let `compiler` ("gcc" or "clang") use what `machine` has, and nothing more.

    The name of the microarchitecture is given and not `native`, so that equal keys mean equal code.
    """
    if machine.name in {*PLAIN_C, ARM, "native"} or machine.is_gpu:
        return ()
    cpu = archspec.cpu.TARGETS[machine.name.replace("-", "_")]
    try:
        text: str = cpu.optimization_flags(compiler, version)
    except (archspec.cpu.UnsupportedMicroarchitecture, ValueError):
        text = f"-march={LEVELS[machine.isa]}" if machine.isa in LEVELS else ""
    extensions = (flag for feature, flag in EXTENSIONS.items() if feature in machine.features)
    flags = (*text.split(), *extensions)
    return with_general_tuning(flags) if compiler == "gcc" and machine.isa == "avx2" else flags


def with_general_tuning(flags: tuple[str, ...]) -> tuple[str, ...]:
    """`flags` without costs of one microarchitecture.

    With those of Zen 2 and 3, gcc 12 folds the load of a vector into each of up to four FMAs that
    use it: a register tile of four rows then waits for loads, at half the speed.
    """
    return tuple("-mtune=generic" if f.startswith("-mtune=") else f for f in flags)


@cache
def physical_cores() -> int:
    """Physical cores that this process may run on (hyperthreads of one core count once)."""
    available = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set()
    cores = set()
    for cpu in available:
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology")
        try:
            siblings = (topology / "thread_siblings_list").read_text().strip()
        except OSError:
            siblings = str(cpu)
        cores.add(siblings)
    return len(cores) or os.cpu_count() or 1


def thread_count(asked: int | None, machine: Machine) -> int:
    """The threads a program runs with: as asked, else every physical core; one for c99 and GPUs."""
    if machine.name == "c99" or machine.is_gpu:
        return 1
    return asked or physical_cores()


def lacking(machine: Machine) -> list[str]:
    """Features of `machine` that the machine at hand does not have."""
    return sorted(set(machine.features) - set(native_machine().features))


def check_runs_here(machine: Machine, target: str) -> None:
    """OptionError where this machine lacks an instruction that `target` uses."""
    if machine.is_gpu:
        return  # under host emulation
    if missing := lacking(machine):
        raise OptionError(
            f"target {target!r} needs {', '.join(missing)}, which this machine lacks; "
            "write its sources with tilecast.emit and build them where it runs"
        )


def cache_sizes() -> dict[str, Any]:
    """L1 data, L2 and L3 bytes of the machine at hand, as far as the system tells."""
    sizes: dict[str, Any] = {}
    for entry in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        try:
            level = (entry / "level").read_text().strip()
            kind = (entry / "type").read_text().strip()
            text = (entry / "size").read_text().strip()
        except OSError:
            continue
        if kind == "Instruction" or level not in {"1", "2", "3"}:
            continue
        unit = {"K": 1024, "M": 1024 * 1024}.get(text[-1:], 1)
        sizes[f"l{level}_bytes"] = int(text.rstrip("KM")) * unit
    return sizes
