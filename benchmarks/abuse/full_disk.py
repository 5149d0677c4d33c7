"""Compile and save where the disk is full, or files may not grow: one clear error, nothing begun.

RLIMIT_FSIZE needs no rights and stops every file at a size, those of the C compiler too. A small
file system in memory (root only) is full as a whole.
"""

from __future__ import annotations

import os
import resource
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from tilecast.dialects.errors import TilecastError

from .kills import damaged_entries, damaged_files
from .models import compiled, context

LIMITS = (0, 100, 1_000, 4_000, 16_000, 64_000, 1_000_000)
SMALL_DISKS = (64, 256, 1024)  # KiB


def compile_and_save(home: Path, temporary: Path, limit: int | None, result: Connection) -> None:
    """What becomes of a compilation and of saving its result: "" or an error of tilecast's."""
    os.environ["TILECAST_CACHE_DIR"] = str(home / "cache")
    os.environ["TMPDIR"] = tempfile.tempdir = str(temporary)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        fast = compiled(0)
        fast.save(home / "out")
        result.send("")
    except TilecastError as error:
        result.send(f"{type(error).__name__}: {error}")
    except BaseException as error:
        result.send(f"not an error of tilecast: {error!r}")


def what_is_wrong(home: Path, temporary: Path, limit: int | None) -> tuple[str, list[str]]:
    """(the error, what is wrong with it or with what is left in `home`)."""
    here, there = context().Pipe()
    arguments = (home, temporary, limit, there)
    process = context().Process(target=compile_and_save, args=arguments)
    process.start()
    there.close()
    try:
        answer = str(here.recv())
    except EOFError:
        answer = "not an error of tilecast: the process died"
    process.join()
    wrong = [answer] if answer.startswith("not an error") else []
    if (home / "cache").is_dir():
        wrong += damaged_entries(home / "cache")
        wrong += [str(path) for path in (home / "cache").glob("*/.*")]
    if (home / "out").exists():
        wrong += damaged_files(home / "out")
    elif not answer:
        wrong.append("no error and no package")
    return answer, wrong + [str(path) for path in home.glob(".*")]


def with_small_files(folder: Path) -> dict[int, tuple[str, list[str]]]:
    """For each limit of a file's size: the error, and what is wrong."""
    results = {}
    for limit in LIMITS:
        home = folder / str(limit)
        home.mkdir()
        results[limit] = what_is_wrong(home, Path(tempfile.gettempdir()), limit)
    return results


@contextmanager
def small_disk(folder: Path, kib: int) -> Iterator[Path]:
    """A file system of that size at `folder`; PermissionError where this user may not."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={kib}k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True).returncode != 0:
        raise PermissionError("only root mounts file systems")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def on_small_disks(folder: Path) -> dict[str, tuple[str, list[str]]]:
    """The same with cache and package on a small disk, and with temporary files there too."""
    results = {}
    for kib in SMALL_DISKS:
        for shared in (False, True):
            name = f"{kib} KiB, {'with' if shared else 'without'} temporary files"
            with small_disk(folder / f"{kib}-{shared}", kib) as home:
                temporary = home / "tmp" if shared else Path(tempfile.gettempdir())
                temporary.mkdir(exist_ok=True)
                results[name] = what_is_wrong(home, temporary, None)
    return results
