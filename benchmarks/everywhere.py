"""One package on many machines: `python -m benchmarks.everywhere --output FILE`.

A portable package of MiniLM is built and checked on this machine at every level, under qemu as a
Haswell (AVX2, no AVX-512), as aarch64 and as riscv64; a c99 package as 32-bit ARM. What is not
installed is said to be left out. Exit status 1 where a check failed or was killed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import tilecast

from examples import keyword_spotting, minilm, mlp

from .machine import result_head

LEVELS = ("x86-64-v4", "x86-64-v3", "generic")
MODELS: dict[str, Callable[[], Any]] = {
    "minilm": minilm.model,
    "words": keyword_spotting.model,
    "mlp": mlp.model,
}


@dataclass(frozen=True)
class Place:
    """Where a package is checked: `compiler` builds it, `runner` runs it, `level` is asked for."""

    name: str
    package: str = "portable"
    compiler: str = "cc"
    runner: tuple[str, ...] = ()
    level: str = ""
    static: bool = True


PLACES = (
    *(Place(f"here, {level}", level=level, static=False) for level in LEVELS),
    Place("qemu Haswell", runner=("qemu-x86_64", "-cpu", "Haswell")),
    Place("qemu Nehalem", runner=("qemu-x86_64", "-cpu", "Nehalem")),
    Place("qemu aarch64", compiler="aarch64-linux-gnu-gcc", runner=("qemu-aarch64",)),
    Place("qemu riscv64", compiler="riscv64-linux-gnu-gcc", runner=("qemu-riscv64",)),
    Place("qemu arm", "c99", compiler="arm-linux-gnueabihf-gcc", runner=("qemu-arm",)),
)


def checked(place: Place, folder: Path) -> dict[str, Any]:
    """Build the package in `folder` and run its check; signals are negative statuses."""
    tools = (place.compiler, *place.runner[:1])
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        return {"left_out": f"{missing[0]} is not installed"}
    make = ["make", "-C", str(folder), "build/check", f"CC={place.compiler}"]
    make += ["LDFLAGS=-static"] if place.static else []
    shutil.rmtree(folder / "build", ignore_errors=True)
    built = subprocess.run(make, capture_output=True, text=True)
    if built.returncode != 0:
        return {"status": built.returncode, "output": built.stderr[-1000:]}
    environment = os.environ | ({"TILECAST_LEVEL": place.level} if place.level else {})
    command = [*place.runner, str(folder / "build" / "check"), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    agreed = done.stdout.count("all outputs agree")  # of the levels that this CPU has
    status = done.returncode or int(not agreed)
    return {"status": status, "agreed": agreed, "output": done.stdout[-2000:] + done.stderr[-500:]}


def emitted(name: str, kind: str, folder: Path) -> Path:
    """The package of a kind, which is made where there is none in `folder`."""
    package = folder / f"{name}-{kind}"
    if not package.exists():
        options: dict[str, Any] = {"target": "c99"}
        if kind == "portable":
            options = {"target": LEVELS[0], "portable": True}
        model, inputs = MODELS[name]()
        tilecast.emit(model, inputs, package, name=name, **options)
    return package


def main() -> None:
    """Emit both packages, go everywhere."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="minilm", choices=list(MODELS))
    parser.add_argument("--places", nargs="*", help="Words that names of places contain.")
    parser.add_argument("--folder", type=Path, help="Where packages stay for the next run.")
    parser.add_argument("--output", type=Path, help="JSON file to write; other rows in it stay")
    options = parser.parse_args()
    places = [p for p in PLACES if not options.places or any(w in p.name for w in options.places)]
    rows = {}
    with tempfile.TemporaryDirectory(prefix="tilecast-everywhere-") as name:
        for place in places:
            package = emitted(options.model, place.package, options.folder or Path(name))
            row = {"model": options.model} | asdict(place) | checked(place, package)
            rows[options.model, place.name] = row
            print(f"{place.name}: {row.get('left_out') or row['output']}", flush=True)
    if options.output is not None:
        written = json.loads(options.output.read_text()) if options.output.exists() else {}
        before = {(row["model"], row["name"]): row for row in written.get("rows", [])}
        rows_of_all = list((before | rows).values())
        result = result_head("benchmarks.everywhere") | {"rows": rows_of_all}
        options.output.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(any(row.get("status", 0) != 0 for row in rows.values()))


if __name__ == "__main__":
    main()
