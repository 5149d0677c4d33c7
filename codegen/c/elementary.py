"""Functions of `codegen/mathlib` as C helpers of a translation unit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from xdsl.dialects.builtin import StringAttr

from ...costmodel.hardware import Machine
from ..mathlib import Accuracy, Program, build_function
from .function import FunctionEmitter
from .outlining import INLINED, opaque
from .prelude import Prelude


def natural_table_size(machine: Machine) -> int:
    """How many numbers of f32 one permutation looks up: those that a register holds, 16 or 8."""
    return 16 if machine.vector_bytes >= 64 else 8


def elementary_function(
    prelude: Prelude,
    op: str,
    element: str,
    lanes: int,
    accuracy: Accuracy = 1,
    programs: Mapping[str, Program] | None = None,
    outlined: bool = False,
    table_size: int | None = None,
) -> str | None:
    """Define the function that mathlib has for `op` ("math.exp"); returns its name, None if none.

    `lanes` is 1 for the scalar function; vectors must fill a register. Where `outlined`, the C
    compiler must leave calls of it as they are. `table_size` replaces the machine's own.
    """
    short = op.removeprefix("math.")
    table_size = table_size or natural_table_size(prelude.machine)
    func = build_function(short, element, lanes, accuracy, programs, table_size)
    if func is None:
        return None
    name = func.sym_name.data
    if programs:  # several trials may stand in one unit
        name += f"_{zlib.crc32(repr(sorted(programs.items())).encode()):08x}"
    if outlined:
        name = f"{name}_outlined"
    head = opaque(prelude) if outlined else INLINED
    func.sym_name = StringAttr(name)
    return prelude.define(name, lambda: FunctionEmitter(func, prelude).emit(head))
