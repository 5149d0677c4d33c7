"""Rules of control flow, index arithmetic, and what orders the block's accesses."""

from __future__ import annotations

from xdsl.dialects import arith, scf
from xdsl.dialects.builtin import IntAttr
from xdsl.ir import Block, Operation, SSAValue

from ....dialects.errors import LoweringError
from ....dialects.tile import ops
from ....dialects.tile.types import UNROLL, RegisterType
from .emitter import Emitter, can_take_over, emits, words_of

INFIX: dict[type[Operation], str] = {
    arith.AddiOp: "+",
    arith.SubiOp: "-",
    arith.MuliOp: "*",
    arith.DivUIOp: "/",
    arith.RemUIOp: "%",
}
COMPARE = {0: "==", 1: "!=", 2: "<", 3: "<=", 4: ">", 5: ">="}


@emits(arith.ConstantOp)
def emit_constant(emitter: Emitter, op: arith.ConstantOp) -> None:
    """Constants have no line of their own."""
    emitter.bind(op.result, str(op.value.value.data))  # type: ignore[union-attr]


@emits(*INFIX)
def emit_infix(emitter: Emitter, op: Operation) -> None:
    """Index arithmetic fits 32 bits; addresses are computed in 64."""
    if _counts_semaphores(op.results[0]):
        return
    a, b = (emitter.name(v) for v in op.operands)
    if (a, INFIX[type(op)]) == ("0", "+") or (b, INFIX[type(op)]) in (("0", "+"), ("1", "*")):
        emitter.bind(op.results[0], b if a == "0" else a)
        return
    name = emitter.fresh(op.results[0].name_hint)
    if isinstance(op, arith.DivUIOp | arith.RemUIOp):
        a = f"static_cast<unsigned>({a})"  # shifts and masks where the divisor is a power of two
    emitter.line(f"const int {name} = {a} {INFIX[type(op)]} {b};")
    emitter.bind(op.results[0], name)


def _counts_semaphores(value: SSAValue) -> bool:
    """Whether `value` is only the extent of an array that locks alone use: nobody asks for it."""
    users = [use.operation for use in value.uses]
    return bool(users) and all(
        isinstance(user, ops.ViewGlobalOp)
        and all(isinstance(u.operation, ops.LockOp | ops.ReleaseOp) for u in user.result.uses)
        for user in users
    )


@emits(arith.MinSIOp)
def emit_min(emitter: Emitter, op: arith.MinSIOp) -> None:
    """The smaller number."""
    a, b = emitter.name(op.lhs), emitter.name(op.rhs)
    name = emitter.fresh(op.result.name_hint)
    emitter.line(f"const int {name} = {a} < {b} ? {a} : {b};")
    emitter.bind(op.result, name)


@emits(arith.CmpiOp)
def emit_compare(emitter: Emitter, op: arith.CmpiOp) -> None:
    """Conditions stand where they are used."""
    text = f"{emitter.name(op.lhs)} {COMPARE[op.predicate.value.data]} {emitter.name(op.rhs)}"
    emitter.bind(op.result, text)


@emits(scf.ForOp)
def emit_for(emitter: Emitter, op: scf.ForOp) -> None:
    """What the loop carries stays in the same registers."""
    index, *carried = op.body.block.args
    for argument, start in zip(carried, op.iter_args, strict=True):
        if can_take_over(start, op):
            emitter.bind(argument, emitter.name(start))
        else:
            emitter.declare(argument)
            copy_tile(emitter, argument, start)
    name = emitter.fresh(index.name_hint)
    emitter.bind(index, name)
    lower, upper, step = (emitter.name(v) for v in (op.lb, op.ub, op.step))
    if isinstance(unroll := op.attributes.get(UNROLL), IntAttr):
        emitter.line(f"#pragma unroll {unroll.data}")
    emitter.open(f"for (int {name} = {lower}; {name} < {upper}; {name} += {step})")
    emitter.emit_block(op.body.block)
    terminator = op.body.block.last_op
    assert isinstance(terminator, scf.YieldOp)
    for argument, value in zip(carried, terminator.operands, strict=True):
        copy_tile(emitter, argument, value)
    emitter.close()
    for result, argument in zip(op.results, carried, strict=True):
        emitter.bind(result, emitter.name(argument))


def copy_tile(emitter: Emitter, target: SSAValue, source: SSAValue) -> None:
    """Registers to registers, unless they are the same."""
    if not isinstance(target.type, RegisterType):
        raise LoweringError(f"loops of tile programs carry register tiles, not {target.type}")
    a, b = emitter.name(target), emitter.name(source)
    if a != b:
        emitter.repeat(words_of(target.type))
        emitter.line(f"{a}[i] = {b}[i];")
        emitter.close()


@emits(scf.IfOp)
def emit_if(emitter: Emitter, op: scf.IfOp) -> None:
    """Conditions are the same for the whole block; both branches leave results in one place."""
    for result in op.results:
        emitter.declare(result)
    emitter.open(f"if ({emitter.name(op.cond)})")
    _emit_branch(emitter, op, op.true_region.block)
    emitter.close()
    if op.false_region.blocks and (op.results or len(list(op.false_region.block.ops)) > 1):
        emitter.open("else")
        _emit_branch(emitter, op, op.false_region.block)
        emitter.close()


def _emit_branch(emitter: Emitter, op: scf.IfOp, block: Block) -> None:
    emitter.emit_block(block)
    terminator = block.last_op
    assert isinstance(terminator, scf.YieldOp)
    for result, value in zip(op.results, terminator.operands, strict=True):
        copy_tile(emitter, result, value)


@emits(ops.BlockIndexOp)
def emit_block_index(emitter: Emitter, op: ops.BlockIndexOp) -> None:
    """blockIdx."""
    name = emitter.fresh(op.result.name_hint)
    emitter.line(f"const int {name} = blockIdx.{'xyz'[op.axis.data]};")
    emitter.bind(op.result, name)


@emits(ops.SyncOp)
def emit_sync(emitter: Emitter, op: ops.SyncOp) -> None:
    """A barrier."""
    emitter.line("__syncthreads();")


@emits(ops.CommitOp)
def emit_commit(emitter: Emitter, op: ops.CommitOp) -> None:
    """Close a group of copies."""
    emitter.line("tc_commit();")


@emits(ops.WaitOp)
def emit_wait(emitter: Emitter, op: ops.WaitOp) -> None:
    """Wait for groups of copies."""
    emitter.line(f"tc_wait<{op.pending.data}>();")


@emits(ops.LockOp, ops.ReleaseOp)
def emit_semaphore(emitter: Emitter, op: ops.LockOp | ops.ReleaseOp) -> None:
    """Thread 0 waits or writes, between barriers."""
    function = "tc_lock" if isinstance(op, ops.LockOp) else "tc_release"
    place = f"{emitter.name(op.semaphores)} + {emitter.name(op.offset)}"
    emitter.line(f"{function}({place}, {emitter.name(op.value)});")
