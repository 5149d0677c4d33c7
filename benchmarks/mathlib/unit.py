"""C units with elementary functions in loops over arrays, built and loaded."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tilecast.codegen.c.elementary import elementary_function
from tilecast.codegen.c.prelude import Prelude
from tilecast.codegen.mathlib import FUNCTIONS, Accuracy, Program
from tilecast.compiler.runtime.toolchain import find_toolchain
from tilecast.costmodel.hardware import Machine

MACHINES = {
    "scalar": Machine("scalar", "scalar"),
    "avx2": Machine("x86-64-v3", "avx2", vector_bytes=32),
    "avx512": Machine("x86-64-v4", "avx512", vector_bytes=64, vector_registers=32),
}
# Scalar code runs with the instructions of AVX2, whose fma is the one of libm at a better speed.
LEVELS = {"scalar": "x86-64-v3", "avx2": "x86-64-v3", "avx512": "x86-64-v4"}
C_TYPES = {"f32": "float", "f64": "double"}


@dataclass(frozen=True)
class Variant:
    """One function for one type, accuracy and instruction set; `programs` replaces stored ones,
    `table_size` the machine's own."""

    name: str
    element: str = "f32"
    accuracy: Accuracy = 1
    isa: str = "avx512"
    programs: Mapping[str, Program] | None = None
    table_size: int | None = None

    @property
    def lanes(self) -> int:
        """Lanes of a full register."""
        width = MACHINES[self.isa].vector_bytes
        return max(1, width // (4 if self.element == "f32" else 8))


def loop(variant: Variant, prelude: Prelude, symbol: str) -> str:
    """`void symbol(const T *x[, const T *y], T *out, int64_t n)`; n fills whole registers."""
    function = elementary_function(
        *(prelude, variant.name, variant.element, variant.lanes, variant.accuracy),
        variant.programs,
        table_size=variant.table_size,
    )
    if function is None:
        raise ValueError(f"mathlib has no {variant.name} for {variant.element}")
    ctype, inputs = C_TYPES[variant.element], "xy"[: FUNCTIONS[variant.name].arity]
    parameters = ", ".join(f"const {ctype} *{letter}" for letter in inputs)
    if variant.lanes == 1:
        body = f"out[i] = {function}({', '.join(f'{letter}[i]' for letter in inputs)});"
    else:
        suffix = "ps" if variant.element == "f32" else "pd"
        prefix = "_mm512" if variant.isa == "avx512" else "_mm256"
        prelude.include("<immintrin.h>")
        read = ", ".join(f"{prefix}_loadu_{suffix}({letter} + i)" for letter in inputs)
        body = f"{prefix}_storeu_{suffix}(out + i, {function}({read}));"
    return (
        f"void {symbol}({parameters}, {ctype} *out, int64_t n);\n"
        f"void {symbol}({parameters}, {ctype} *out, int64_t n)\n{{\n"
        f"    for (int64_t i = 0; i < n; i += {variant.lanes}) {{\n        {body}\n    }}\n}}\n"
    )


def build_loops(isa: str, variants: Mapping[str, Variant], extra: str = "") -> ctypes.CDLL:
    """One library with the loop of every variant, by its symbol, and `extra` C text."""
    prelude = Prelude(MACHINES[isa])
    loops = [loop(variant, prelude, symbol) for symbol, variant in variants.items()]
    source = prelude.text() + "\n" + "\n".join(loops) + extra
    return build_library(source, [f"-march={LEVELS[isa]}"])


def build_library(source: str, flags: Sequence[str]) -> ctypes.CDLL:
    """Compile and load C text with the flags of generated code and some more."""
    folder = Path(tempfile.gettempdir()) / "tilecast-mathlib"
    folder.mkdir(exist_ok=True)
    toolchain = find_toolchain()
    common = ["-std=gnu11", "-O2", "-fPIC", "-ffp-contract=off", "-fno-math-errno"]
    stem = hashlib.blake2b((source + " ".join(flags)).encode(), digest_size=10).hexdigest()
    library = folder / f"{stem}.so"
    if not library.exists():
        path = folder / f"{stem}.c"
        path.write_text(source)
        toolchain.run(
            [*toolchain.command, *common, "-shared", str(path), *flags, "-o", str(library), "-lm"],
            folder,
        )
    return ctypes.CDLL(str(library))
