"""kill -9 while packages are saved and models compiled: what is there afterwards is whole.

A package is the old one or the new one; an entry of the cache is absent or complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

from tilecast.codegen.package import read_package
from tilecast.compiler.runtime.cache import KINDS, Store
from tilecast.dialects.errors import TilecastError

from .models import cache_in, compiled, context


@dataclass
class Damage:
    """How many processes were killed, in the middle of what, and what was wrong after it."""

    trials: int = 0
    interrupted: int = 0
    wrong: list[str] = field(default_factory=list)


def kill_after(process: Any, seconds: float) -> bool:
    """Kill a process; whether it was still running."""
    process.join(seconds)
    running = process.exitcode is None
    if running:
        os.kill(process.pid, signal.SIGKILL)
    process.join()
    return running


def save_again_and_again(folder: Path, cache: Path, ready: Connection) -> None:
    """Write two packages in turns to the same place, until the end."""
    os.environ["TILECAST_CACHE_DIR"] = str(cache)
    models = [compiled(seed) for seed in (0, 1)]
    models[0].save(folder)
    ready.send(True)
    while True:
        for model in models:
            model.save(folder)


def kill_saves(folder: Path, trials: int, seed: int = 0) -> Damage:
    """Kill processes that replace a package over and over."""
    rng, damage, out = Random(seed), Damage(), folder / "out"
    with cache_in(folder / "cache"):
        for s in (0, 1):
            compiled(s)  # so that the children find them
        for trial in range(trials):
            here, there = context().Pipe()
            arguments = (out, folder / "cache", there)
            process = context().Process(target=save_again_and_again, args=arguments)
            process.start()
            here.recv()
            damage.interrupted += kill_after(process, rng.uniform(0, 0.05))
            damage.trials += 1
            damage.wrong += [f"trial {trial}: {text}" for text in damaged_files(out)]
    return damage


def damaged_files(package: Path) -> list[str]:
    """What is missing from a package, or is not what its manifest says."""
    try:
        read_package(package)
        listed = json.loads((package / "manifest.json").read_text())["files"]
        found = {
            str(path.relative_to(package)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in package.rglob("*")
            if path.is_file() and path.name != "manifest.json"
        }
    except (OSError, ValueError, TilecastError) as error:
        return [f"{type(error).__name__}: {error}"]
    return [name for name in {*listed, *found} if listed.get(name) != found.get(name)]


def compile_once(seed: int, cache: Path) -> None:
    """Compile a model that is not in the cache."""
    os.environ["TILECAST_CACHE_DIR"] = str(cache)
    compiled(seed)


def kill_compiles(folder: Path, trials: int, seed: int = 0) -> Damage:
    """Kill processes that compile, each a model of its own; the cache is whole after every one."""
    rng, damage, cache = Random(seed), Damage(), folder / "cache"
    with cache_in(cache):
        start = time.monotonic()
        process = context().Process(target=compile_once, args=(10_000, cache))
        process.start()
        process.join()
        usual = time.monotonic() - start
        for trial in range(trials):
            process = context().Process(target=compile_once, args=(seed + trial, cache))
            process.start()
            damage.interrupted += kill_after(process, rng.uniform(0, 1.2 * usual))
            damage.trials += 1
            damage.wrong += [f"trial {trial}: {text}" for text in damaged_entries(cache)]
            if trial % 10 == 0:  # what a killed process has begun, another one finishes
                compiled(seed + trial).verify()
    return damage


def damaged_entries(root: Path) -> list[str]:
    """Entries of a cache that are not complete."""
    store, wrong = Store(root), []
    for kind in KINDS:
        folder = root / kind
        names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
        for name in names:
            entry = None if name.startswith(".") else store.find(kind, name)
            if name.startswith("."):
                continue  # begun by a process that was killed
            if entry is None or any(entry.read(file) is None for file in entry.files):
                wrong.append(f"{kind}/{name}")
    return wrong
