"""Loads of affine IR whose value must be kept: what they read may change before it is used."""

from __future__ import annotations

from xdsl.dialects import affine
from xdsl.dialects.func import FuncOp
from xdsl.ir import Operation, SSAValue

from .statement_slice import inputs_of


def loads_to_keep(func: FuncOp) -> set[affine.LoadOp]:
    """The loads that cannot be repeated at every store that uses them.

    A load is repeated at a store unless its array may be written in between: by a store that comes
    after the load and before the use in the text, or by any store of a loop that holds the use but
    not the load.
    """
    order = {op: k for k, op in enumerate(func.walk())}
    stores: dict[SSAValue, list[affine.StoreOp]] = {}
    for op in order:
        if isinstance(op, affine.StoreOp):
            stores.setdefault(op.memref, []).append(op)
    kept: set[affine.LoadOp] = set()
    for use in [s for group in stores.values() for s in group]:
        for load in inputs_of(use.value):
            writes = stores.get(load.memref, [])
            loop = _outermost_loop_between(load, use)
            if any(
                order[load] < order[w] < order[use] or (loop is not None and loop.is_ancestor(w))
                for w in writes
            ):
                kept.add(load)
    return kept


def _outermost_loop_between(load: Operation, use: Operation) -> Operation | None:
    """The outermost loop that holds `use` but not `load`."""
    found: Operation | None = None
    parent = use.parent_op()
    while parent is not None and not parent.is_ancestor(load):
        if isinstance(parent, affine.ForOp):
            found = parent
        parent = parent.parent_op()
    return found
