"""OpenBLAS through NumPy: dgemm at the size of a kernel, as a process that takes turns with others.

python -m benchmarks.polybench.dgemm M N K      each line on stdin: one product, its seconds out
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

import numpy as np

# kernel -> floating-point operations at its sizes
FLOPS = {
    "gemm": lambda s: 2 * s["ni"] * s["nj"] * s["nk"],
    "2mm": lambda s: 2 * s["ni"] * s["nj"] * (s["nk"] + s["nl"]),
    "3mm": lambda s: 2 * s["ni"] * s["nj"] * s["nk"] + 2 * s["nj"] * s["nl"] * s["nm"]
    + 2 * s["ni"] * s["nj"] * s["nl"],
    "syrk": lambda s: s["n"] * (s["n"] + 1) * s["m"],
    "syr2k": lambda s: 2 * s["n"] * (s["n"] + 1) * s["m"],
    "symm": lambda s: 2 * s["m"] * s["m"] * s["n"],
    "trmm": lambda s: s["m"] * (s["m"] - 1) * s["n"],
}  # fmt: skip
# kernel -> sizes m x n x k of the product that it is compared with
SHAPES = {
    "gemm": ("ni", "nj", "nk"),
    "2mm": ("ni", "nj", "nk"),
    "3mm": ("ni", "nj", "nk"),
    "syrk": ("n", "n", "m"),
    "syr2k": ("n", "n", "m"),
    "symm": ("m", "n", "m"),
    "trmm": ("m", "n", "m"),
}


class Dgemm:
    """A process with NumPy's BLAS in it, bound to `threads`; `run` gives flop/s of one product."""

    def __init__(self, kernel: str, sizes: dict[str, int], threads: int) -> None:
        self.shape = tuple(sizes[name] for name in SHAPES[kernel])
        command = [sys.executable, "-m", "benchmarks.polybench.dgemm", *map(str, self.shape)]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(threads)}
        self._process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self) -> float:
        """Flop/s of one product."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        m, n, k = self.shape
        return 2 * m * n * k / float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def serve(m: int, n: int, k: int) -> None:
    """Answer each line with the seconds of one product."""
    rng = np.random.default_rng(0)
    a, b, c = rng.random((m, k)), rng.random((k, n)), np.empty((m, n))
    np.matmul(a, b, out=c)
    for _ in sys.stdin:
        start = time.perf_counter()
        np.matmul(a, b, out=c)
        print(time.perf_counter() - start, flush=True)


if __name__ == "__main__":
    serve(*map(int, sys.argv[1:]))
