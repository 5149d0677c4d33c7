"""The error of every f32 function of one argument over all 2^32 inputs: one JSON row each.

`python -m benchmarks.mathlib.prove exp log --json FILE` adds rows to the file. The reference is
libmvec in f64, which is within 4 units of its own last place. The same run compares the code of
narrower instruction sets (the scalar code, with --scalar) with that of the widest vectors here,
bit for bit, and finds the error of libmvec's f32 function. Functions with tables of several sizes
have a row for each ("erf", "erf.8").
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
from tilecast.codegen.mathlib import FUNCTIONS, Accuracy
from tilecast.codegen.mathlib.formula import LARGEST_TABLE
from tilecast.codegen.mathlib.piecewise import PIECES
from tilecast.compiler.target import native_machine

from .peers import lanes_of, libmvec_symbol, peer_address
from .unit import C_TYPES, MACHINES, Variant, build_library, build_loops, loop
from .unit import LEVELS as UNIT_LEVELS

INPUTS = 1 << 32
CHUNK = 1 << 18
LEVELS: tuple[Accuracy, ...] = (1, 4)
OF_POWER = {"logistic_divisor": "1.0 + y[k]", "sigmoid": "1.0 / (1.0 + y[k])"}  # y: e^-x
BITS = {"avx512": 512, "avx2": 256}  # of a register
PEER = "libmvec"


def libmvec_loop(symbol: str, name: str, element: str, isa: str, after: str = "") -> str:
    """C text of `symbol(x, y, n)`, a function of libmvec over an array, and then what is `after`;
    of -x where there is something after."""
    callee, lanes = libmvec_symbol(isa, name, element), lanes_of(isa, element)
    ctype, suffix = C_TYPES[element], "ps" if element == "f32" else "pd"
    prefix, vector = f"_mm{BITS[isa]}", f"__m{BITS[isa]}{'' if element == 'f32' else 'd'}"
    read = f"{prefix}_loadu_{suffix}(x + k)"
    if after:
        read = f"{prefix}_sub_{suffix}({prefix}_setzero_{suffix}(), {read})"
    return (
        f"{vector} {callee}({vector});\n"
        f"static void {symbol}(const {ctype} *x, {ctype} *y, int64_t n)\n{{\n"
        f"    for (int64_t k = 0; k < n; k += {lanes}) {{\n"
        f"        {prefix}_storeu_{suffix}(y + k, {callee}({read}));\n    }}\n    {after}\n}}\n"
    )


def reference_text(name: str, isa: str) -> str:
    """C text of `reference`; what is computed from e^-x is, as that fits in f64."""
    if name not in OF_POWER:
        return libmvec_loop("reference", name, "f64", isa)
    after = f"for (int64_t k = 0; k < n; ++k) {{ y[k] = {OF_POWER[name]}; }}"
    return libmvec_loop("reference", "exp", "f64", isa, after)


def peer_text(name: str, isa: str) -> str | None:
    """C text of the loop of libmvec's f32 function; None where it has none."""
    if peer_address(isa, PEER, name, "f32", 1) is None:
        return None
    return libmvec_loop(PEER, name, "f32", isa)


def build_proof(name: str, size: int, isas: list[str], peer: str | None) -> ctypes.CDLL:
    """The library with `prove` for one function; the first of `isas` is what errors are of, besides
    those of the `peer_text`."""
    isa, *narrower = isas
    kernels = {f"level_{a}": Variant(name, "f32", a, isa, table_size=size) for a in LEVELS}
    judged = [*kernels, *([PEER] if peer else [])]
    listed = " ".join(f"X({k}, {symbol})" for k, symbol in enumerate(judged))
    symbols = [f"other_{other}" for other in narrower]
    externs = "".join(f"void {s}(const float *x, float *out, int64_t n);\n" for s in symbols)
    same = " ".join(f"X({k}, {symbol})" for k, symbol in enumerate(symbols))
    prelude = Prelude(MACHINES[isa])
    loops = [loop(variant, prelude, symbol) for symbol, variant in kernels.items()]
    others = []
    for symbol, other in zip(symbols, narrower, strict=True):
        variant = Variant(name, "f32", 1, other, table_size=size)
        others.append(build_loops(other, {symbol: variant})._name)
    text = "\n".join(
        [
            prelude.text(),
            *loops,
            externs,
            reference_text(name, isa),
            peer or "",
            f"#define KERNELS(X) {listed}\n#define SAME(X) {same}\n",
            Path(__file__).with_name("proof.c").read_text(),
        ]
    )
    return build_library(text, [f"-march={UNIT_LEVELS[isa]}", *others, "-l:libmvec.so.1"])


def prove(name: str, size: int, isas: list[str], share: int = 1) -> dict[str, Any]:
    """One row: greatest error and where, per accuracy; differences between instruction sets.

    Of the 2^14 runs of 2^18 neighbouring bit patterns, every `share`-th is taken.
    """
    peer = peer_text(name, isas[0])
    library = build_proof(name, size, isas, peer)
    worst = (ctypes.c_double * (len(LEVELS) + 1))()
    where = (ctypes.c_float * (len(LEVELS) + 1))()
    different = (ctypes.c_uint64 * len(isas))()
    start = time.monotonic()
    for first in range(0, INPUTS, CHUNK * share):
        library.prove(
            ctypes.c_uint64(first), ctypes.c_uint64(first + CHUNK), worst, where, different
        )
    seconds = round(time.monotonic() - start, 1)
    row: dict[str, Any] = {"isa": isas[0], "inputs": INPUTS // share, "seconds": seconds}
    for k, level in enumerate(LEVELS):
        row[f"max_ulp_{level}"] = round(worst[k], 4)
        row[f"at_{level}"] = float(where[k]).hex()
    if peer:
        row[f"max_ulp_{PEER}"] = round(worst[len(LEVELS)], 4)
    for k, isa in enumerate(isas[1:]):
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
    isas = ["avx512", "avx2"] if native_machine().isa == "avx512" else ["avx2"]
    isas += ["scalar"] if arguments.scalar else []
    for name in arguments.names or unary:
        for size in PIECES.get(name, {LARGEST_TABLE: None}):
            key = name if size == LARGEST_TABLE else f"{name}.{size}"
            row = prove(name, size, isas, arguments.share)
            print(f"{key}: {row}", file=sys.stderr, flush=True)
            if arguments.json:
                _add(arguments.json, key, row)


def _add(path: Path, key: str, row: dict[str, Any]) -> None:
    """A sample does not replace a proof."""
    rows = json.loads(path.read_text()) if path.exists() else {}
    if row["inputs"] >= rows.get(key, {"inputs": 0})["inputs"]:
        rows[key] = row
        path.write_text(json.dumps(dict(sorted(rows.items())), indent=1) + "\n")


if __name__ == "__main__":
    main()
