"""The error of every f32 function of one argument over all 2^32 inputs: one JSON row each.

`python -m benchmarks.mathlib.prove exp log --json FILE` adds rows to the file. The reference is
libmvec in f64, which is within 4 units of its own last place. The same run compares the AVX2 code
(and the scalar code, with --scalar) with the AVX-512 code, bit for bit.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import sys
import time
from pathlib import Path
from typing import Any

from tilecast.codegen.c.prelude import Prelude
from tilecast.codegen.mathlib import FUNCTIONS

from .unit import MACHINES, Variant, build_library, build_loops, loop

INPUTS = 1 << 32
CHUNK = 1 << 18
LEVELS = (1, 4)
FUNCTION_OF_EXP = """
static inline __m512d reference(__m512d x)
{
    const __m512d one = _mm512_set1_pd(1.0);
    const __m512d e = _ZGVeN8v_exp(_mm512_sub_pd(_mm512_setzero_pd(), x));
    return _mm512_div_pd(one, _mm512_add_pd(one, e));
}
"""


def reference_text(name: str) -> str:
    """C text that defines REFERENCE; sigmoid is 1 / (1 + e^-x), whose e^-x fits in f64."""
    callee = "exp" if name == "sigmoid" else name
    declaration = f"__m512d _ZGVeN8v_{callee}(__m512d);\n"
    if name == "sigmoid":
        return declaration + FUNCTION_OF_EXP + "#define REFERENCE reference\n"
    return f"{declaration}#define REFERENCE _ZGVeN8v_{callee}\n"


def build_proof(name: str, isas: list[str]) -> ctypes.CDLL:
    """The library with `prove` for one function."""
    kernels = {f"level_{level}": Variant(name, "f32", level) for level in LEVELS}  # type: ignore[arg-type]
    listed = " ".join(f"X({k}, {symbol})" for k, symbol in enumerate(kernels))
    externs = "".join(f"void other_{isa}(const float *x, float *out, int64_t n);\n" for isa in isas)
    same = " ".join(f"X({k}, other_{isa})" for k, isa in enumerate(isas))
    prelude = Prelude(MACHINES["avx512"])
    loops = [loop(variant, prelude, symbol) for symbol, variant in kernels.items()]
    others = []
    for isa in isas:
        other = build_loops(isa, {f"other_{isa}": Variant(name, "f32", 1, isa)})
        others.append(other._name)
    text = "\n".join(
        [
            prelude.text(),
            *loops,
            externs,
            reference_text(name),
            f"#define KERNELS(X) {listed}\n#define SAME(X) {same}\n",
            Path(__file__).with_name("proof.c").read_text(),
        ]
    )
    return build_library(text, ["-march=x86-64-v4", *others, "-l:libmvec.so.1"])


def prove(name: str, isas: list[str], share: int = 1) -> dict[str, Any]:
    """One row: greatest error and where, per accuracy; differences between instruction sets.

    Of the 2^14 runs of 2^18 neighbouring bit patterns, every `share`-th is taken.
    """
    library = build_proof(name, isas)
    worst = (ctypes.c_double * len(LEVELS))()
    where = (ctypes.c_float * len(LEVELS))()
    different = (ctypes.c_uint64 * max(1, len(isas)))()
    start = time.monotonic()
    for first in range(0, INPUTS, CHUNK * share):
        library.prove(
            ctypes.c_uint64(first), ctypes.c_uint64(first + CHUNK), worst, where, different
        )
    row: dict[str, Any] = {"inputs": INPUTS // share, "seconds": round(time.monotonic() - start, 1)}
    for k, level in enumerate(LEVELS):
        row[f"max_ulp_{level}"] = round(worst[k], 4)
        row[f"at_{level}"] = float(where[k]).hex()
    for k, isa in enumerate(isas):
        row[f"different_bits_{isa}"] = different[k]
    return row


def main() -> None:
    """Prove the functions named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    unary = [n for n, f in FUNCTIONS.items() if f.arity == 1 and "f32" in f.elements]
    parser.add_argument("names", nargs="*", help=f"of {', '.join(unary)}")
    parser.add_argument("--scalar", action="store_true", help="compare the scalar code as well")
    parser.add_argument("--share", type=int, default=1, help="only one in so many inputs")
    parser.add_argument("--json", type=Path, help="add the rows to this file")
    arguments = parser.parse_args()
    isas = ["avx2", "scalar"] if arguments.scalar else ["avx2"]
    for name in arguments.names or unary:
        row = prove(name, isas, arguments.share)
        print(f"{name}: {row}", file=sys.stderr, flush=True)
        if arguments.json:
            rows = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
            if row["inputs"] < rows.get(name, {"inputs": 0})["inputs"]:
                continue  # a sample does not replace a proof
            rows[name] = row
            arguments.json.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
