"""The machine's ceilings, measured: f32 multiply-adds per second and bytes copied per second."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

SOURCE = Path(__file__).with_name("ceilings.c")
FLAGS = ["-O2", "-std=gnu11", "-march=native", "-ffp-contract=fast", "-fopenmp"]


@dataclass(frozen=True)
class Ceilings:
    """`flops` a second in f32, `bytes` read and written a second by a copy past the caches."""

    flops: float
    bytes: float

    def seconds(self, flops: float, bytes: float) -> float:
        """The roofline: no program needs less time for this work on data in memory."""
        return max(flops / self.flops, bytes / self.bytes)

    def as_data(self) -> dict[str, float]:
        """For a result file."""
        return asdict(self)


def measure_ceilings(threads: int) -> Ceilings:
    """Build and run the little C program; about a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ceilings"
        subprocess.run(["cc", *FLAGS, str(SOURCE), "-o", str(program)], check=True)
        done = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True)
    return Ceilings(**json.loads(done.stdout))
