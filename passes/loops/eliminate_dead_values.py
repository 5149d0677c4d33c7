"""Remove values that nothing needs: pure ops, loads, and what loops and branches carry along.

before: %r = scf.for iter_args(%v = %init) { ... scf.yield %w }     (%r and %v never used)
after:  scf.for { ... }
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.context import Context
from xdsl.dialects import memref, scf
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.func import FuncOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter
from xdsl.traits import is_side_effect_free

from .eliminate_common_subexpressions import LOADS


def _is_removable(op: Operation) -> bool:
    """Whether `op` may go when its results are dead; loops and branches are treated apart."""
    if op.regions or not op.results:
        return False
    return isinstance(op, (*LOADS, memref.AllocaOp)) or is_side_effect_free(op)


@dataclass
class Liveness:
    """The values of a function that reach memory, a bound or a condition."""

    live: set[SSAValue] = field(default_factory=set)

    def of(self, func: FuncOp) -> Liveness:
        """Mark what is live in `func`."""
        for op in func.walk():
            match op:
                case scf.ForOp():
                    self._mark(op.lb, op.ub, op.step)
                case scf.IfOp():
                    self._mark(op.cond)
                case scf.YieldOp() if isinstance(op.parent_op(), scf.ForOp | scf.IfOp):
                    pass
                case _ if not _is_removable(op):
                    self._mark(*op.operands)
        return self

    def _mark(self, *values: SSAValue) -> None:
        pending = list(values)
        while pending:
            value = pending.pop()
            if value not in self.live:
                self.live.add(value)
                pending += _needed_by(value)


def _needed_by(value: SSAValue) -> Sequence[SSAValue]:
    """What a live `value` makes live."""
    owner = value.owner
    if isinstance(value, BlockArgument):
        loop = value.block.parent_op()
        carried = isinstance(loop, scf.ForOp) and value.index > 0
        return _carried(loop, value.index - 1) if carried else ()  # type: ignore[arg-type]
    assert isinstance(owner, Operation)
    number = list(owner.results).index(value)  # type: ignore[arg-type]
    match owner:
        case scf.ForOp():
            return _carried(owner, number)
        case scf.IfOp():
            return [_yield_of(r.block).operands[number] for r in owner.regions if r.blocks]
        case _:
            return list(owner.operands)


def _carried(loop: scf.ForOp, number: int) -> list[SSAValue]:
    """All the names of the value that `loop` carries at `number`."""
    block = loop.body.block
    yielded = _yield_of(block).operands[number]
    return [loop.iter_args[number], block.args[number + 1], yielded, loop.results[number]]


def _yield_of(block: Block) -> scf.YieldOp:
    last = block.last_op
    assert isinstance(last, scf.YieldOp)
    return last


def _shrink_yield(block: Block, kept: Sequence[int]) -> None:
    old = _yield_of(block)
    values = [old.operands[k] for k in kept]
    Rewriter.erase_op(old)
    block.add_op(scf.YieldOp(*values))


def _rebuild(op: scf.ForOp | scf.IfOp, live: set[SSAValue]) -> None:
    """Drop the results of `op` that are dead."""
    kept = [k for k, r in enumerate(op.results) if r in live]
    if len(kept) == len(op.results):
        return
    regions: list[Region] = [op.detach_region(region) for region in list(op.regions)]
    for region in regions:
        if region.blocks:
            _shrink_yield(region.block, kept)
    new: scf.ForOp | scf.IfOp
    if isinstance(op, scf.ForOp):
        block = regions[0].block
        for k in reversed(range(len(op.results))):
            if k not in kept:
                block.erase_arg(block.args[k + 1], safe_erase=False)
        inits = [op.iter_args[k] for k in kept]
        new = scf.ForOp(op.lb, op.ub, op.step, inits, regions[0])
    else:
        types = [op.results[k].type for k in kept]
        new = scf.IfOp(op.cond, types, regions[0], regions[1])
    new.attributes.update(op.attributes)
    assert op.parent is not None
    op.parent.insert_op_before(new, op)
    for number, k in enumerate(kept):
        new.results[number].name_hint = op.results[k].name_hint
        op.results[k].replace_all_uses_with(new.results[number])
    Rewriter.erase_op(op, safe_erase=False)


def eliminate_dead_values(func: FuncOp) -> None:
    """Remove what is dead in `func`."""
    live = Liveness().of(func).live
    for op in reversed(list(func.walk())):
        if isinstance(op, scf.ForOp | scf.IfOp) and op.results:
            _rebuild(op, live)
        elif _is_removable(op) and not any(r in live for r in op.results):
            Rewriter.erase_op(op, safe_erase=False)


@dataclass(frozen=True)
class EliminateDeadValuesPass(ModulePass):
    """Remove dead values from every function of the loops level."""

    name = "eliminate-dead-values"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for func in op.ops:
            if isinstance(func, FuncOp) and func.body.blocks:
                eliminate_dead_values(func)
