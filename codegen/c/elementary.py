"""Functions of `codegen/mathlib` as C helpers of a translation unit."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from xdsl.dialects.builtin import StringAttr

from ..mathlib import Accuracy, Program, build_function
from .function import FunctionEmitter
from .outlining import CALLED, INLINED
from .prelude import Prelude


def elementary_function(
    prelude: Prelude,
    op: str,
    element: str,
    lanes: int,
    accuracy: Accuracy = 1,
    programs: Mapping[str, Program] | None = None,
    outlined: bool = False,
) -> str | None:
    """Define the function that mathlib has for `op` ("math.exp"); returns its name, None if none.

    `lanes` is 1 for the scalar function; vectors must fill a register. Where `outlined`, the C
    compiler must leave calls of it as they are.
    """
    func = build_function(op.removeprefix("math."), element, lanes, accuracy, programs)
    if func is None:
        return None
    name = func.sym_name.data
    if programs:  # several trials may stand in one unit
        name += f"_{zlib.crc32(repr(sorted(programs.items())).encode()):08x}"
    if outlined:
        name = f"{name}_outlined"
    head = CALLED if outlined else INLINED
    func.sym_name = StringAttr(name)
    return prelude.define(name, lambda: FunctionEmitter(func, prelude).emit(head))
