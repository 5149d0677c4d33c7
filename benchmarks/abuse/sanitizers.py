"""Packages built and checked under sanitizers: addresses, undefined behavior, races; valgrind.

ThreadSanitizer does not see how libgomp waits, so OpenMP's entry points come from
`openmp_threads.c`. Valgrind sees what addresses alone do not show: numbers that nobody wrote.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import tilecast

from ..models import MODELS, load_model
from ..zoo import TOWERS, zoo_model

THREADS = Path(__file__).parent / "openmp_threads.c"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=all")
RACES = "-fsanitize=thread"
# Long blocks of vector code exhaust what valgrind keeps for one translation.
VALGRIND = ("valgrind", "--quiet", "--error-exitcode=9", "--vex-guest-max-insns=20")
SECONDS = 1500
# Other sizes of models that are among the others, which take valgrind an hour or more.
LARGE = {"bert-base", "gpt2-small", "gpt2-decode", "vit-b16", "minilm-b8", "whisper-tiny"}
NAMES = (*TOWERS, *(name for name in MODELS if name not in LARGE))


class UncleanError(AssertionError):
    """A command failed, or a sanitizer found something."""


def run(command: Sequence[str | Path]) -> str:
    """What `command` says; UncleanError where it fails or a sanitizer speaks."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS)
    text = done.stdout[-3000:] + done.stderr[-6000:]
    if done.returncode != 0 or "Sanitizer" in text:
        raise UncleanError(f"{' '.join(map(str, command))}: status {done.returncode}\n{text}")
    return text


def check_addresses(package: Path) -> str:
    """The check of `package` under AddressSanitizer and UndefinedBehaviorSanitizer."""
    flags = " ".join(SANITIZE)
    return run(["make", "-C", package, "check", f"CFLAGS=-g -O1 {flags}", f"LDFLAGS={flags}"])


def check_races(package: Path, folder: Path) -> int:
    """The check of `package` under ThreadSanitizer: the number of parallel regions that ran."""
    link = f"LDFLAGS={threads_object(folder)} {RACES}"
    return regions(run(["make", "-C", package, "check", f"CFLAGS=-g -O1 {RACES}", link]))


def check_memory(package: Path) -> str:
    """The check of `package` in valgrind, as it ships: less optimized code takes ten times as long.
    Valgrind knows AVX2 but not AVX-512."""
    run(["make", "-C", package, "build/check", "CFLAGS=-g"])
    return run([*VALGRIND, package / "build" / "check", package])


def threads_object(folder: Path) -> Path:
    """OpenMP's entry points on threads that ThreadSanitizer follows, compiled in `folder`."""
    path = folder / "openmp_threads.o"
    run(["gcc", "-g", "-O1", RACES, "-c", THREADS, "-o", path])
    return path


def regions(text: str) -> int:
    """How many parallel regions a program ran, from what it printed."""
    return sum(map(int, re.findall(r"parallel regions: (\d+)", text)))


def emitted(name: str, folder: Path, **options: Any) -> Path:
    """The package of a model of the zoo or of the benchmarks, in `folder`."""
    module, inputs = zoo_model(name) if name in TOWERS else load_model(name)
    return tilecast.emit(module, inputs, folder / "package", **options)


def checks(folder: Path) -> dict[str, tuple[dict[str, Any], Callable[[Path], Any]]]:
    """name -> (options of the package, its check)."""
    return {
        "addresses, c99": ({"target": "c99"}, check_addresses),
        "addresses, native": ({"target": "native", "threads": 2}, check_addresses),
        "races": ({"target": "native", "threads": 4}, lambda p: check_races(p, folder)),
        "valgrind, c99": ({"target": "c99"}, check_memory),
        "valgrind, AVX2": ({"target": "x86-64-v3", "threads": 1}, check_memory),
    }


def unclean(name: str, folder: Path) -> dict[str, str]:
    """check -> what it found, of those that are not clean."""
    found = {}
    for k, (check, (options, test)) in enumerate(checks(folder).items()):
        place = folder / str(k)
        place.mkdir()
        try:
            test(emitted(name, place, **options))
        except (UncleanError, subprocess.TimeoutExpired, tilecast.TilecastError) as error:
            found[check] = str(error)[-4000:]
    return found
