"""A `linalg.generic` as statements: one per result, and its initial value where it reduces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from xdsl.dialects import arith, memref, tensor
from xdsl.dialects.builtin import FloatAttr, IntegerAttr
from xdsl.dialects.linalg import ops as linalg
from xdsl.ir import Block, Operation, Region, SSAValue
from xdsl.ir.affine import AffineMap

from ....dialects.errors import LoweringError
from ....dialects.graph import SizeIndexOp, shape_of
from ....dialects.poly import IndexOp, YieldOp
from ..affine_maps import compose, plain_dim
from ..combiners import COMBINERS
from .scop_builder import ScopBuilder, Source
from .scop_sizes import size_value


def is_identity(map: AffineMap) -> bool:
    return all(plain_dim(e) == d for d, e in enumerate(map.results)) and map.num_dims == len(
        map.results
    )


def _extents(op: linalg.GenericOp) -> tuple[int, ...]:
    """Loop extents, read off operand dims that are indexed by a plain loop dim."""
    maps = [m.data for m in op.indexing_maps]
    extents: list[int | None] = [None] * maps[0].num_dims
    for value, map in zip((*op.inputs, *op.outputs), maps, strict=True):
        for size, expr in zip(shape_of(value), map.results, strict=True):
            dim = plain_dim(expr)
            if dim is not None:
                extents[dim] = size
    if None in extents:
        raise LoweringError(
            f"extract-scop: loop {extents.index(None)} of a linalg.generic has no extent; "
            "add a tensor.empty operand that is indexed by it"
        )
    return tuple(cast(list[int], extents))


def _clone_body(
    builder: ScopBuilder, op: linalg.GenericOp, kept: Sequence[int], out: int
) -> Region:
    """The body of `op` over its block arguments `kept`, yielding result `out`."""
    old = op.body.block
    new = Block(arg_types=[old.args[k].type for k in kept])
    mapping: dict[SSAValue, SSAValue] = {
        old.args[k]: arg for k, arg in zip(kept, new.args, strict=True)
    }

    def value_of(value: SSAValue) -> SSAValue:
        owner = value.owner
        if value not in mapping and isinstance(owner, arith.ConstantOp):
            constant = owner.clone()
            new.insert_op_before(constant, first) if (first := new.first_op) else new.add_op(
                constant
            )
            mapping[value] = constant.result
        if value not in mapping:
            raise LoweringError(f"extract-scop: statement body uses {value} from outside")
        return mapping[value]

    for inner in old.ops:
        if isinstance(inner, linalg.YieldOp):
            new.add_op(YieldOp(value_of(inner.operands[out])))
        elif isinstance(inner, linalg.IndexOp):
            index = IndexOp(inner.dim.value.data)
            new.add_op(index)
            mapping[inner.result] = index.result
        elif isinstance(inner, SizeIndexOp):
            mapping[inner.result] = size_value(builder.parameters.expr(inner.value), new)
        elif isinstance(inner, tensor.ExtractOp):
            source = builder.read(inner.tensor)
            if not is_identity(source.map):
                raise LoweringError(
                    "extract-scop: tensor.extract through a view; materialize it first"
                )
            load = memref.LoadOp.get(source.array, [value_of(i) for i in inner.indices])
            new.add_op(load)
            mapping[inner.result] = load.res
        else:
            clone = inner.clone_without_regions()
            for k, operand in enumerate(inner.operands):
                clone.operands[k] = value_of(operand)
            new.add_op(clone)
            for before, after in zip(inner.results, clone.results, strict=True):
                mapping[before] = after
                after.name_hint = before.name_hint
    return Region(new)


def _combiner(op: linalg.GenericOp, out: int) -> str | None:
    """The reduction kind where the yielded value is acc (+) rest; None otherwise."""
    block = op.body.block
    accumulator = block.args[len(op.inputs) + out]
    last = block.last_op
    assert last is not None
    value = last.operands[out].owner
    if not isinstance(value, Operation) or type(value) not in COMBINERS:
        return None
    if sum(operand is accumulator for operand in value.operands) != 1:
        return None
    return COMBINERS[type(value)] if len(list(accumulator.uses)) == 1 else None


def extract_generic(builder: ScopBuilder, op: linalg.GenericOp) -> None:
    """Append the statements of `op`, or LoweringError."""
    extents = _extents(op)
    maps = [m.data for m in op.indexing_maps]
    inputs = len(op.inputs)
    for out, result in enumerate(op.res):
        write = maps[inputs + out]
        target = builder.array(result.type)
        reduced = len(write.used_dims()) < len(extents)
        init = op.outputs[out]
        block = op.body.block
        if block.args[inputs + out].uses and not reduced:
            raise LoweringError("extract-scop: a pointwise linalg.generic reads its output")
        if reduced:
            kind = _combiner(op, out)
            if kind is None:
                raise LoweringError("extract-scop: a reduction does not combine associatively")
            if init not in builder.fills:
                raise LoweringError("extract-scop: a reduction is not initialised by linalg.fill")
            owner = builder.fills[init].owner
            assert isinstance(owner, arith.ConstantOp)
            assert isinstance(owner.value, FloatAttr | IntegerAttr)
            builder.constant(target, shape_of(result), owner.value)
        else:
            kind = None
        kept = [k for k in range(inputs) if block.args[k].uses]
        reads = []
        for k in kept:
            source = builder.read(op.inputs[k])
            reads.append(Source(source.array, compose(source.map, maps[k])))
        order = kept
        if reduced:
            reads.insert(0, Source(target, write))
            order = [inputs + out, *kept]
        body = _clone_body(builder, op, order, out)
        builder.statement(extents, target, write, reads, body, kind)
        builder.sources[result] = Source(target, AffineMap.identity(len(shape_of(result))))
