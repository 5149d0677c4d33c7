"""A micro-kernel of your own as a library: a matrix product from a schedule written by hand.

Nothing in the compiler knows this kernel. The loops are Python, the schedule says what becomes a
tile of registers; it is checked against the dependences, and the C against the Python function.
Run it: `python -m examples.custom_micro_kernel`.
"""

from __future__ import annotations

import numpy as np
import tilecast
from tilecast import f32, kernel


@kernel
def product(n: int, m: int, k: int, C: f32["n", "m"], A: f32["n", "k"], B: f32["k", "m"]) -> None:
    """C += A B."""
    for i in range(n):
        for j in range(m):
            for p in range(k):
                C[i, j] += A[i, p] * B[p, j]


def micro_kernel(rows: int, vectors: int, lanes: int, depth: int) -> str:
    """Steps that keep `rows` x `vectors` vectors of C in registers for all `depth` values of p.

    S0_load and S0_store are what `accumulate` adds around the sum S0: a tile of C comes into
    registers, the sum runs over p inside of it, and the tile goes back.
    """
    names = ("S0_load", "S0", "S0_store")

    def loop(kind: str, name: str, index: str, body: str, over: tuple[str, ...] = names) -> str:
        members = "; ".join(f"{statement}: {index}" for statement in over)
        return f"{kind} {name}[{members}] {{ {body} }}"

    def tile(statement: str) -> str:
        one, width = (statement,), vectors * lanes
        lane, vector = f"i1 - {lanes}*floor(i1/{lanes})", f"floor(i1/{lanes})"
        body = loop(f"vector({lanes})", f"{statement}.l", lane, statement, one)
        vector += f" - {vectors}*floor(i1/{width})"
        body = loop("unroll", f"{statement}.v", vector, body, one)
        return loop("unroll", f"{statement}.r", f"i0 - {rows}*floor(i0/{rows})", body, one)

    inner = f"{tile('S0_load')} {loop('for', 'S0.p', 'i2', tile('S0'), ('S0',))} {tile('S0_store')}"
    columns = loop("for", "S0.column", f"floor(i1/{vectors * lanes})", inner)
    whole = loop("parallel", "S0.row", f"floor(i0/{rows})", columns)
    return f"accumulate(S0, 2, {depth})\nrearrange({whole})"


def main() -> None:
    """Compile under the schedule, which verifies it, and compare with NumPy."""
    n, m, k = 192, 192, 256
    schedule = micro_kernel(rows=6, vectors=2, lanes=8, depth=k)
    fast = tilecast.compile(product, sizes={"n": n, "m": m, "k": k}, schedule=schedule)
    rng = np.random.default_rng(0)
    a, b = rng.standard_normal((n, k), np.float32), rng.standard_normal((k, m), np.float32)
    c = np.zeros((n, m), np.float32)
    fast(c, a, b)
    print(f"largest difference from NumPy: {np.abs(c - a @ b).max()} of {np.abs(c).max()}")


if __name__ == "__main__":
    main()
