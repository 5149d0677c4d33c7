"""Ops that load and store elements of buffers: which buffer, what, and how much of it."""

from __future__ import annotations

from xdsl.dialects import memref, vector
from xdsl.dialects.builtin import VectorType
from xdsl.ir import Attribute, Operation, SSAValue

from .dead_lanes import live_lanes

ACCESSES = (
    memref.LoadOp,
    memref.StoreOp,
    vector.LoadOp,
    vector.StoreOp,
    vector.MaskedLoadOp,
    vector.MaskedStoreOp,
)


def buffer_of(op: Operation) -> SSAValue:
    """The memref that an access op reads or writes."""
    match op:
        case memref.LoadOp() | memref.StoreOp():
            return op.memref
        case vector.LoadOp() | vector.StoreOp() | vector.MaskedLoadOp() | vector.MaskedStoreOp():
            return op.base
    raise AssertionError(op.name)


def value_type(op: Operation) -> Attribute:
    match op:
        case memref.LoadOp() | vector.LoadOp() | vector.MaskedLoadOp():
            return op.results[0].type
        case memref.StoreOp():
            return op.value.type
        case vector.StoreOp():
            return op.vector.type
        case vector.MaskedStoreOp():
            return op.value_to_store.type
    raise AssertionError(op.name)


def width_of(op: Operation) -> int:
    """How many elements an access touches at most."""
    type = value_type(op)
    if isinstance(op, vector.MaskedLoadOp | vector.MaskedStoreOp):
        live = live_lanes(op.mask)
        if live is not None:
            return live
    return type.get_shape()[0] if isinstance(type, VectorType) else 1
