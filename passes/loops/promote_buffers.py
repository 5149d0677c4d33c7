"""Turn small local arrays that are only used at constant positions into SSA values (mem2reg).

before: %t = memref.alloca() ; for k { %v = vector.load %t[0, 0] ; vector.store %w, %t[0, 0] }
after:  %r = scf.for k iter_args(%v = %init) { scf.yield %w }

A register tile thereby becomes what its name says.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    ModuleOp,
    VectorType,
)
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ...dialects.constants import integer_of
from ...dialects.vector_arith import SelectOp
from .buffer_accesses import ACCESSES, buffer_of, value_type, width_of
from .dead_lanes import dead_lanes_are_unseen, live_lanes

Slot = tuple[SSAValue, int]  # (buffer, element offset)


def _indices(op: Operation) -> list[SSAValue]:
    assert isinstance(op, ACCESSES)
    return list(op.indices)


def _offset(op: Operation) -> int | None:
    """The constant row-major offset of an access; None where an index is not constant."""
    type = buffer_of(op).type
    assert isinstance(type, MemRefType)
    total = 0
    for index, extent in zip(_indices(op), type.get_shape(), strict=True):
        constant = integer_of(index)
        if constant is None:
            return None
        total = total * extent + constant
    return total


def _accesses(buffer: SSAValue) -> dict[int | None, list[Operation]]:
    """Every access to `buffer`, by offset."""
    found: dict[int | None, list[Operation]] = {}
    for use in buffer.uses:
        found.setdefault(_offset(use.operation), []).append(use.operation)
    return found


def _needs_select(accesses: list[Operation]) -> bool:
    """Whether dead lanes matter: not where all accesses share one constant mask and no load of
    them lets its dead lanes be seen."""
    masks = set()
    for op in accesses:
        if not isinstance(op, vector.MaskedLoadOp | vector.MaskedStoreOp):
            return True
        masks.add(live_lanes(op.mask))
    live = masks.pop()
    if masks or live is None:
        return True
    return not all(
        dead_lanes_are_unseen(op.results[0], live)
        for op in accesses
        if isinstance(op, vector.MaskedLoadOp)
    )


def _crosses_parallel(op: Operation, alloca: Operation) -> bool:
    parent = op.parent_op()
    while parent is not None and parent is not alloca.parent_op():
        if isinstance(parent, scf.ParallelOp):
            return True
        parent = parent.parent_op()
    return False


def _slots(alloca: memref.AllocaOp) -> dict[int, Attribute] | None:
    """Offset -> value type of each slot; None where the buffer has to stay in memory."""
    slots: dict[int, Attribute] = {}
    widths: dict[int, int] = {}
    for use in alloca.memref.uses:
        op = use.operation
        if not isinstance(op, ACCESSES) or buffer_of(op) is not alloca.memref:
            return None
        offset = _offset(op)
        if offset is None or _crosses_parallel(op, alloca):
            return None
        if slots.setdefault(offset, value_type(op)) != value_type(op):
            return None
        widths[offset] = max(widths.get(offset, 0), width_of(op))
    end = 0
    for offset in sorted(slots):
        if offset < end:
            return None
        end = offset + widths[offset]
    return slots


@dataclass
class _Promotion:
    """One walk over a function: `state` holds the current value of every live slot."""

    buffers: dict[SSAValue, dict[int, Attribute]]
    state: dict[Slot, SSAValue] = field(default_factory=dict)

    def slot(self, op: Operation) -> Slot | None:
        """The slot an op accesses, if it is one of a promoted buffer."""
        if not isinstance(op, ACCESSES) or buffer_of(op) not in self.buffers:
            return None
        offset = _offset(op)
        assert offset is not None
        return buffer_of(op), offset

    def current(self, slot: Slot, before: Operation) -> SSAValue:
        """The value in a slot; zero where nothing was stored yet."""
        if slot not in self.state:
            type = self.buffers[slot[0]][slot[1]]
            element = type.element_type if isinstance(type, VectorType) else type
            attr: FloatAttr | IntegerAttr
            if isinstance(element, AnyFloat):
                attr = FloatAttr(0.0, element)
            else:
                assert isinstance(element, IntegerType)
                attr = IntegerAttr(0, element)
            block = before.parent_block()
            assert block is not None
            zero = arith.ConstantOp(attr)
            block.insert_op_before(zero, before)
            value = zero.result
            if isinstance(type, VectorType):
                splat = vector.BroadcastOp(value, type)
                block.insert_op_before(splat, before)
                value = splat.vector
            self.state[slot] = value
        return self.state[slot]

    def stores_inside(self, op: Operation) -> list[Slot]:
        """Live slots that `op` stores to in its regions, in order of first store."""
        found: dict[Slot, None] = {}
        for inner in op.walk():
            if isinstance(inner, memref.StoreOp | vector.StoreOp | vector.MaskedStoreOp):
                slot = self.slot(inner)
                if slot is not None and slot[0] in self.live:
                    found[slot] = None
        return list(found)

    @property
    def live(self) -> set[SSAValue]:
        """Buffers declared so far."""
        return self._live

    def __post_init__(self) -> None:
        self._live: set[SSAValue] = set()
        self.exact = {
            (buffer, offset): _needs_select(accesses)
            for buffer in self.buffers
            for offset, accesses in _accesses(buffer).items()
        }

    def _select(self, mask: SSAValue, value: SSAValue, other: SSAValue, at: Operation) -> SSAValue:
        block = at.parent_block()
        assert block is not None
        op = SelectOp(mask, value, other)
        block.insert_op_before(op, at)
        return op.result

    def access(self, op: Operation, slot: Slot) -> None:
        """Replace one load or store."""
        masked = isinstance(op, vector.MaskedLoadOp | vector.MaskedStoreOp)
        exact = masked and self.exact[slot]
        match op:
            case memref.LoadOp() | vector.LoadOp():
                op.results[0].replace_all_uses_with(self.current(slot, op))
            case vector.MaskedLoadOp():
                value = self.current(slot, op)
                if exact:
                    value = self._select(op.mask, value, op.pass_thru, op)
                op.results[0].replace_all_uses_with(value)
            case memref.StoreOp():
                self.state[slot] = op.value
            case vector.StoreOp():
                self.state[slot] = op.vector
            case vector.MaskedStoreOp():
                value = op.value_to_store
                if exact:
                    value = self._select(op.mask, value, self.current(slot, op), op)
                self.state[slot] = value
        Rewriter.erase_op(op)

    def run(self, block: Block) -> None:
        """Rewrite `block` from `state`, which afterwards holds the values at its end."""
        for op in list(block.ops):
            slot = self.slot(op)
            if slot is not None:
                self.access(op, slot)
            elif isinstance(op, memref.AllocaOp) and op.memref in self.buffers:
                self._live.add(op.memref)
                for offset in self.buffers[op.memref]:
                    self.state.pop((op.memref, offset), None)
            elif isinstance(op, scf.ForOp):
                self.loop(op)
            elif isinstance(op, scf.IfOp):
                self.branch(op)
            else:
                for region in op.regions:
                    for inner in region.blocks:
                        self.run(inner)

    def loop(self, op: scf.ForOp) -> None:
        """Carry the slots stored in the body as iteration arguments."""
        slots = self.stores_inside(op)
        inits = [self.current(s, op) for s in slots]
        body = op.body.block
        args = [body.insert_arg(v.type, len(body.args)) for v in inits]
        outer = dict(self.state)
        self.state.update(zip(slots, args, strict=True))
        self.run(body)
        terminator = body.last_op
        assert isinstance(terminator, scf.YieldOp)
        values = [*terminator.arguments, *(self.state[s] for s in slots)]
        Rewriter.erase_op(terminator)
        body.add_op(scf.YieldOp(*values))
        self.state = outer
        if not slots:
            return
        region = Region()
        op.body.move_blocks(region)
        new = scf.ForOp(op.lb, op.ub, op.step, [*op.iter_args, *inits], region)
        block = op.parent_block()
        assert block is not None
        block.insert_op_before(new, op)
        for old, result in zip(op.results, new.results, strict=False):
            old.replace_all_uses_with(result)
        self.state.update(zip(slots, new.results[len(op.results) :], strict=True))
        Rewriter.erase_op(op)

    def branch(self, op: scf.IfOp) -> None:
        """Return the slots stored in either branch as results."""
        slots = self.stores_inside(op)
        inits = {s: self.current(s, op) for s in slots}
        outer = dict(self.state)
        ends = []
        for region in (op.true_region, op.false_region):
            self.state = dict(outer)
            if region.blocks:
                self.run(region.block)
            ends.append([self.state.get(s, inits[s]) for s in slots])
        self.state = outer
        if not slots:
            return
        regions = []
        for region, end in zip((op.true_region, op.false_region), ends, strict=True):
            new = Region()
            if region.blocks:
                region.move_blocks(new)
                last = new.block.last_op
                assert last is not None
                extra = [*last.operands, *end]
                Rewriter.erase_op(last)
            else:
                new.add_block(Block())
                extra = end
            new.block.add_op(scf.YieldOp(*extra))
            regions.append(new)
        types = [*(r.type for r in op.results), *(inits[s].type for s in slots)]
        replacement = scf.IfOp(op.cond, types, regions[0], regions[1])
        block = op.parent_block()
        assert block is not None
        block.insert_op_before(replacement, op)
        for old, result in zip(op.results, replacement.results, strict=False):
            old.replace_all_uses_with(result)
        self.state.update(zip(slots, replacement.results[len(op.results) :], strict=True))
        Rewriter.erase_op(op)


def _allocas(op: Operation) -> Iterator[memref.AllocaOp]:
    for inner in op.walk():
        if isinstance(inner, memref.AllocaOp):
            yield inner


def promote_buffers(func: Operation) -> None:
    """Promote every buffer of `func` that can be."""
    buffers: dict[SSAValue, dict[int, Attribute]] = {}
    allocas = []
    for alloca in _allocas(func):
        slots = _slots(alloca)
        if slots is not None:
            buffers[alloca.memref] = slots
            allocas.append(alloca)
    if not buffers:
        return
    promotion = _Promotion(buffers)
    for region in func.regions:
        for block in region.blocks:
            promotion.run(block)
    for alloca in allocas:
        Rewriter.erase_op(alloca)


@dataclass(frozen=True)
class PromoteBuffersPass(ModulePass):
    """Promote local buffers in every kernel."""

    name = "promote-buffers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.ops:
            promote_buffers(func)
