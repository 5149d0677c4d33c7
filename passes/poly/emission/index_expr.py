"""Index expressions while loops are emitted, as linear forms over loop variables.

Ranges resolve min, max, floor division and guards at compile time wherever they can be.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, VectorType
from xdsl.dialects.vector import BroadcastOp, CreateMaskOp
from xdsl.ir import Block, Operation, SSAValue

from ....dialects.errors import IllegalScheduleError, LoweringError
from ....dialects.vector import ConstantMaskOp, StepOp, mask_type, vector_of
from ....dialects.vector_arith import CmpiOp
from .linear import Atom, Linear
from .loop_ast import Call, Expr


@dataclass
class IndexBuilder:
    """Appends index arithmetic to `block`; with block None only ranges are computed.

    `lanes` is the vector length inside a vector loop. `known` holds the constants of each block, so
    that unrolled code does not repeat them. `strides` are those of arrays that are flat in memory
    because their extents are known at run time only. `quotients` are numerator and divisor of the
    opaque values that stand for floor divisions.
    """

    block: Block | None
    env: dict[str, Linear] = field(default_factory=dict)
    lanes: int = 0
    known: dict[Hashable, SSAValue] = field(default_factory=dict)
    strides: dict[SSAValue, list[SSAValue]] = field(default_factory=dict)
    unresolved: int = 0
    quotients: dict[Atom, tuple[Linear, int]] = field(default_factory=dict)

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
                raise IllegalScheduleError(
                    "a loop inside a vector loop has other bounds in every lane; vectorize the "
                    "inner loop, or interchange them"
                )
            term = atom.value
            if coefficient != 1:
                term = self.add(arith.MuliOp(term, self.constant(coefficient)))
            total = term if total is None else self.add(arith.AddiOp(total, term))
        if total is None:
            return self.constant(expr.constant)
        if expr.constant:
            total = self.add(arith.AddiOp(total, self.constant(expr.constant)))
        return total

    def place(self, array: SSAValue, access: Sequence[Linear]) -> list[SSAValue]:
        """The indices of an element; one, its distance from the start, where `array` is flat."""
        indices = [self.materialize(e) for e in access]
        if array not in self.strides:
            return indices
        total = self.constant(0)
        for index, stride in zip(indices, self.strides[array], strict=True):
            total = self.add(arith.AddiOp(total, self.add(arith.MuliOp(index, stride))))
        return [total]

    def splat(self, value: SSAValue) -> SSAValue:
        """`value` in every lane."""
        return self.once(
            ("splat", value, self.lanes),
            lambda: BroadcastOp(value, vector_of(value.type, self.lanes)),
        )

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
        rest = rest.without_lanes(divisor)

        def make() -> SSAValue:
            if divisor & (divisor - 1) == 0 and not rest.varies:
                bits = self.constant(divisor.bit_length() - 1)
                return self.add(arith.ShRSIOp(self.value(rest), bits))
            op = arith.DivSIOp if rest.low >= 0 else arith.FloorDivSIOp
            by = self.constant(divisor)
            return self.add(op(self.value(rest), self.splat(by) if rest.varies else by))

        result = self._opaque("q", rest.low // divisor, rest.high // divisor, make)
        ((atom, _),) = result.terms
        self.quotients[atom] = rest, divisor
        return quotient + result

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

    def choose(self, condition: SSAValue, then: Linear, other: Linear) -> Linear:
        """`then` where `condition` holds, else `other`."""

        def make() -> SSAValue:
            values = self.materialize(then), self.materialize(other)
            return self.add(arith.SelectOp(condition, *values))

        return self._opaque("s", min(then.low, other.low), max(then.high, other.high), make)

    def _chosen(self, condition: Expr, then: Expr, other: Expr) -> Linear:
        """`then` where `condition` holds, else `other`."""
        holds = self.condition(condition)
        if isinstance(holds, bool):
            return self.evaluate(then if holds else other)
        one, two = self.evaluate(then), self.evaluate(other)
        if holds is None:  # without a block
            return self._opaque("s", min(one.low, two.low), max(one.high, two.high), None)
        if isinstance(holds.type, VectorType) or one.varies or two.varies:
            raise IllegalScheduleError(
                "the place of an access depends on a condition in every lane; vectorize another "
                "loop"
            )
        return self.choose(holds, one, two)

    def evaluate(self, expr: Expr) -> Linear:
        """An AST expression over the iterators in `env`."""
        if isinstance(expr, int):
            return Linear(expr)
        if isinstance(expr, str):
            return self.env[expr]
        if expr.op == "choose":
            return self._chosen(*expr.args)
        values = [self.evaluate(a) for a in expr.args]
        match expr.op:
            case "add":
                return values[0] + values[1]
            case "sub":
                return values[0] - values[1]
            case "minus":
                return values[0].times(-1)
            case "mul":
                a, b = values
                if a.is_constant:
                    return b.times(a.constant)
                if b.is_constant:
                    return a.times(b.constant)
            case "min":
                return self.extremum(values, largest=False)
            case "max":
                return self.extremum(values, largest=True)
            case "div":
                return self.divide(values[0], values[1].constant)
            case "rem":
                return self.remainder(values[0], values[1].constant)
            case _:
                pass
        raise LoweringError(f"lower-scop: no rule for the index expression {expr}")

    def condition(self, expr: Expr) -> bool | SSAValue | None:
        """A guard: True or False where ranges decide it, else its i1 value, a mask where lanes
        differ (None without block)."""
        if isinstance(expr, int):  # isl decides some by itself and leaves the guard
            return expr != 0
        if not isinstance(expr, Call):
            raise LoweringError(f"lower-scop: no rule for the guard {expr}")
        if expr.op in ("and", "or"):
            return self._connective([self.condition(a) for a in expr.args], expr.op == "or")
        lhs, rhs = (self.evaluate(a) for a in expr.args)
        difference = lhs - rhs
        low, high = difference.low, difference.high
        decided = {
            "eq": (low == high == 0, low > 0 or high < 0),
            "le": (high <= 0, low > 0),
            "lt": (high < 0, low >= 0),
            "ge": (low >= 0, high < 0),
            "gt": (low > 0, high <= 0),
        }
        if expr.op not in decided:
            raise LoweringError(f"lower-scop: no rule for the guard {expr}")
        holds, fails = decided[expr.op]
        if holds or fails:
            return holds
        self.unresolved += 1
        if self.block is None:
            return None
        predicate = {"eq": "eq", "le": "sle", "lt": "slt", "ge": "sge", "gt": "sgt"}[expr.op]
        zero = self.constant(0)
        if difference.varies:
            return self.add(CmpiOp(self.vector(difference), self.splat(zero), predicate))
        return self.add(arith.CmpiOp(self.materialize(difference), zero, predicate))

    def _connective(
        self, parts: list[bool | SSAValue | None], absorbing: bool
    ) -> bool | SSAValue | None:
        """The disjunction of `parts` where `absorbing`, else the conjunction."""
        if absorbing in parts:
            return absorbing
        open_parts = [p for p in parts if not isinstance(p, bool)]
        if not open_parts:
            return not absorbing
        if self.block is None:
            return None
        form = arith.OrIOp if absorbing else arith.AndIOp
        in_lanes = any(p is not None and isinstance(p.type, VectorType) for p in open_parts)
        total: SSAValue | None = None
        for part in open_parts:
            assert part is not None
            if in_lanes and not isinstance(part.type, VectorType):
                part = self.splat(part)
            total = part if total is None else self.add(form(total, part))
        return total

    def less_than(self, lhs: Linear, rhs: Linear) -> SSAValue:
        """The i1 value of lhs < rhs."""
        return self.add(arith.CmpiOp(self.materialize(lhs), self.materialize(rhs), "slt"))

    def all_non_negative(self, exprs: Sequence[Linear]) -> SSAValue:
        """The i1 value of: every one of `exprs`, at least one, is >= 0."""
        zero = self.constant(0)
        total: SSAValue | None = None
        for expr in exprs:
            one = self.add(arith.CmpiOp(self.materialize(expr), zero, "sge"))
            total = one if total is None else self.add(arith.AndIOp(total, one))
        assert total is not None
        return total

    def first_lanes(self, count: Linear, lanes: int) -> SSAValue:
        """A mask with the first `count` lanes set: none below 1, all from `lanes`."""
        if count.is_constant:
            return self.add(ConstantMaskOp(min(max(count.constant, 0), lanes), lanes))
        return self.add(CreateMaskOp([self.materialize(count)], mask_type(lanes)))

    def lane_range(self, first: Linear, last: Linear, lanes: int) -> SSAValue | None:
        """A mask of the lanes `first` to `last`; None for all of them."""
        if first.high <= 0 and last.low >= lanes - 1:
            return None
        end = last + Linear(1)
        if first.high <= 0:
            return self.first_lanes(end, lanes)
        through = self.first_lanes(self.extremum([end, first], largest=True), lanes)
        return self.add(arith.XOrIOp(through, self.first_lanes(first, lanes)))
