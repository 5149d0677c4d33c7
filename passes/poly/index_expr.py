"""Index expressions while loops are emitted: linear over loop variables, with their ranges.

Ranges resolve min, max, floor division and guards at compile time wherever they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, VectorType
from xdsl.dialects.vector import BroadcastOp, CreateMaskOp
from xdsl.ir import Block, Operation, SSAValue

from ...dialects.errors import LoweringError
from ...dialects.vector import StepOp, mask_type
from .sets import isl

OP = isl.ast_expr_op_type


@dataclass(eq=False)
class Atom:
    """A loop variable or an opaque index value in [low, high].

    `lane` marks the variable of the vector loop, whose value is the lane number; an opaque atom
    that depends on it has a vector as its value.
    """

    name: str
    low: int
    high: int
    value: SSAValue | None = None
    lane: bool = False

    @property
    def varies(self) -> bool:
        """Whether lanes see different values."""
        return self.lane or (self.value is not None and isinstance(self.value.type, VectorType))


@dataclass(frozen=True)
class Linear:
    """Sum of coefficient * atom, plus a constant."""

    constant: int = 0
    terms: tuple[tuple[Atom, int], ...] = ()

    def __add__(self, other: Linear) -> Linear:
        terms = dict(self.terms)
        for atom, coefficient in other.terms:
            terms[atom] = terms.get(atom, 0) + coefficient
        kept = tuple((a, c) for a, c in terms.items() if c)
        return Linear(self.constant + other.constant, kept)

    def times(self, factor: int) -> Linear:
        """self * factor."""
        if factor == 0:
            return Linear()
        return Linear(self.constant * factor, tuple((a, c * factor) for a, c in self.terms))

    @property
    def is_constant(self) -> bool:
        """Whether no atom occurs."""
        return not self.terms

    @property
    def low(self) -> int:
        """A lower bound."""
        return self.constant + sum(min(c * a.low, c * a.high) for a, c in self.terms)

    @property
    def high(self) -> int:
        """An upper bound."""
        return self.constant + sum(max(c * a.low, c * a.high) for a, c in self.terms)

    @property
    def varies(self) -> bool:
        """Whether lanes see different values."""
        return any(a.varies for a, _ in self.terms)

    @property
    def lane_stride(self) -> int | None:
        """The difference between neighbouring lanes; None where it is not constant."""
        if any(a.varies and not a.lane for a, _ in self.terms):
            return None
        return sum(c for a, c in self.terms if a.lane)

    def uniform_part(self) -> Linear:
        """The terms that are equal in all lanes."""
        return Linear(self.constant, tuple((a, c) for a, c in self.terms if not a.varies))

    def varying_part(self) -> Linear:
        """The other terms."""
        return Linear(0, tuple((a, c) for a, c in self.terms if a.varies))

    def split(self, divisor: int) -> tuple[Linear, Linear]:
        """(q, r) with self == divisor * q + r, r holding the terms not divisible."""
        quotient = Linear(
            self.constant // divisor,
            tuple((a, c // divisor) for a, c in self.terms if c % divisor == 0),
        )
        rest = Linear(
            self.constant % divisor, tuple((a, c) for a, c in self.terms if c % divisor != 0)
        )
        return quotient, rest


@dataclass
class IndexBuilder:
    """Appends index arithmetic to `block`; with block None only ranges are computed.

    `lanes` is the vector length inside a vector loop. `known` holds the constants of each block, so
    that unrolled code does not repeat them.
    """

    block: Block | None
    env: dict[str, Linear] = field(default_factory=dict)
    lanes: int = 0
    known: dict[Hashable, SSAValue] = field(default_factory=dict)
    unresolved: int = 0

    def add(self, op: Operation) -> SSAValue:
        """Append `op` and return its result."""
        assert self.block is not None
        self.block.add_op(op)
        return op.results[0]

    def once(self, key: Hashable, make: Callable[[], Operation]) -> SSAValue:
        """The result of `make`, made at most once per block and key."""
        where = (self.block, key)
        if where not in self.known:
            self.known[where] = self.add(make())
        return self.known[where]

    def constant(self, value: int) -> SSAValue:
        """An index constant."""
        return self.once(
            ("index", value), lambda: arith.ConstantOp.from_int_and_width(value, IndexType())
        )

    def materialize(self, expr: Linear) -> SSAValue:
        """The SSA value of `expr`, which must not depend on the lane."""
        total: SSAValue | None = None
        for atom, coefficient in expr.terms:
            if atom.varies or atom.value is None:
                raise LoweringError(f"index {atom.name} differs between lanes")
            term = atom.value
            if coefficient != 1:
                term = self.add(arith.MuliOp(term, self.constant(coefficient)))
            total = term if total is None else self.add(arith.AddiOp(total, term))
        if total is None:
            return self.constant(expr.constant)
        if expr.constant:
            total = self.add(arith.AddiOp(total, self.constant(expr.constant)))
        return total

    def splat(self, value: SSAValue) -> SSAValue:
        """`value` in every lane."""
        type = VectorType(value.type, [self.lanes])
        return self.once(("splat", value, self.lanes), lambda: BroadcastOp(value, type))

    def vector(self, expr: Linear) -> SSAValue:
        """The value of `expr` in every lane, as a vector of index."""
        total: SSAValue | None = None
        for atom, coefficient in expr.varying_part().terms:
            term = self.add(StepOp(self.lanes)) if atom.lane else atom.value
            assert term is not None
            if coefficient != 1:
                term = self.add(arith.MuliOp(term, self.splat(self.constant(coefficient))))
            total = term if total is None else self.add(arith.AddiOp(total, term))
        uniform = expr.uniform_part()
        if total is None:
            return self.splat(self.materialize(uniform))
        if uniform != Linear():
            total = self.add(arith.AddiOp(total, self.splat(self.materialize(uniform))))
        return total

    def value(self, expr: Linear) -> SSAValue:
        """A scalar where all lanes agree, else a vector."""
        return self.vector(expr) if expr.varies else self.materialize(expr)

    def _opaque(self, name: str, low: int, high: int, make: Any) -> Linear:
        self.unresolved += 1
        value = make() if self.block is not None else None
        return Linear(0, ((Atom(name, low, high, value), 1),))

    def divide(self, expr: Linear, divisor: int) -> Linear:
        """floor(expr / divisor)."""
        quotient, rest = expr.split(divisor)
        if rest.low // divisor == rest.high // divisor:
            return quotient + Linear(rest.low // divisor)

        def make() -> SSAValue:
            op = arith.DivSIOp if rest.low >= 0 else arith.FloorDivSIOp
            by = self.constant(divisor)
            return self.add(op(self.value(rest), self.splat(by) if rest.varies else by))

        return quotient + self._opaque("q", rest.low // divisor, rest.high // divisor, make)

    def remainder(self, expr: Linear, divisor: int) -> Linear:
        """expr modulo divisor, in [0, divisor)."""
        _, rest = expr.split(divisor)
        quotient = self.divide(rest, divisor)
        if quotient.is_constant:
            return rest + Linear(-quotient.constant * divisor)
        return rest + quotient.times(-divisor)

    def extremum(self, exprs: list[Linear], largest: bool) -> Linear:
        """min or max of `exprs`, resolved by ranges where possible."""
        best = exprs[0]
        for other in exprs[1:]:
            a, b = best, other
            if a.low >= b.high or b.low >= a.high:
                larger, smaller = (a, b) if a.low >= b.high else (b, a)
                best = larger if largest else smaller
                continue

            def make(a: Linear = a, b: Linear = b) -> SSAValue:
                op = arith.MaxSIOp if largest else arith.MinSIOp
                return self.add(op(self.materialize(a), self.materialize(b)))

            pick = max if largest else min
            best = self._opaque("m", pick(a.low, b.low), pick(a.high, b.high), make)
        return best

    def evaluate(self, expr: Any) -> Linear:
        """An isl AST expression over the iterators in `env`."""
        kind = expr.get_type()
        if kind == isl.ast_expr_type.int:
            return Linear(expr.get_val().to_python())
        if kind == isl.ast_expr_type.id:
            return self.env[expr.get_id().get_name()]
        op = expr.get_op_type()
        args = [expr.get_op_arg(k) for k in range(expr.get_op_n_arg())]
        values = [self.evaluate(a) for a in args]
        match op:
            case OP.add:
                return values[0] + values[1]
            case OP.sub:
                return values[0] + values[1].times(-1)
            case OP.minus:
                return values[0].times(-1)
            case OP.mul:
                a, b = values
                if a.is_constant:
                    return b.times(a.constant)
                if b.is_constant:
                    return a.times(b.constant)
            case OP.min:
                return self.extremum(values, largest=False)
            case OP.max:
                return self.extremum(values, largest=True)
            case OP.fdiv_q | OP.pdiv_q | OP.div:
                return self.divide(values[0], values[1].constant)
            case OP.pdiv_r | OP.zdiv_r:
                return self.remainder(values[0], values[1].constant)
            case _:
                pass
        raise LoweringError(f"lower-scop: no rule for the index expression {expr.to_C_str()}")

    def condition(self, expr: Any) -> bool | SSAValue | None:
        """A guard: True or False where ranges decide it, else its i1 value (None without block)."""
        op = expr.get_op_type()
        args = [expr.get_op_arg(k) for k in range(expr.get_op_n_arg())]
        if op in (OP.and_, OP.and_then, OP.or_, OP.or_else):
            parts = [self.condition(a) for a in args]
            absorbing = op in (OP.or_, OP.or_else)
            if absorbing in parts:
                return absorbing
            open_parts = [p for p in parts if not isinstance(p, bool)]
            if not open_parts:
                return not absorbing
            if self.block is None:
                return None
            total = open_parts[0]
            for part in open_parts[1:]:
                assert isinstance(total, SSAValue)
                assert isinstance(part, SSAValue)
                total = self.add(
                    arith.OrIOp(total, part) if absorbing else arith.AndIOp(total, part)
                )
            return total
        difference = self.evaluate(args[0]) + self.evaluate(args[1]).times(-1)
        low, high = difference.low, difference.high
        decided = {
            OP.eq: (low == high == 0, low > 0 or high < 0),
            OP.le: (high <= 0, low > 0),
            OP.lt: (high < 0, low >= 0),
            OP.ge: (low >= 0, high < 0),
            OP.gt: (low > 0, high <= 0),
        }
        if op not in decided:
            raise LoweringError(f"lower-scop: no rule for the guard {expr.to_C_str()}")
        holds, fails = decided[op]
        if holds or fails:
            return holds
        self.unresolved += 1
        if self.block is None:
            return None
        predicate = {OP.eq: "eq", OP.le: "sle", OP.lt: "slt", OP.ge: "sge", OP.gt: "sgt"}[op]
        return self.add(arith.CmpiOp(self.materialize(difference), self.constant(0), predicate))

    def less_than(self, lhs: Linear, rhs: Linear) -> SSAValue:
        """The i1 value of lhs < rhs."""
        return self.add(arith.CmpiOp(self.materialize(lhs), self.materialize(rhs), "slt"))

    def create_mask(self, count: SSAValue, lanes: int) -> SSAValue:
        """A mask with the first `count` lanes set."""
        return self.add(CreateMaskOp([count], mask_type(lanes)))
