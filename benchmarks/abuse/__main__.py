"""`python -m benchmarks.abuse --json FILE`: kills, crowds, full disks, many calls and
sanitizers, counted.

Exit status 1 where anything was lost, half-written or wrong.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from ..fuzz.log import current_commit
from ..machine import result_head
from .crowd import compile_in_a_crowd
from .full_disk import on_small_disks, with_small_files
from .kills import kill_compiles, kill_saves
from .models import cache_in, compiled, model
from .sanitizers import NAMES, unclean
from .soak import growth, wrong_answers

SAVING, COMPILING = "killed while saving", "killed while compiling"
PARTS = (SAVING, COMPILING, "compiling the same", "full disks", "calls", "8 threads", "sanitizers")


@dataclass(frozen=True)
class Amounts:
    """Processes to kill, competitors and calls; the first seed of the kills."""

    trials: int
    processes: int
    calls: int
    seed: int = 0


def run_part(part: str, folder: Path, amounts: Amounts) -> tuple[dict[str, Any], bool]:
    """(what was done and found, whether all is well), of a part other than sanitizers."""
    folder.mkdir()
    if part in (SAVING, COMPILING):
        kill = kill_saves if part == SAVING else kill_compiles
        damage = kill(folder, amounts.trials, amounts.seed)
        return asdict(damage), not damage.wrong
    if part == "compiling the same":
        crowd = compile_in_a_crowd(folder, amounts.processes)
        found = dict(zip(("answered", "built", "results"), crowd, strict=True))
        return found, crowd == (amounts.processes, 1, 1)
    if part == "full disks":
        return full_disks(folder)
    with cache_in(folder / "cache"):
        models = [compiled(seed) for seed in (0, 1)]
    if part == "calls":
        grown = growth(models[0], model(0)[1], amounts.calls)
        return {"count": amounts.calls, "grown_bytes": grown}, grown < 1 << 20
    wrong = wrong_answers(models, model(0)[1], 8, 2000)
    return {"calls": 16000, "wrong": wrong}, wrong == 0


def full_disks(folder: Path) -> tuple[dict[str, Any], bool]:
    """Files that may not grow, and small disks where this process may mount some."""
    for name in ("files", "disks"):
        (folder / name).mkdir()
    disks: dict[str, Any] = {
        f"files of {k} bytes": v for k, v in with_small_files(folder / "files").items()
    }
    try:
        disks |= on_small_disks(folder / "disks")
    except PermissionError as error:
        disks["small disks"] = (f"not tried: {error}", [])
    found = {k: {"error": e[:200], "wrong": w} for k, (e, w) in disks.items()}
    return found, not any(wrong for _, wrong in disks.values())


def sanitized(folder: Path, done: dict[str, Any]) -> Iterator[tuple[dict[str, Any], bool]]:
    """What is found so far, after each model of the zoo and of the benchmarks that is not `done`
    (model -> commit and unclean checks); every model is run under every sanitizer."""
    folder.mkdir()
    found = {name: done[name] for name in NAMES if name in done}
    for name in NAMES:
        if name not in done:
            with tempfile.TemporaryDirectory(dir=folder) as place:
                wrong = unclean(name, Path(place))
            print(f"{name}: {wrong or 'clean'}", file=sys.stderr, flush=True)
            found[name] = {"commit": current_commit(), "unclean": wrong}
        yield found, not any(model["unclean"] for model in found.values())


def part_results(
    part: str, folder: Path, amounts: Amounts, before: dict[str, Any]
) -> Iterator[tuple[dict[str, Any], bool]]:
    """(what was done and found so far with what `before` has, whether all is well)."""
    if part == "sanitizers":
        yield from sanitized(folder, before)
        return
    found, fine = run_part(part, folder, amounts)
    yield ({key: before[key] + found[key] for key in found} if before else found), fine


@click.command()
@click.option("--trials", default=100, show_default=True, help="Processes to kill, of each kind.")
@click.option("--processes", default=20, show_default=True)
@click.option("--calls", default=1_000_000, show_default=True)
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), help="Default: all.")
@click.option("--add", is_flag=True, help="Go on where the file ends: other seeds, models.")
@click.option("--json", "path", type=click.Path(path_type=Path), help="Other parts in it stay.")
def main(
    trials: int, processes: int, calls: int, parts: tuple[str, ...], add: bool, path: Path | None
) -> None:
    """Abuse the compiler and its packages."""
    result = json.loads(path.read_text()) if path is not None and path.exists() else {}
    all_fine = True
    for part in parts or PARTS:
        goes_on = add and part in (SAVING, COMPILING, "sanitizers")
        before = result.get(part, {}) if goes_on else {}
        amounts = Amounts(trials, processes, calls, before.get("trials", 0))
        with tempfile.TemporaryDirectory(prefix="tilecast-abuse-") as name:
            for found, fine in part_results(part, Path(name) / "here", amounts, before):
                result[part], all_fine = found, all_fine and fine
                if path is not None:
                    document = result | result_head("benchmarks.abuse")
                    path.write_text(json.dumps(document, indent=1) + "\n")
        print(f"{part}: {json.dumps(result[part])}", flush=True)
    sys.exit(not all_fine)


if __name__ == "__main__":
    main()
