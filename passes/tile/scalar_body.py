"""Bodies of statements as those of `tile.map`; what a kernel does with each sum of a contraction.

before: out[i] = truncf(erf(extf(bias[j]) + t[i]))        a statement; narrow floats are storage
after:  (sum: f32, bias: f32) -> f32                       a region; loads widen, the store rounds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import FloatAttr, IntegerAttr, IntegerType
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue

from ...dialects.poly import StatementOp
from ...dialects.poly import YieldOp as StatementYieldOp
from ...dialects.tile import ops
from ...dialects.tile.atoms import BF16, F16, F32, I32
from .access import Access

NARROW = (F16, BF16)


@dataclass(frozen=True)
class Epilogue:
    """`body` takes the sum and an element of each source; its result is rounded to the array's."""

    body: Region
    sources: tuple[Access, ...]


def epilogue_of(
    statement: StatementOp, sums: Sequence[int], others: Sequence[int], sources: Sequence[Access]
) -> Epilogue | None:
    """The epilogue of `statement`, whose reads `sums` are the sum; None where it does more."""
    old = statement.body.block
    arguments = [("sum", [old.args[k] for k in sums])]
    for k, source in zip(others, sources, strict=True):
        arguments.append((source.array.name_hint or "source", [old.args[k]]))
    end = old.last_op
    assert isinstance(end, StatementYieldOp)
    body = scalar_body(statement, arguments, end.operands[0])
    return None if body is None else Epilogue(body, tuple(sources))


def scalar_body(
    statement: StatementOp,
    arguments: Sequence[tuple[str, Sequence[SSAValue]]],
    result: SSAValue,
) -> Region | None:
    """What computes `result` in f32 in the body of `statement`, as the region of a `tile.map`.

    `arguments` are names, and the block arguments of the statement that each stands for; narrow
    ones are given in f32. Refused are bodies that ask for iteration numbers or read arrays by
    themselves, and types that tiles do not have.
    """
    mapping: dict[SSAValue, SSAValue] = {}
    narrow: set[SSAValue] = set()
    types = [argument[0].type for _, argument in arguments]
    if any(type not in (*NARROW, F32, I32) for type in types):
        return None
    block = Block(arg_types=[F32 if type in NARROW else type for type in types])
    for (name, olds), new in zip(arguments, block.args, strict=True):
        new.name_hint = name
        mapping |= dict.fromkeys(olds, new)
        narrow |= {old for old in olds if old.type in NARROW}
    if result.type in NARROW:
        rounding = result.owner
        if not isinstance(rounding, arith.TruncFOp) or rounding.input.type != F32:
            return None
        result = rounding.input
    elif result.type != F32:
        return None
    needed = needed_for(result)
    for op in statement.body.block.ops:
        if op not in needed:
            continue
        if isinstance(op, arith.ExtFOp) and op.input in narrow:
            if op.result.type != F32:
                return None
            mapping[op.result] = mapping[op.input]
            continue
        known = all(isinstance(v.owner, Operation) or v in mapping for v in op.operands)
        if not known or not op.name.startswith(("arith.", "math.")) or narrow & set(op.operands):
            return None
        if any(not _is_scalar(r.type) for r in op.results):
            return None
        block.add_op(op.clone(mapping))
    block.add_op(ops.YieldOp(mapping.get(result, result)))
    return Region([block])


def needed_for(value: SSAValue) -> set[Operation]:
    """The ops of a body that `value` comes from."""
    found: set[Operation] = set()
    waiting = [value]
    while waiting:
        owner = waiting.pop().owner
        if isinstance(owner, Operation) and owner not in found:
            found.add(owner)
            waiting += owner.operands
    return found


def _is_scalar(type: Attribute) -> bool:
    """Types that the text of a body may have."""
    return type in (*NARROW, F32, I32) or type == IntegerType(1)


def below(end: int, other: float) -> Region:
    """(value, number) -> value where number < end, else `other`."""
    block = Block(arg_types=[F32, I32])
    value, place = block.args
    value.name_hint, place.name_hint = "value", "number"
    limit = arith.ConstantOp(IntegerAttr(end, I32))
    outside = arith.ConstantOp(FloatAttr(other, F32))
    is_inside = arith.CmpiOp(place, limit.result, "slt")
    chosen = arith.SelectOp(is_inside.result, value, outside.result)
    block.add_ops([limit, outside, is_inside, chosen, ops.YieldOp(chosen.result)])
    return Region([block])
