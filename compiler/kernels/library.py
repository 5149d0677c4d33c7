"""A built kernel: the entry point that unpacks its arguments, called through ctypes."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from xdsl.dialects.builtin import MemRefType
from xdsl.dialects.func import FuncOp

from ...codegen.c import emit_prototypes
from ...dialects.errors import BuildError


def call_unit(func: FuncOp, name: str) -> str:
    """C text of `NAME_call`: the kernel with its arguments in arrays and a thread count of its own.

    The OpenMP runtime may be shared with other libraries, so the caller's setting is put back.
    """
    passed, sizes, arrays = [], 0, 0
    for argument in func.body.block.args:
        if isinstance(argument.type, MemRefType):
            passed.append(f"arrays[{arrays}]")
            arrays += 1
        else:
            passed.append(f"sizes[{sizes}]")
            sizes += 1
    head = f"void {name}_call(const int64_t *sizes, void *const *arrays, int threads)"
    return f"""/* Calls {name} with a thread count of its own; used by the Python runtime only. */
#include <stdint.h>
#ifdef _OPENMP
#include <omp.h>
#endif

{emit_prototypes([func])}{head};

{head}
{{
    (void)sizes;
    (void)arrays;
#ifdef _OPENMP
    const int before = omp_get_max_threads();
    if (before != threads)
        omp_set_num_threads(threads);
#else
    (void)threads;
#endif
    {name}({", ".join(passed)});
#ifdef _OPENMP
    if (before != threads)
        omp_set_num_threads(before);
#endif
}}
"""


class KernelLibrary:
    """An open shared library with `NAME_call` in it."""

    def __init__(self, path: Path, name: str) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            self._call: Any = self._library[f"{name}_call"]
        except (OSError, AttributeError) as error:
            raise BuildError(f"the built library {path.name} cannot be loaded: {error}") from error
        self._call.restype = None

    def run(self, sizes: Sequence[int], addresses: Sequence[int], threads: int) -> None:
        """Run the kernel; the memory behind `addresses` must stay alive during the call."""
        values = (ctypes.c_int64 * max(1, len(sizes)))(*sizes)
        pointers = (ctypes.c_void_p * max(1, len(addresses)))(*addresses)
        self._call(values, pointers, ctypes.c_int(threads))
