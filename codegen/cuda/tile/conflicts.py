"""Bank conflicts of a tile program: for each access to shared memory, as the rules emit it.

In: a program. Out: (name of the array, op, how often the busiest bank is asked; 1: no conflict).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from xdsl.ir import SSAValue

from ....dialects.tile import ops
from ....dialects.tile.bank_conflicts import (
    copy_conflicts,
    ldmatrix_conflicts,
    vector_conflicts,
)
from ....dialects.tile.shared_layout import CHUNK, SharedLayout
from ....dialects.tile.types import RegisterType
from .emitter import shared_type
from .memory_rules import matrices_of, vector_elements


def bank_conflicts(program: ops.ProgramOp) -> Iterator[tuple[str, str, int]]:
    """Every access of the program; copies are taken as 16 bytes wide, which arrays may forbid."""
    for op in program.walk():
        match op:
            case ops.LoadSharedOp():
                array, type = shared_type(op.source), ops.register_of(op.result)
                if matrices_of(op, type, array) is not None:
                    degree = ldmatrix_conflicts(array.layout)
                else:
                    degree = _of_vectors(op.source, type, op.offsets)
                yield op.source.name_hint or "", op.name, degree
            case ops.StoreSharedOp():
                degree = _of_vectors(op.target, ops.register_of(op.source), op.offsets)
                yield op.target.name_hint or "", op.name, degree
            case ops.CopyAsyncOp():
                layout = shared_type(op.target).layout
                stage = SharedLayout(layout.shape[1:], layout.element_bytes, layout.swizzle)
                if stage.row_bytes % CHUNK == 0:
                    yield op.target.name_hint or "", op.name, copy_conflicts(stage, CHUNK)


def _of_vectors(array: SSAValue, type: RegisterType, offsets: Sequence[SSAValue]) -> int:
    shared = shared_type(array)
    return vector_conflicts(shared.layout, type.layout, vector_elements(type, shared, offsets))
