"""Kernels of the loops level as a C translation unit."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.func import FuncOp

from ...costmodel.hardware import Machine
from .function import FunctionEmitter, signature_comment
from .prelude import Prelude


def emit_kernel(func: FuncOp, machine: Machine) -> str:
    """The C text of one kernel function, without what must come before it."""
    return _kernel(func, Prelude(machine), "")


def emit_unit(
    funcs: Sequence[FuncOp],
    machine: Machine,
    *,
    static: bool = False,
    prefix: str = "",
    nested: bool = False,
) -> str:
    """A C file: what the kernels need, their prototypes (unless `static`), the kernels.

    `prefix` stands before each kernel's name, so that several programs can be linked together.
    `nested` writes arrays of scalar code as A[i][j], which other compilers analyse better.
    Compile it as C11 with -ffp-contract=off and, on avx2 and avx512, with -march=x86-64-v3 or
    -march=x86-64-v4 (or better); the file refuses to compile otherwise.
    """
    prelude = Prelude(machine)
    storage = "static " if static else ""
    kernels = [_kernel(func, prelude, storage, prefix, nested) for func in funcs]
    prototypes = "" if static else emit_prototypes(funcs, prefix, nested)
    return "\n".join(part for part in (prelude.text(), prototypes, *kernels) if part)


def emit_prototypes(funcs: Sequence[FuncOp], prefix: str = "", nested: bool = False) -> str:
    """The declarations of kernels, one per line."""
    # A prototype of a kernel names scalar and pointer types only, so any machine will do.
    prelude = Prelude(Machine("scalar", "scalar"))
    return "".join(
        f"{FunctionEmitter(func, prelude, prefix, nested).prototype()};\n" for func in funcs
    )


def _kernel(
    func: FuncOp, prelude: Prelude, storage: str, prefix: str = "", nested: bool = False
) -> str:
    emitter = FunctionEmitter(func, prelude, prefix, nested)
    text = emitter.emit(storage)
    return "".join(emitter.outlined) + signature_comment(func) + text
