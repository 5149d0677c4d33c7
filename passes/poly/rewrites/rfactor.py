"""Reduce into lanes first, then reduce the lanes.

before: for k: s[w] += f(k)
after:  for k: { if k is first: for l: t[w, l] = 0                (S_zero)
                 t[w, k mod F] += f(k)
                 if k is last: for l: s[w] += t[w, l] }           (S_lanes)
"""

from __future__ import annotations

from xdsl.dialects import arith
from xdsl.dialects.builtin import AnyFloat, FloatAttr, IntegerAttr, IntegerType, MemRefType
from xdsl.ir import Attribute, Block, Region
from xdsl.ir.affine import AffineExpr, AffineMap

from ....dialects.poly import ArrayOp, ScopOp, StatementOp, YieldOp
from ....dialects.schedule import Rfactor
from ..positions import insert_beside
from ..rules.rfactor import combine_body
from ..sets import dims, domain_text, isl
from .accumulate import set_accumulator
from .find import check_name_is_free, find_statement
from .reduction_blocks import untouched_blocks


def neutral_value(kind: str, element: Attribute) -> FloatAttr | IntegerAttr:
    """The constant that a reduction of `kind` leaves unchanged."""
    if isinstance(element, AnyFloat):
        number = {"add": 0.0, "mul": 1.0, "max": float("-inf"), "min": float("inf")}[kind]
        return FloatAttr(number, element)
    assert isinstance(element, IntegerType)
    width = element.width.data
    low, top = (0, 1) if width == 1 else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    whole = 1 if width == 1 else -1
    values = {"add": 0, "mul": 1, "max": low, "min": top, "and": whole, "or": 0}
    return IntegerAttr(values[kind], element)


def _with_lane(domain: str, rank: int, lanes: int) -> str:
    """Every instance of `domain` once per lane, which is one more dim."""
    wide = isl.Set(domain).add_dims(isl.dim_type.set, 1)
    names = ", ".join(dims(rank + 1))
    return domain_text(wide.intersect(isl.Set(f"{{ [{names}] : 0 <= i{rank} < {lanes} }}")))


def factor_reduction(scop: ScopOp, step: Rfactor) -> None:
    """Apply `step`; the order of additions is fixed by the domain and the factor alone."""
    statement = find_statement(scop, step.statement)
    name, rank = step.statement, statement.rank
    for new in (f"{name}_zero", f"{name}_lanes"):
        check_name_is_free(scop, new, step)
    blocks = untouched_blocks(scop, statement, step.dim, None, step)
    array, write = statement.target, statement.write.data
    assert isinstance(array.type, MemRefType)
    assert statement.reduction is not None
    element = array.type.element_type
    lanes = ArrayOp(
        MemRefType(element, [*blocks.shape, step.factor]), (array.name_hint or "t") + "_lanes"
    )
    scop.body.block.insert_op_before(lanes, scop.statements[0])

    lane = AffineExpr.dimension(rank)
    each_lane = AffineMap(rank + 1, 0, (*blocks.key.results, lane))
    constant = arith.ConstantOp(neutral_value(statement.reduction.data, element))
    fill_body = Block()
    fill_body.add_ops([constant, YieldOp(constant.result)])
    zero = StatementOp(
        f"{name}_zero",
        _with_lane(blocks.begin_domain(), rank, step.factor),
        lanes.result,
        each_lane,
        [],
        [],
        Region(fill_body),
    )
    total = AffineMap(rank + 1, 0, write.results)
    combine = StatementOp(
        f"{name}_lanes",
        _with_lane(blocks.end_domain(), rank, step.factor),
        array,
        total,
        [array, lanes.result],
        [total, each_lane],
        combine_body(statement, array),
        statement.reduction.data,
    )
    mine = AffineExpr.dimension(step.dim) % step.factor
    set_accumulator(statement, lanes.result, AffineMap(rank, 0, (*blocks.key.results, mine)))
    insert_beside(scop, zero, statement, rank)
    insert_beside(scop, combine, statement, rank, after=True)
