"""The products that a sum adds up: acc + a * b, acc - a * b, acc + (a * b + c * d), and the dot
products of pairs.

Reductions are reassociated anyway, so each product can go into the accumulator by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.ir import Operation

from ....dialects.pairs import DotOp
from ....dialects.poly import StatementOp
from ..access_patterns import combining_op


@dataclass(frozen=True)
class Product:
    """One summand of a float sum: `op`, subtracted where `negated`."""

    op: arith.MulfOp | DotOp
    negated: bool


@dataclass(frozen=True)
class SummedProducts:
    """All summands, and the ops that only combine them: with these the sum is the body."""

    products: tuple[Product, ...]
    combining: tuple[Operation, ...]


def summed_products(statement: StatementOp) -> SummedProducts | None:
    """What the body of `statement` adds to its accumulator; None where it is no sum of float
    products, or where a part of the sum is needed for anything else."""
    if statement.reduction is None or statement.reduction.data != "add":
        return None
    combiner = combining_op(statement)
    accumulator = statement.body.block.args[0]
    if not isinstance(combiner, arith.AddfOp):
        return None
    products: list[Product] = []
    combining: list[Operation] = [combiner]
    pending = [(o, False) for o in combiner.operands if o is not accumulator]
    while pending:
        value, negated = pending.pop(0)
        op = value.owner
        if not isinstance(op, Operation) or not value.has_one_use():
            return None
        match op:
            case arith.MulfOp():
                products.append(Product(op, negated))
            case DotOp() if not negated:
                products.append(Product(op, False))
            case arith.NegfOp():
                pending.insert(0, (op.operand, not negated))
            case arith.AddfOp():
                pending[:0] = [(op.lhs, negated), (op.rhs, negated)]
            case arith.SubfOp():
                pending[:0] = [(op.lhs, negated), (op.rhs, not negated)]
            case _:
                return None
        combining.append(op)
    return SummedProducts(tuple(products), tuple(combining))
