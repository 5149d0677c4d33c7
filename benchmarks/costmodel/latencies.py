"""Where the roofline's constants come from: cycles of single things, each in a loop of its own.

    python -m benchmarks.costmodel.latencies --json benchmarks/results/latencies.json

`costmodel/features` has them as `THROUGH_MEMORY`, `FORWARDED`, `HORIZONTAL`, `CROWDED`, `CONFLICT`.
Needs AVX-512 and gcc; two seconds on an idle machine.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from pathlib import Path

from ..machine import result_head

SOURCE = Path(__file__).with_suffix(".c")
COMMAND = ("gcc", "-O2", "-march=x86-64-v4", "-ffp-contract=off")


def cycles() -> dict[str, float]:
    """What the program prints, by name."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "latencies"
        subprocess.run([*COMMAND, str(SOURCE), "-o", str(program)], check=True)
        text = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    found = (line.split("\t") for line in text.splitlines())
    return {name: float(value) for name, value in found}


def main() -> None:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.costmodel.latencies")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    found = cycles()
    for name, value in found.items():
        print(f"{value:8.2f}  {name}")
    if options.json is not None:
        document = {**result_head("benchmarks.costmodel.latencies"), "cycles": found}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
