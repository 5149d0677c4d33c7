"""What a kernel does with each sum of a contraction, as the body of a `tile.map`.

before: out[i] = truncf(erf(extf(bias[j]) + t[i]))        a statement; narrow floats are storage
after:  (sum: f32, bias: f32) -> f32                       a region; loads widen, the store rounds
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import IntegerType
from xdsl.ir import Attribute, Block, Region, SSAValue

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
    """The epilogue of `statement`, whose reads `sums` are the sum; None where it is more than that.

    Refused are bodies that ask for iteration numbers or read arrays by themselves, and elements
    that tiles do not have.
    """
    old = statement.body.block
    if any(source.element not in (*NARROW, F32, I32) for source in sources):
        return None
    types = [F32, *(_wide(source.element) for source in sources)]
    block = Block(arg_types=types)
    mapping: dict[SSAValue, SSAValue] = {}
    narrow: set[SSAValue] = set()
    block.args[0].name_hint = "sum"
    for k in sums:
        mapping[old.args[k]] = block.args[0]
    for k, source, new in zip(others, sources, block.args[1:], strict=True):
        mapping[old.args[k]] = new
        new.name_hint = source.array.name_hint
        if source.element in NARROW:
            narrow.add(old.args[k])
    end = old.last_op
    assert isinstance(end, StatementYieldOp)
    result = end.operands[0]
    rounding = result.owner if isinstance(result.owner, arith.TruncFOp) else None
    if result.type in NARROW:
        if rounding is None or rounding.input.type != F32:
            return None
        result = rounding.input
    elif result.type != F32:
        return None
    for op in old.ops:
        if op is end or (op is rounding and result is not end.operands[0]):
            continue
        if isinstance(op, arith.ExtFOp) and op.input in narrow:
            if op.result.type != F32:
                return None
            mapping[op.result] = mapping[op.input]
            continue
        if not op.name.startswith(("arith.", "math.")) or narrow & set(op.operands):
            return None
        if any(not _is_scalar(r.type) for r in op.results):
            return None
        block.add_op(op.clone(mapping))
    block.add_op(ops.YieldOp(mapping.get(result, result)))
    return Epilogue(Region([block]), tuple(sources))


def _wide(element: Attribute) -> Attribute:
    return F32 if element in NARROW else element


def _is_scalar(type: Attribute) -> bool:
    """Types that the text of a body may have."""
    return type in (*NARROW, F32, I32) or type == IntegerType(1)
