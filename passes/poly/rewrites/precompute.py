"""Compute what a statement needs of few dims once, in a statement of its own.

before: for i, j, k: C[i, j] += (alpha * A[i, k]) * B[k, j]
after:  for i, k: t[i, k] = alpha * A[i, k];  for i, j, k: C[i, j] += t[i, k] * B[k, j]

(Partial redundancy elimination over a whole dim, array-valued loop-invariant code motion.)
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects import memref
from xdsl.dialects.builtin import AffineMapAttr, ArrayAttr, DenseArrayBase, MemRefType, i64
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.errors import IllegalScheduleError
from ....dialects.poly import ArrayOp, IndexOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import Precompute
from ..affine_maps import substitute
from ..sets import IslSet, domain_set, isl
from .find import check_name_is_free, find_statement, refuse


def _dims_of(statement: StatementOp) -> dict[SSAValue, frozenset[int]]:
    """The iteration dims that each value of the body depends on."""
    block = statement.body.block
    dims: dict[SSAValue, frozenset[int]] = {
        arg: frozenset(access.used_dims())
        for arg, access in zip(block.args, statement.read_maps, strict=True)
    }
    for op in block.ops:
        for result in op.results:
            dims[result] = frozenset[int]().union(*(dims.get(o, frozenset()) for o in op.operands))
    return dims


def _candidates(statement: StatementOp, wanted: frozenset[int]) -> list[SSAValue]:
    """Values of the body that depend on `wanted` only, whose users depend on more.

    What the body does with the accumulator of a reduction, or with iteration numbers, stays.
    """
    dims = _dims_of(statement)
    block = statement.body.block
    fixed: set[SSAValue] = {block.args[0]} if statement.reduction is not None else set()
    invariant: set[SSAValue] = set()
    for op in block.ops:
        if isinstance(op, IndexOp | memref.LoadOp) or not fixed.isdisjoint(op.operands):
            fixed.update(op.results)
            continue
        invariant.update(r for r in op.results if dims[r] and dims[r] <= wanted)
    return [
        v
        for op in block.ops
        for v in op.results
        if v in invariant and any(invariant.isdisjoint(u.operation.results) for u in v.uses)
    ]


def _projection(statement: StatementOp, kept: Sequence[int]) -> IslSet:
    """The values that dims `kept` take in the domain of `statement`."""
    domain = domain_set(statement.domain.data, "S").reset_tuple_id()
    for d in reversed(range(statement.rank)):
        if d not in kept:
            domain = domain.project_out(isl.dim_type.set, d, 1)
    return domain


def _slice_of(value: SSAValue, block: Block) -> list[Operation]:
    """The ops of `block` that `value` is computed by, in order."""
    needed: set[SSAValue] = {value}
    ops = []
    for op in reversed(list(block.ops)):
        if needed & set(op.results):
            needed |= set(op.operands)
            ops.append(op)
    return ops[::-1]


def _producer(
    statement: StatementOp, value: SSAValue, kept: Sequence[int], name: str
) -> StatementOp:
    """The statement that computes `value` for every value of dims `kept`, and its array."""
    domain = _projection(statement, kept)
    shape = [domain.dim_max_val(p).to_python() + 1 for p in range(len(kept))]
    if any(domain.dim_min_val(p).to_python() < 0 for p in range(len(kept))):
        raise IllegalScheduleError(
            f"precompute: dims of {name} take negative values; shift them first"
        )
    new_dims = [AffineExpr.constant(0)] * statement.rank
    for p, d in enumerate(kept):
        new_dims[d] = AffineExpr.dimension(p)
    body, sources, reads = Block(), [], []
    mapping: dict[SSAValue, SSAValue] = {}
    ops = _slice_of(value, statement.body.block)
    used = {o for op in ops for o in op.operands}
    old = zip(statement.body.block.args, statement.sources, statement.read_maps, strict=True)
    for arg, source, access in old:
        if arg in used:
            mapping[arg] = body.insert_arg(arg.type, len(body.args))
            sources.append(source)
            reads.append(substitute(access, new_dims, len(kept)))
    for op in ops:
        clone = op.clone(value_mapper=mapping)
        body.add_op(clone)
    body.add_op(YieldOp(mapping[value]))
    array = ArrayOp(MemRefType(value.type, shape), name)
    return StatementOp(
        name,
        str(domain),
        array.result,
        AffineMap.identity(len(kept)),
        sources,
        reads,
        Region(body),
    )


def _read_instead(
    statement: StatementOp, value: SSAValue, array: SSAValue, access: AffineMap
) -> None:
    """Replace `value` in the body by a read of `array`, and drop reads that are not needed."""
    block = statement.body.block
    value.replace_all_uses_with(block.insert_arg(value.type, len(block.args)))
    sources, reads = [*statement.sources, array], [*statement.read_maps, access]
    for op in reversed(list(block.ops)):
        if op.results and not any(r.uses for r in op.results):
            block.erase_op(op)
    for k in reversed(range(len(block.args))):
        if not block.args[k].uses and not (k == 0 and statement.reduction is not None):
            block.erase_arg(block.args[k])
            del sources[k], reads[k]
    statement.operands = [statement.target, *sources]
    statement.properties["reads"] = ArrayAttr([AffineMapAttr(m) for m in reads])


def precompute(scop: ScopOp, step: Precompute) -> None:
    """Apply `step`; IllegalScheduleError where there is nothing to take out, or it may change."""
    statement = find_statement(scop, step.statement)
    values = _candidates(statement, frozenset(step.dims))
    if not values:
        dims = ", ".join(f"i{d}" for d in step.dims)
        raise refuse(step, f"no part of the body of {step.statement} depends on {dims} only")
    used = _dims_of(statement)
    kept = [sorted(used[v]) for v in values]
    producers = [
        _producer(statement, v, dims, f"{step.statement}_pre{k}")
        for k, (v, dims) in enumerate(zip(values, kept, strict=True))
    ]
    written = {s.target for s in scop.statements}
    for producer in producers:
        check_name_is_free(scop, producer.sym_name.data, step)
        changed = next((a for a in producer.sources if a in written), None)
        if changed is not None:
            raise refuse(
                step,
                f"{step.statement} reads {changed.name_hint or 'an array'}, which is written; "
                "precompute takes what depends on arrays that are never written",
            )
    first = scop.statements[0]
    for producer, value, dims_of_value in zip(producers, values, kept, strict=True):
        array = producer.target.owner
        assert isinstance(array, ArrayOp)
        scop.body.block.insert_op_before(array, first)
        scop.body.block.insert_op_before(producer, first)
        access = tuple(AffineExpr.dimension(d) for d in dims_of_value)
        _read_instead(statement, value, array.result, AffineMap(statement.rank, 0, access))
        _place_first(scop, producer)


def _place_first(scop: ScopOp, producer: StatementOp) -> None:
    """Give `producer` the first nest where statements have positions."""
    others = [s for s in scop.statements if s is not producer]
    if all(s.place is None for s in others):
        return
    for s in others:
        assert s.place is not None
        s.properties["position"] = DenseArrayBase.from_list(i64, [s.place[0] + 1, *s.place[1:]])
    producer.properties["position"] = DenseArrayBase.from_list(i64, [0] * (producer.rank + 1))
