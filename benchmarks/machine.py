"""What a result file says first: when and how it was measured, and on which machine."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def now() -> str:
    """This moment, as result files write it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def result_head(module: str) -> dict[str, Any]:
    """Date, the command that runs `module` with this process's arguments, and the machine."""
    return {"date": now(), "command": command_of(module), "machine": describe_machine()}


def command_of(module: str) -> str:
    """The command that runs `module` with this process's arguments. Of places outside of the
    repository, which mean nothing elsewhere, it has the last part."""
    return shlex.join(["python", "-m", module, *map(_portable, sys.argv[1:])])


def _portable(argument: str) -> str:
    path = Path(argument)
    if not path.is_absolute():
        return argument
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else path.name


def describe_machine() -> dict[str, Any]:
    """CPU model, cores, memory, system and C compiler."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "memory_gib": memory_gib(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "compiler": compiler_version(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }


def usable_cores() -> int | None:
    """Logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count()


def cpu_model() -> str:
    """The CPU's name as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Installed memory."""
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (ValueError, OSError):
        return None


def compiler_version() -> str | None:
    """First line of `cc --version`."""
    try:
        done = subprocess.run(["cc", "--version"], capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.partition("\n")[0] or None
