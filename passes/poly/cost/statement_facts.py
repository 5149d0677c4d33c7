"""What a statement is before it has loops: instances, operations, accesses as sums of terms."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from random import Random

from xdsl.dialects import arith, math
from xdsl.dialects.builtin import FixedBitwidthType, Float32Type, Float64Type, IndexType, MemRefType
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.ir.affine import (
    AffineBinaryOpExpr,
    AffineBinaryOpKind,
    AffineConstantExpr,
    AffineDimExpr,
    AffineExpr,
    AffineMap,
)

from ....costmodel.features.nests import Access, StatementFacts, Term
from ....dialects.poly import ArrayOp, ScopOp, StatementOp, arrays_of
from ..affine_maps import row_major_strides
from ..sets import isl
from ..storage import element_bytes

SAMPLES = 256  # points that tell how full the bounding box of a domain is: to about 3%
DIVISIONS = (arith.DivfOp, arith.DivSIOp, arith.DivUIOp, arith.RemSIOp, arith.RemUIOp, math.SqrtOp)
COMPARISONS = (
    *(arith.CmpfOp, arith.CmpiOp, arith.SelectOp),
    *(arith.MaximumfOp, arith.MinimumfOp, arith.MaxnumfOp, arith.MinnumfOp),
)
LATENCIES = {"add": 4.0, "mul": 4.0, "div": 13.0, "special": 20.0}  # in cycles
SHORT_LATENCY = 1.0  # of others


def facts_of(scop: ScopOp) -> dict[str, StatementFacts]:
    """The facts of every statement of `scop`, whose sizes are numbers."""
    numbers = {array: k for k, array in enumerate(arrays_of(scop))}
    return {s.sym_name.data: statement_facts(s, numbers) for s in scop.statements}


def statement_facts(statement: StatementOp, numbers: dict[SSAValue, int]) -> StatementFacts:
    """The facts of one statement; `numbers` has one for each array."""
    extents, instances = domain_size(statement.domain.data)
    operations: dict[str, int] = {}
    for op in statement.body.block.ops:
        name = operation_class(op)
        if name is not None:
            operations[name] = operations.get(name, 0) + 1
    maps = (statement.write.data, *statement.read_maps)
    arrays = (statement.target, *statement.sources)
    return StatementFacts(
        statement.sym_name.data,
        extents,
        instances,
        operations,
        element_name(statement.target),
        statement.reduction is not None,
        tuple(
            access_of(array, map, numbers[array], is_write=k == 0)
            for k, (array, map) in enumerate(zip(arrays, maps, strict=True))
        ),
        paths_of(statement),
    )


def paths_of(statement: StatementOp) -> tuple[float, ...]:
    """The latency in cycles of the longest path from each read to what is written.

    A product that is only added to something is part of a multiply-add.
    """
    block = statement.body.block
    behind: dict[SSAValue, float] = {}
    for op in reversed(list(block.ops)):
        after = max((behind.get(result, 0.0) for result in op.results), default=0.0)
        for value in op.operands:
            behind[value] = max(behind.get(value, 0.0), after + latency_of(op))
    return tuple(behind.get(value, 0.0) for value in block.args[: len(statement.sources)])


def latency_of(op: Operation) -> float:
    """Cycles from the operands of `op` to its result."""
    name = operation_class(op)
    if name is None:
        return 0.0
    users = [operation_class(use.operation) for use in op.results[0].uses]
    is_fused = name == "mul" and all(user == "add" for user in users)
    return 0.0 if is_fused else LATENCIES.get(name, SHORT_LATENCY)


@lru_cache(maxsize=4096)
def domain_size(text: str) -> tuple[tuple[int, ...], float]:
    """(extents of the bounding box, about how many points the domain has: exactly for a box)."""
    domain = isl.Set(text)
    rank = domain.dim(isl.dim_type.set)
    if rank == 0 or domain.is_empty():
        return (1,) * rank, float(not domain.is_empty())
    lows = [domain.dim_min_val(d).to_python() for d in range(rank)]
    highs = [domain.dim_max_val(d).to_python() for d in range(rank)]
    extents = tuple(int(h - low + 1) for low, h in zip(lows, highs, strict=True))
    if domain.is_box():
        return extents, float(prod(extents))
    rng = Random(0)
    names = ", ".join(f"i{d}" for d in range(rank))
    points = {
        tuple(rng.randint(low, h) for low, h in zip(lows, highs, strict=True))
        for _ in range(SAMPLES)
    }
    inside = sum(
        not domain.intersect(isl.Set(f"{{ [{names}] : {at(p)} }}")).is_empty() for p in points
    )
    return extents, max(1.0, prod(extents) * inside / len(points))


def at(point: tuple[int, ...]) -> str:
    """The condition that all dims have the values of `point`."""
    return " and ".join(f"i{d} = {value}" for d, value in enumerate(point))


def operation_class(op: Operation) -> str | None:
    """The entry of `OPERATIONS` that `op` counts as; None for what costs nothing."""
    if not op.results or isinstance(op, arith.ConstantOp):
        return None
    if isinstance(op, DIVISIONS):
        return "div"
    if isinstance(op, COMPARISONS):
        return "compare"
    if op.name.startswith("math."):
        return "special"
    if isinstance(op.results[0].type, IndexType):
        return "integer"
    if isinstance(op, arith.MulfOp | arith.MuliOp):
        return "mul"
    if isinstance(op, arith.AddfOp | arith.SubfOp | arith.NegfOp | arith.AddiOp | arith.SubiOp):
        return "add"
    return "other"


def element_name(array: SSAValue) -> str:
    """f32, f64 or i32 and the like."""
    assert isinstance(array.type, MemRefType)
    element: Attribute = array.type.element_type
    if isinstance(element, Float32Type):
        return "f32"
    if isinstance(element, Float64Type):
        return "f64"
    width = element.bitwidth if isinstance(element, FixedBitwidthType) else 64
    return f"i{width}"


def access_of(array: SSAValue, map: AffineMap, number: int, is_write: bool) -> Access:
    """The access of one operand."""
    assert isinstance(array.type, MemRefType)
    shape = tuple(array.type.get_shape())
    return Access(
        number,
        is_write,
        isinstance(array.owner, ArrayOp),
        element_bytes(array),
        shape,
        tuple(terms_of(expr, map.num_dims) for expr in map.results),
        tuple(row_major_strides(shape)),
        tuple(map.eval([0] * map.num_dims, [0] * map.num_symbols)),
    )


def terms_of(expr: AffineExpr, rank: int, factor: int = 1) -> tuple[Term, ...]:
    """`expr` as a sum of terms; the linear part is one term. Constants are left out."""
    linear, others = [0] * rank, list[Term]()

    def collect(e: AffineExpr, factor: int) -> None:
        match e:
            case AffineDimExpr():
                linear[e.position] += factor
            case AffineBinaryOpExpr(kind=AffineBinaryOpKind.Add):
                collect(e.lhs, factor)
                collect(e.rhs, factor)
            case AffineBinaryOpExpr(
                kind=AffineBinaryOpKind.Mul, lhs=lhs, rhs=AffineConstantExpr(value=value)
            ):
                collect(lhs, factor * value)
            case AffineBinaryOpExpr(kind=kind, lhs=lhs, rhs=AffineConstantExpr(value=value)):
                others.append(quotient(lhs, kind, value, rank, factor))
            case _:
                pass

    collect(expr, factor)
    plain = [Term(tuple(linear))] if any(linear) else []
    return (*plain, *others)


def quotient(
    inner: AffineExpr, kind: AffineBinaryOpKind, value: int, rank: int, factor: int
) -> Term:
    """inner / value or inner mod value as one term; of nested ones the outer numbers count."""
    divisor, modulus, coefficients = 1, 0, [0] * rank
    for term in terms_of(inner, rank):
        divisor, modulus = max(divisor, term.divisor), modulus or term.modulus
        coefficients = [
            a + term.factor * b for a, b in zip(coefficients, term.coefficients, strict=True)
        ]
    if kind == AffineBinaryOpKind.Mod:
        return Term(tuple(coefficients), divisor, value, factor)
    return Term(
        tuple(coefficients), divisor * value, max(1, modulus // value) if modulus else 0, factor
    )
