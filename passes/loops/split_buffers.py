"""Give elements of a local array that a block keeps updating a buffer each, for as long as it runs.

before: for i { t[2 i] = 0 ; for k { t[2 i] += f(k) } }
after:  for i { %s = alloca ; s[0] = 0 ; for k { s[0] += f(k) } ; t[2 i] = s[0] }

`promote-buffers` makes values of these. The accumulators of a register tile thus stay in registers
where a later loop reads the sums of several tiles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects import arith, memref, scf, vector
from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType, ModuleOp, VectorType
from xdsl.ir import Block, Operation, SSAValue
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ..context import CompileContext
from .buffer_accesses import buffer_of, value_type, width_of
from .places import LinearIndex

Access = memref.LoadOp | memref.StoreOp | vector.LoadOp | vector.StoreOp
ACCESSES = (memref.LoadOp, memref.StoreOp, vector.LoadOp, vector.StoreOp)
STORES = (memref.StoreOp, vector.StoreOp)


Key = tuple[LinearIndex, ...]
"""Where an access begins: a form per dim."""


def _stored(op: Access) -> SSAValue | None:
    match op:
        case memref.StoreOp():
            return op.value
        case vector.StoreOp():
            return op.vector
    return None


def _are_apart(a: Key, b: Key, width: int) -> bool:
    """Whether accesses of `width` elements of the last dim touch none in common."""
    widths = [*(1 for _ in a[1:]), width]
    return any(
        one.terms == other.terms and abs(one.constant - other.constant) >= least
        for one, other, least in zip(a, b, widths, strict=True)
    )


def _is_in_loops(op: Operation, block: Block) -> bool:
    """Whether nothing but loops lies between `block` and `op`."""
    while op.parent is not block:
        parent = op.parent_op()
        if not isinstance(parent, scf.ForOp):
            return False
        op = parent
    return True


def _is_known(value: SSAValue, block: Block) -> bool:
    """Whether `value` is the same throughout `block`: not made by what lies deeper."""
    owner = value.owner if isinstance(value.owner, Block) else value.owner.parent
    at: Block | None = block
    while at is not None and at is not owner:
        at = at.parent_block()
    return at is not None


def _elements(block: Block, accesses: Sequence[Access]) -> list[list[Access]] | None:
    """`accesses`, all inside of `block`, by the element they touch and in order; None where it is
    not the same throughout, or first accessed only if a loop has iterations."""
    found: dict[Key, list[Access]] = {}
    for op in accesses:
        key = tuple(LinearIndex.of(i) for i in op.indices)
        if not all(_is_known(value, block) for form in key for value, _ in form.terms):
            return None
        if key not in found and op.parent is not block:
            return None
        if not _is_in_loops(op, block):
            return None
        found.setdefault(key, []).append(op)
    types = {value_type(op) for op in accesses}
    keys, width = list(found), width_of(accesses[0])
    apart = all(_are_apart(a, b, width) for n, a in enumerate(keys) for b in keys[:n])
    return list(found.values()) if apart and len(types) == 1 else None


def _split_in(block: Block, accesses: Sequence[Access]) -> bool:
    """Give each element that `accesses`, all those inside of `block`, touch a buffer, where one at
    least is stored again and again; whether that is done."""
    elements = _elements(block, accesses)
    if elements is None or not any(_is_updated(block, found) for found in elements):
        return False
    for found in elements:
        _give_buffer(block, found)
    return True


def _is_updated(block: Block, accesses: Sequence[Access]) -> bool:
    stores = [op for op in accesses if isinstance(op, STORES)]
    return len(stores) > 1 or any(op.parent is not block for op in stores)


def _give_buffer(block: Block, accesses: Sequence[Access]) -> None:
    """Let `accesses` to one element of an array, first one first, use a buffer of their own."""
    first, last = accesses[0], block.last_op
    array, indices = buffer_of(first), tuple(first.indices)
    assert isinstance(array.type, MemRefType)
    assert last is not None
    own = memref.AllocaOp.get(array.type.element_type, shape=[width_of(first)])
    start = arith.ConstantOp(IntegerAttr(0, IndexType()))
    place = [start.result]
    block.insert_ops_before([own, start], first)
    if not isinstance(first, STORES):
        before = _load(first, array, indices)
        block.insert_ops_before([before, _store(before.results[0], own.memref, place)], first)
    for op in accesses:
        stored = _stored(op)
        new = _load(op, own.memref, place) if stored is None else _store(stored, own.memref, place)
        Rewriter.replace_op(op, new)
    if any(isinstance(op, STORES) for op in accesses):
        after = _load(first, own.memref, place)
        block.insert_ops_before([after, _store(after.results[0], array, indices)], last)


def _load(like: Access, array: SSAValue, indices: Sequence[SSAValue]) -> Operation:
    """What `like` loads or stores, from elsewhere."""
    type = value_type(like)
    if isinstance(type, VectorType):
        return vector.LoadOp(array, indices, type)
    return memref.LoadOp.get(array, indices)


def _store(value: SSAValue, array: SSAValue, indices: Sequence[SSAValue]) -> Operation:
    form = vector.StoreOp if isinstance(value.type, VectorType) else memref.StoreOp.get
    return form(value, array, indices)


def _blocks(block: Block) -> Iterator[Block]:
    """The blocks right inside of ops of `block`."""
    for op in block.ops:
        for region in op.regions:
            yield from region.blocks


def split_buffer(alloca: memref.AllocaOp) -> None:
    """Give elements of one array buffers, in the outermost blocks where that can be done."""
    users = {use.operation for use in alloca.memref.uses}
    if not all(isinstance(op, ACCESSES) and buffer_of(op) is alloca.memref for op in users):
        return
    block = alloca.parent_block()
    assert block is not None
    pending = [block]
    while pending:
        block = pending.pop()
        inside = [op for op in block.walk() if isinstance(op, ACCESSES) and op in users]
        if inside and not _split_in(block, inside):
            pending += _blocks(block)


@dataclass(frozen=True)
class SplitBuffersPass(ModulePass):
    """Split local buffers of every kernel for a CPU."""

    name = "split-buffers"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        assert isinstance(ctx, CompileContext)
        if ctx.machine.is_gpu:
            return
        for func in op.ops:
            for inner in list(func.walk()):
                if isinstance(inner, memref.AllocaOp):
                    split_buffer(inner)
