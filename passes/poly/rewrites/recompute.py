"""Overlapped tiling: a producer computes, for every block of its consumer, what that block reads.

before: P: t[i] = f(i);  C: y[i] = g(t[i - 1], t[i + 1])
after:  P: t[b, i] = f(i) for all i that block b of C reads;  C: y[i] = g(t[b, i - 1], t[b, i + 1])

with b = floor(i / factor). Blocks share no values, so each can run with its producer in one tile.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import reduce
from typing import Any

from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, IntAttr, MemRefType, StringAttr
from xdsl.ir import SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap
from xdsl.rewriter import Rewriter

from ....dialects.poly import ArrayOp, IndexOp, ScopOp, StatementOp
from ....dialects.schedule import Recompute
from ..affine_maps import substitute
from ..array_shapes import shape_of
from ..dependences.dependences import dependences_of
from ..positions import set_positions
from ..sets import IslMap, IslSet, access_map, dims, domain_set, domain_text, isl
from ..simplification.collapse_dims import is_indirect
from .find import find_statement, refuse


def _relation(statement: StatementOp, access: AffineMap, name: str = "A") -> IslMap:
    label = statement.sym_name.data
    domain = domain_set(statement.domain.data, label)
    return access_map(access, label, name).intersect_domain(domain)


@dataclass(frozen=True)
class _Pair:
    """Producer and consumer inside `shared` common loops; blocks are of the dims that follow."""

    producer: StatementOp
    consumer: StatementOp
    shared: int
    factors: tuple[int, ...]

    @property
    def array(self) -> SSAValue:
        """What the producer writes."""
        return self.producer.target

    @property
    def reads(self) -> list[int]:
        """The reads of the consumer that see the array."""
        return [k for k, source in enumerate(self.consumer.sources) if source is self.array]

    @property
    def block_exprs(self) -> list[AffineExpr]:
        """The block of an iteration of the consumer."""
        return [
            AffineExpr.dimension(self.shared + k) // factor for k, factor in enumerate(self.factors)
        ]

    def write(self) -> IslMap:
        """producer instance -> the element that it writes."""
        return _relation(self.producer, self.producer.write.data)

    def read(self, k: int) -> IslMap:
        """consumer instance -> the element of its read `k`."""
        return _relation(self.consumer, self.consumer.read_maps[k])

    def needed(self) -> IslMap:
        """consumer instance -> producer instances whose values it reads."""
        makers = self.write().reverse()
        found = [self.read(k).apply_range(makers) for k in self.reads]
        whole = reduce(lambda one, other: one.union(other), found)
        return whole.intersect(self.same_shared(self.consumer))

    def same_shared(self, statement: StatementOp) -> IslMap:
        """instance of `statement` -> producer instances in the same iteration of shared loops."""
        prefix = [
            isl.Map(
                f"{{ {s.sym_name.data}[{', '.join(dims(s.rank))}] -> "
                f"[{', '.join(dims(self.shared))}] }}"
            )
            for s in (statement, self.producer)
        ]
        return prefix[0].apply_range(prefix[1].reverse())

    def blocks(self) -> IslMap:
        """consumer instance -> its block."""
        exprs = AffineMap(self.consumer.rank, 0, tuple(self.block_exprs))
        return _relation(self.consumer, exprs, "block")

    def domain(self) -> IslSet:
        """[shared dims, block, other dims of the producer]."""
        rank, shared = self.producer.rank, self.shared
        both: Any = self.blocks().reverse().apply_range(self.needed()).wrap()
        names = dims(rank)
        block = [f"b{k}" for k in range(len(self.factors))]
        label = self.producer.sym_name.data
        order = [*names[:shared], *block, *names[shared:]]
        flat = isl.Map(
            f"{{ [block[{', '.join(block)}] -> {label}[{', '.join(names)}]] -> "
            f"[{', '.join(order)}] }}"
        )
        return both.apply(flat)


def recompute(scop: ScopOp, step: Recompute) -> None:
    """Apply `step`. Where producer and consumer share loops, these stay outermost, and `factors`
    are those of the consumer's dims that follow."""
    pair = _pair(scop, step)
    _check(scop, pair, step)
    blocks = pair.blocks().range()
    limits = [
        (blocks.dim_min_val(d).to_python(), blocks.dim_max_val(d).to_python())
        for d in range(len(pair.factors))
    ]
    if any(low < 0 for low, _ in limits):
        raise refuse(step, f"dims of {step.consumer} take negative values; shift them first")
    domain = pair.domain()
    old = pair.array
    assert isinstance(old.type, MemRefType)
    assert isinstance(old.owner, ArrayOp)
    shape = [*(high + 1 for _, high in limits), *shape_of(old)]
    array = ArrayOp(MemRefType(old.type.element_type, shape), old.name_hint or "t")
    scop.body.block.insert_op_before(array, old.owner)
    for k in pair.reads:
        _set_read(pair, k, array.result)
    _spread(scop, pair, domain, array.result)
    Rewriter.erase_op(old.owner)


def _pair(scop: ScopOp, step: Recompute) -> _Pair:
    producer = find_statement(scop, step.producer)
    consumer = find_statement(scop, step.consumer)
    places = dict(zip(scop.statements, scop.positions, strict=True))
    mine = places[producer]
    shared = 0
    for other, place in places.items():
        if other is not producer:
            common = 0
            while common < min(producer.rank, other.rank) and place[common] == mine[common]:
                common += 1
            shared = max(shared, common)
    if places[consumer][:shared] != mine[:shared]:
        raise refuse(step, f"{step.producer} shares loops with others than {step.consumer}")
    if shared + len(step.factors) > consumer.rank:
        count = consumer.rank - shared
        raise refuse(step, f"{step.consumer} has {count} dims inside the loops that both share")
    return _Pair(producer, consumer, shared, step.factors)


def _check(scop: ScopOp, pair: _Pair, step: Recompute) -> None:
    """The producer alone makes a temporary that the consumer alone reads, in the same iteration of
    their common loops; run again in its place it sees the same values, as it reads none of them."""
    producer, consumer, array = pair.producer, pair.consumer, pair.array
    if not isinstance(array.owner, ArrayOp) or is_indirect(array):
        raise refuse(step, f"{step.producer} writes no temporary with affine accesses")
    users = {use.operation for use in array.uses}
    if users != {producer, consumer} or consumer.target is array or array in producer.sources:
        raise refuse(
            step,
            f"expected an array that {step.producer} alone writes and {step.consumer} alone reads",
        )
    write = pair.write()
    again = write.apply_range(write.reverse()).intersect(pair.same_shared(producer))
    if not again.is_subset(isl.Map.identity(again.get_space())):
        raise refuse(step, f"{step.producer} writes an element more than once")
    if not isl.UnionMap(pair.needed().reverse()).is_subset(dependences_of(scop).flow):
        raise refuse(step, f"{step.consumer} does not come after {step.producer}")
    for k in pair.reads:
        elements = pair.read(k)
        if not elements.is_subset(pair.same_shared(consumer).apply_range(write)):
            raise refuse(
                step, f"{step.consumer} reads elements that {step.producer} does not write"
            )


def _set_read(pair: _Pair, k: int, array: SSAValue) -> None:
    consumer = pair.consumer
    results = (*pair.block_exprs, *consumer.read_maps[k].results)
    maps = list(consumer.reads.data)
    maps[k] = AffineMapAttr(AffineMap(consumer.rank, 0, results))
    consumer.operands[1 + k] = array
    consumer.properties["reads"] = ArrayAttr(maps)


def _spread(scop: ScopOp, pair: _Pair, domain: IslSet, array: SSAValue) -> None:
    """Give the producer its block dims."""
    producer, count, shared = pair.producer, len(pair.factors), pair.shared
    rank = producer.rank + count
    moved = [AffineExpr.dimension(d if d < shared else d + count) for d in range(producer.rank)]
    block = tuple(AffineExpr.dimension(shared + k) for k in range(count))
    write = substitute(producer.write.data, moved, rank)
    reads = [substitute(m, moved, rank) for m in producer.read_maps]
    places = dict(zip(scop.statements, scop.positions, strict=True))
    place = places[producer]
    places[producer] = (*place[: shared + 1], *[0] * count, *place[shared + 1 :])
    producer.operands[0] = array
    producer.properties["domain"] = StringAttr(domain_text(domain))
    producer.properties["write"] = AffineMapAttr(AffineMap(rank, 0, (*block, *write.results)))
    producer.properties["reads"] = ArrayAttr([AffineMapAttr(m) for m in reads])
    for op in producer.body.block.ops:
        if isinstance(op, IndexOp) and op.dim.data >= shared:
            op.properties["dim"] = IntAttr(op.dim.data + count)
    set_positions(scop, places)
