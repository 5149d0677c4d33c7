"""One op per distinct value: pure ops anywhere above, loads until the next store; one store per
element that nothing reads in between.

before: %a = memref.load %x[%i] ; %b = memref.load %x[%i]
after:  %a = memref.load %x[%i]        (uses of %b read %a)

before: vector.store %v, %x[%i] ; %a = vector.load %x[%i]
after:  vector.store %v, %x[%i]        (uses of %a read %v; so do gathers after scatters)

before: vector.store %v, %x[%i] ; vector.store %w, %x[%i]
after:  vector.store %w, %x[%i]

before: %y = arith.mulf %x, 1.0
after:  uses of %y read %x
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.traits import IsolatedFromAbove, is_side_effect_free

from ...dialects.constants import splat_value
from ...dialects.tile.launch import LaunchOp
from ...dialects.vector import GatherOp, ScatterOp
from .lane_accesses import is_full

LOADS = (memref.LoadOp, vector.LoadOp, vector.MaskedLoadOp, GatherOp)
STORES = (
    memref.StoreOp,
    memref.AtomicRMWOp,
    vector.StoreOp,
    vector.MaskedStoreOp,
    ScatterOp,
)


def _key(op: Operation) -> Hashable:
    return (
        type(op),
        tuple(op.operands),
        tuple(sorted(op.properties.items())),  # by name: no two are equal
        tuple(op.result_types),
    )


def _place(op: Operation) -> Hashable:
    """The elements that `op` loads or stores, all lanes of them; None for other ops."""
    match op:
        case memref.LoadOp() | memref.StoreOp():
            return op.memref, *op.indices
        case vector.LoadOp():
            return op.base, *op.indices, op.result.type
        case vector.StoreOp():
            return op.base, *op.indices, op.vector.type
        case GatherOp() if is_full(op.mask):
            return op.base, *op.indices, op.offsets, op.result.type
        case ScatterOp() if is_full(op.mask):
            return op.base, *op.indices, op.offsets, op.value.type
    return None


def _loaded(op: Operation) -> SSAValue:
    return op.operands[0]


def stored_memref(op: Operation) -> SSAValue:
    """The memref that one of `STORES` writes to."""
    match op:
        case memref.StoreOp() | memref.AtomicRMWOp():
            return op.memref
        case vector.StoreOp() | vector.MaskedStoreOp() | ScatterOp():
            return op.base
    raise AssertionError(op.name)


def _stored_value(op: Operation) -> SSAValue:
    match op:
        case memref.StoreOp() | ScatterOp():
            return op.value
        case vector.StoreOp():
            return op.vector
    raise AssertionError(op.name)


def _times_one(op: Operation) -> SSAValue | None:
    """The other factor of a product with one."""
    if isinstance(op, arith.MulfOp):
        for factor, other in ((op.lhs, op.rhs), (op.rhs, op.lhs)):
            if splat_value(factor) == 1:
                return other
    return None


Stores = dict[Operation, set[SSAValue]]


def _stores_inside(op: Operation, found: Stores) -> set[SSAValue]:
    """The memrefs that `op` stores to, which are put into `found` for every op with regions."""
    if isinstance(op, STORES):
        return {stored_memref(op)}
    if not op.regions:
        return set()
    inside = [i for region in op.regions for block in region.blocks for i in block.ops]
    found[op] = set().union(*(_stores_inside(i, found) for i in inside))
    if isinstance(op, LaunchOp):
        found[op] |= set(op.arrays)
    return found[op]


def _run(
    block: Block,
    pure: dict[Hashable, Operation],
    loads: dict[Hashable, Operation],
    stores: Stores,
) -> None:
    stored: dict[Hashable, tuple[SSAValue, SSAValue]] = {}  # place -> array, value
    unread: dict[Hashable, Operation] = {}  # place -> the store that nothing has read
    for op in list(block.ops):
        if op.regions:
            unread = {}
            touched = stores[op]
            loads = {k: v for k, v in loads.items() if _loaded(v) not in touched}
            stored = {k: v for k, v in stored.items() if v[0] not in touched}
            isolated = op.has_trait(IsolatedFromAbove)
            for region in op.regions:
                for inner in region.blocks:
                    known_above = ({}, {}) if isolated else (dict(pure), dict(loads))
                    _run(inner, *known_above, stores)
            continue
        if isinstance(op, STORES):
            target = stored_memref(op)
            loads = {k: v for k, v in loads.items() if _loaded(v) is not target}
            stored = {k: v for k, v in stored.items() if v[0] is not target}
            place = _place(op)
            if place is not None:
                if place in unread:
                    Rewriter.erase_op(unread[place])
                stored[place], unread[place] = (target, _stored_value(op)), op
            continue
        if isinstance(op, LOADS):
            forwarded = stored.get(_place(op))
            if forwarded is not None:
                op.results[0].replace_all_uses_with(forwarded[1])
                Rewriter.erase_op(op)
                continue
            unread = {k: v for k, v in unread.items() if stored_memref(v) is not _loaded(op)}
            known = loads
        elif op.results and is_side_effect_free(op):
            known = pure
        else:
            unread = {}
            continue
        factor = _times_one(op)
        if factor is not None:
            op.results[0].replace_all_uses_with(factor)
            Rewriter.erase_op(op)
            continue
        key = _key(op)
        earlier = known.get(key)
        if earlier is None:
            known[key] = op
            continue
        for old, new in zip(op.results, earlier.results, strict=True):
            old.replace_all_uses_with(new)
        Rewriter.erase_op(op)


def erase_unused(block: Block) -> None:
    """Erase loads and pure ops of `block` that nobody uses, last first."""
    op = block.last_op
    while op is not None:
        before = op.prev_op
        for region in op.regions:
            for inner in region.blocks:
                erase_unused(inner)
        unused = op.results and not any(r.uses for r in op.results) and not op.regions
        if unused and (isinstance(op, LOADS) or is_side_effect_free(op)):
            Rewriter.erase_op(op)
        op = before


@dataclass(frozen=True)
class EliminateCommonSubexpressionsPass(ModulePass):
    """Share equal values in every kernel and drop unused ones."""

    name = "eliminate-common-subexpressions"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                stores: Stores = {}
                _stores_inside(func, stores)
                _run(func.body.block, {}, {}, stores)
                erase_unused(func.body.block)
