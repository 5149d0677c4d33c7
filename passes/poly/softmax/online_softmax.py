"""Sums weighted by a softmax, block of keys by block: no row of scores need be kept whole.

before: m = max_k x[k] ; p[k] = exp(x[k] - f(m)) ; t = sum_k p[k] v[k]
after:  for each block j of keys: h[j+1] = max(h[j], max of x in j) ; r[j] = f(h[j+1])
          a[j] = exp(h[j] - r[j]) ; p[k] = exp(x[k] - r[j]) ; t = a[j] t + sum of p[k] v[k] in j

Milakov and Gimelshein 2018; Rabe and Staats 2021; FlashAttention, Dao et al. 2022. The statements
stay loop nests of their own, with values of blocks indexed by `k floordiv size`: dependences are
affine, domains stay boxes, and the schedule decides which statements share the loop over blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil

from xdsl.context import Context
from xdsl.dialects import arith, math
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, MemRefType, ModuleOp, StringAttr
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineDimExpr, AffineExpr, AffineMap
from xdsl.passes import ModulePass
from xdsl.rewriter import Rewriter

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ..access_patterns import combining_op
from ..affine_maps import substitute
from ..array_shapes import element_type, shape_of
from ..sets import box_extents, box_text
from .softmax_sums import Accumulation, SoftmaxSums, WeightedSum, softmax_sums

BLOCK = AffineExpr.dimension(0)  # the dim of the blocks in statements that run over blocks


def _within(first: AffineExpr, map: AffineMap) -> AffineMap:
    """`map` with the index `first` before its own."""
    return AffineMap(map.num_dims, 0, (first, *map.results))


def _per_block(first: AffineExpr, map: AffineMap) -> AffineMap:
    """`map` of a statement that gets the blocks as its first dim, with index `first` before."""
    rank = map.num_dims + 1
    moved = [AffineDimExpr(d) for d in range(1, rank)]
    return _within(first, substitute(map, moved, rank))


def _body(element: Attribute, count: int, compute: Callable[..., Sequence[Operation]]) -> Region:
    """A statement body of `count` values read; the last op of compute(*values) gives its value."""
    block = Block(arg_types=[element] * count)
    operations = compute(*block.args)
    block.add_ops([*operations, YieldOp(operations[-1].results[0])])
    return Region(block)


def _combine(update: StatementOp) -> Callable[[SSAValue, SSAValue], Sequence[Operation]]:
    """The combining op of a reduction on two other values."""
    op = combining_op(update)
    return lambda a, b: [
        type(op).create(
            operands=[a, b], result_types=list(op.result_types), properties=dict(op.properties)
        )
    ]


def _shifted_exponential(x: SSAValue, reference: SSAValue) -> Sequence[Operation]:
    shift = arith.SubfOp(x, reference)
    return [shift, math.ExpOp(shift.result)]


def _rescaled_sum(scale: SSAValue, total: SSAValue, partial: SSAValue) -> Sequence[Operation]:
    rescaled = arith.MulfOp(scale, total)
    return [rescaled, arith.AddfOp(rescaled.result, partial)]


@dataclass
class _Blocks:
    """One application of the rewrite, in blocks of `size` keys."""

    scop: ScopOp
    found: SoftmaxSums
    size: int
    count: int = field(init=False)
    first: Operation = field(init=False)

    def __post_init__(self) -> None:
        self.count = ceil(self.found.extent / self.size)
        # What the loop over blocks starts from stands before everything that it may hold.
        scores = shape_of(self.found.scores)
        self.first = next(s for s in self.scop.statements if shape_of(s.target) == scores)

    def array(self, like: SSAValue, suffix: str, shape: Sequence[int]) -> SSAValue:
        """A temporary of the element type of `like`."""
        op = ArrayOp(MemRefType(element_type(like), shape), (like.name_hint or "t") + suffix)
        self.scop.body.block.insert_op_before(op, self.first)
        return op.result

    def move_to_front(self, op: Operation) -> None:
        """Put `op` before the first statement that the loop over blocks may hold."""
        block = self.scop.body.block
        block.detach_op(op)
        block.insert_op_before(op, self.first)

    def reduce_blocks(self, whole: Accumulation) -> SSAValue:
        """Reduce each block on its own: what went to target[e] goes to result[block, e]."""
        start, update = whole.start, whole.update
        extents = box_extents(start.domain.data)
        assert extents is not None
        partial = self.array(update.target, "_block", (self.count, *shape_of(update.target)))
        initial = StatementOp(
            f"{update.sym_name.data}b",
            box_text((self.count, *extents)),
            partial,
            _per_block(BLOCK, start.write.data),
            [],
            [],
            start.body.clone(),
        )
        self.scop.body.block.insert_op_before(initial, update)
        write = AffineMapAttr(_within(AffineDimExpr(whole.key) // self.size, update.write.data))
        update.operands[0] = update.operands[1] = partial
        update.properties["write"] = write
        update.properties["reads"] = ArrayAttr([write, *update.reads.data[1:]])
        return partial

    def track_maximum(self) -> SSAValue:
        """history[j] is the maximum of the keys before block j."""
        start, update = self.found.maximum.start, self.found.maximum.update
        rows = shape_of(update.target)
        history = self.array(update.target, "_before", (self.count + 1, *rows))
        partial = self.reduce_blocks(self.found.maximum)
        start.operands[0] = history
        start.properties["write"] = AffineMapAttr(_within(AffineExpr.constant(0), start.write.data))
        self.move_to_front(start)
        identity = AffineMap.identity(len(shape_of(partial)))
        track = StatementOp(
            f"{update.sym_name.data}h",
            box_text(shape_of(partial)),
            history,
            AffineMap(identity.num_dims, 0, (BLOCK + 1, *identity.results[1:])),
            [history, partial],
            [identity, identity],
            _body(element_type(history), 2, _combine(update)),
        )
        self.scop.body.block.insert_op_after(track, update)
        return history

    def shift_reference(self, history: SSAValue) -> SSAValue:
        """Let the reference f(m) follow the maximum up to the end of each block.

        Returns exp(history[j] - reference[j]), what sums before block j shrink by in it: zero while
        all keys were masked, which contributed nothing whatever the reference was.
        """
        s = self.found.reference
        extents = box_extents(s.domain.data)
        assert extents is not None
        shape = (self.count, *shape_of(s.target))
        reference = self.array(s.target, "_block", shape)
        scale = self.array(s.target, "_scale", shape)
        write, read = _per_block(BLOCK, s.write.data), s.read_maps[0]
        s.operands[0], s.operands[1] = reference, history
        s.properties["domain"] = StringAttr(box_text((self.count, *extents)))
        s.properties["write"] = AffineMapAttr(write)
        s.properties["reads"] = ArrayAttr([AffineMapAttr(_per_block(BLOCK + 1, read))])
        shrink = StatementOp(
            f"{s.sym_name.data}a",
            s.domain.data,
            scale,
            write,
            [history, reference],
            [_per_block(BLOCK, read), write],
            _body(element_type(history), 2, _shifted_exponential),
        )
        self.scop.body.block.insert_op_after(shrink, s)
        exponential = self.found.exponential
        block = AffineDimExpr(self.found.key) // self.size
        exponential.operands[2] = reference
        exponential.properties["reads"] = ArrayAttr(
            [
                exponential.reads.data[0],
                AffineMapAttr(_within(block, exponential.read_maps[1])),
            ]
        )
        return scale

    def accumulate(self, one: WeightedSum, scale: SSAValue, after: Operation) -> StatementOp:
        """total = scale * total + the sum of the block, computed just behind `after`."""
        start, update = one.sum.start, one.sum.update
        total, block = update.target, self.scop.body.block
        block.detach_op(update)
        block.insert_op_after(update, after)
        partial = self.reduce_blocks(one.sum)
        assert isinstance(total.owner, Operation)
        self.move_to_front(total.owner)
        self.move_to_front(start)
        identity = AffineMap.identity(len(shape_of(partial)))
        place = AffineMap(identity.num_dims, 0, identity.results[1:])
        add = StatementOp(
            f"{update.sym_name.data}t",
            box_text(shape_of(partial)),
            total,
            place,
            [scale, total, partial],
            [_per_block(BLOCK, one.row), place, identity],
            _body(element_type(total), 3, _rescaled_sum),
        )
        block.insert_op_after(add, update)
        return add

    def run(self) -> None:
        """Rewrite every statement that was found."""
        old = [self.found.maximum.update.target.owner, self.found.reference.target.owner]
        history = self.track_maximum()
        scale = self.shift_reference(history)
        last: Operation = self.found.exponential
        for one in self.found.sums:
            last = self.accumulate(one, scale, last)
        for array in old:
            assert isinstance(array, ArrayOp)
            Rewriter.erase_op(array)


def online_softmax(scop: ScopOp, found: SoftmaxSums, size: int) -> None:
    """Compute the softmax-weighted sums `found` in blocks of `size` keys, in place."""
    _Blocks(scop, found, size).run()


@dataclass(frozen=True)
class OnlineSoftmaxPass(ModulePass):
    """Compute every softmax-weighted sum over more than `size` keys in blocks of as many."""

    name = "online-softmax"
    size: int = 64

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        for scop in [s for s in op.ops if isinstance(s, ScopOp)]:
            for update in scop.statements:
                found = softmax_sums(scop, update)
                if found is not None and found.extent > self.size:
                    online_softmax(scop, found, self.size)
