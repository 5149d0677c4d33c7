"""`python -m benchmarks.abuse --json FILE`: kills, crowds, full disks and many calls, counted.

Exit status 1 where anything was lost, half-written or wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

import click

from ..machine import describe_machine
from .crowd import compile_in_a_crowd
from .full_disk import on_small_disks, with_small_files
from .kills import kill_compiles, kill_saves
from .models import cache_in, compiled, model
from .soak import growth, wrong_answers


def run_all(folder: Path, trials: int, processes: int, calls: int) -> tuple[dict[str, Any], bool]:
    """(what was done and found, whether all is well)."""
    for name in ("saves", "compiles", "crowd", "files", "disks"):
        (folder / name).mkdir()
    saves = kill_saves(folder / "saves", trials)
    compiles = kill_compiles(folder / "compiles", trials)
    crowd = compile_in_a_crowd(folder / "crowd", processes)
    disks: dict[str, Any] = {
        f"files of {k} bytes": v for k, v in with_small_files(folder / "files").items()
    }
    try:
        disks |= on_small_disks(folder / "disks")
    except PermissionError as error:
        disks["small disks"] = (f"not tried: {error}", [])
    with cache_in(folder / "cache"):
        models = [compiled(seed) for seed in (0, 1)]
    grown = growth(models[0], model(0)[1], calls)
    wrong = wrong_answers(models, model(0)[1], 8, 2000)
    found = {
        "killed while saving": asdict(saves),
        "killed while compiling": asdict(compiles),
        "compiling the same": dict(zip(("answered", "built", "results"), crowd, strict=True)),
        "full disks": {k: {"error": e[:200], "wrong": w} for k, (e, w) in disks.items()},
        "calls": {"count": calls, "grown_bytes": grown},
        "8 threads": {"calls": 16000, "wrong": wrong},
    }
    lost = [*saves.wrong, *compiles.wrong, *(w for _, wrong in disks.values() for w in wrong)]
    fine = not lost and crowd == (processes, 1, 1) and grown < 1 << 20 and wrong == 0
    return found, fine


@click.command()
@click.option("--trials", default=100, show_default=True, help="Processes to kill, of each kind.")
@click.option("--processes", default=20, show_default=True)
@click.option("--calls", default=1_000_000, show_default=True)
@click.option("--json", "path", type=click.Path(path_type=Path))
def main(trials: int, processes: int, calls: int, path: Path | None) -> None:
    """Abuse the compiler and its packages."""
    with tempfile.TemporaryDirectory(prefix="tilecast-abuse-") as name:
        found, fine = run_all(Path(name), trials, processes, calls)
    head = {
        "command": " ".join(["python -m benchmarks.abuse", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "machine": describe_machine(),
    }
    text = json.dumps(head | found, indent=1)
    print(text)
    if path is not None:
        path.write_text(text + "\n")
    sys.exit(not fine)


if __name__ == "__main__":
    main()
