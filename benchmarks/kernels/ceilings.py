"""The machine's ceilings, measured: flops in f32 and in bf16, and bytes copied, per second."""

from __future__ import annotations

import json
import subprocess
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from tilecast.compiler.target import EXTENSIONS, native_machine

SOURCE = Path(__file__).with_name("ceilings.c")
FLAGS = ["-O2", "-std=gnu11", "-march=native", "-ffp-contract=fast", "-fopenmp"]


@dataclass(frozen=True)
class Ceilings:
    """`flops` a second in f32, `bf16_flops` of products of bf16 summed in f32, `bytes` read and
    written a second by a copy past the caches."""

    flops: float
    bf16_flops: float
    bytes: float

    def flops_of(self, element: str) -> float:
        """For operands of this type."""
        return self.bf16_flops if element == "bf16" else self.flops

    def seconds(self, flops: float, bytes: float) -> float:
        """The roofline: no program needs less time for this work on data in memory."""
        return max(flops / self.flops, bytes / self.bytes)

    def as_data(self) -> dict[str, float]:
        """For a result file."""
        return asdict(self)


def extensions() -> list[str]:
    """Flags for what this CPU has and `native` of older compilers does not know it has."""
    features = native_machine().features
    return [flag for feature, flag in EXTENSIONS.items() if feature in features]


def measure_ceilings(threads: int) -> Ceilings:
    """Build and run the little C program; about a second."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "ceilings"
        subprocess.run(["cc", *FLAGS, *extensions(), str(SOURCE), "-o", str(program)], check=True)
        done = subprocess.run([program, str(threads)], check=True, capture_output=True, text=True)
    return Ceilings(**json.loads(done.stdout))
