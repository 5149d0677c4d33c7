"""One statement instance, or a vector of instances, as loops-level ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.dialects import arith, math, memref, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    IntegerType,
    VectorType,
    i32,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation

from ....dialects.pairs import DotAddOp, DotOp
from ....dialects.poly import IndexOp, ParamOp, StatementOp, YieldOp
from ....dialects.vector import FnmaOp, vector_of
from ....dialects.vector_arith import VECTOR_FORMS, SelectOp
from ..access_patterns import combining_op
from ..array_shapes import element_type
from .element_access import ElementAccess
from .linear import Linear
from .summed_products import summed_products

Kind = vector.CombiningKindFlag
FLOAT_KINDS = {"add": Kind.ADD, "mul": Kind.MUL, "max": Kind.MAXIMUMF, "min": Kind.MINIMUMF}
INTEGER_KINDS = {
    "add": Kind.ADD,
    "mul": Kind.MUL,
    "max": Kind.MAXSI,
    "min": Kind.MINSI,
    "and": Kind.AND,
    "or": Kind.OR,
}


@dataclass
class StatementEmitter(ElementAccess):
    """Emits instances at the end of `index.block`; with `fma`, sums of products round once."""

    fma: bool = True

    def any_lane(self) -> SSAValue:
        """The i1 value of: a lane is alive."""
        assert self.mask is not None
        ones = self.index.splat(self.scalar(1, i32))
        alive = self.index.add(SelectOp(self.mask, ones, self.zeros(i32)))
        kind = vector.CombiningKindAttr(Kind.OR)
        count = vector.ReductionOp.build(
            operands=[alive, []], result_types=[i32], properties={"kind": kind}
        )
        return self.index.add(arith.CmpiOp(self.index.add(count), self.scalar(0, i32), "ne"))

    def _apply(self, op: Operation, operands: list[SSAValue]) -> Operation:
        """`op` on `operands`, widened to vectors where one of them is a vector."""
        types, form, properties = list(op.result_types), type(op), dict(op.properties)
        if any(isinstance(o.type, VectorType) for o in operands):
            operands = [self.widen(o) for o in operands]
            types = [vector_of(t, self.lanes) for t in types]
            form = VECTOR_FORMS.get(form, form)
            assert issubclass(form, IRDLOperation)
            known = form.get_irdl_definition().properties
            properties = {name: value for name, value in properties.items() if name in known}
        clone = form.create(
            operands=operands,
            result_types=types,
            properties=properties,
            attributes=dict(op.attributes),
        )
        assert self.index.block is not None
        self.index.block.add_op(clone)
        return clone

    def _evaluate(
        self,
        statement: StatementOp,
        reads: dict[SSAValue, SSAValue],
        dims: Sequence[Linear],
        skipped: Sequence[Operation] = (),
    ) -> dict[SSAValue, SSAValue]:
        """Emit the body, but for `skipped` ops, on the values read; body value -> emitted value."""
        mapping = dict(reads)
        for op in statement.body.block.ops:
            if isinstance(op, YieldOp) or op in skipped:
                continue
            match op:
                case ParamOp():
                    size = self.index.env[f"s{op.index.data}"]
                    mapping[op.result] = self.index.materialize(size)
                case IndexOp():
                    expr = dims[op.dim.data]
                    mapping[op.result] = self.index.value(expr)
                    self.linear[mapping[op.result]] = expr
                case memref.LoadOp():
                    mapping[op.res] = self._indirect_load(op, mapping)
                case _:
                    clone = self._apply(op, [mapping[o] for o in op.operands])
                    mapping.update(zip(op.results, clone.results, strict=True))
        return mapping

    def _combine(self, statement: StatementOp, accumulator: SSAValue, value: SSAValue) -> SSAValue:
        """accumulator (+) value by the statement's own combining op."""
        combiner = combining_op(statement)
        return self._apply(combiner, [accumulator, value]).results[0]

    def horizontal(self, statement: StatementOp, values: SSAValue) -> SSAValue:
        """All live lanes of `values` reduced in a fixed tree."""
        assert statement.reduction is not None
        element = values.type.element_type  # type: ignore[attr-defined]
        kinds = FLOAT_KINDS if isinstance(element, AnyFloat) else INTEGER_KINDS
        kind = statement.reduction.data
        combining = kinds[kind]
        if isinstance(combining_op(statement), arith.MaxnumfOp):
            combining = Kind.MAXNUMF
        if self.mask is not None:
            neutral = self.widen(self._neutral(kind, element))
            values = self.index.add(SelectOp(self.mask, values, neutral))
        return self.index.add(
            vector.ReductionOp.build(
                operands=[values, []],
                result_types=[element],
                properties={"kind": vector.CombiningKindAttr(combining)},
            )
        )

    def _neutral(self, kind: str, element: Attribute) -> SSAValue:
        if isinstance(element, AnyFloat):
            value = {"add": 0.0, "mul": 1.0, "max": float("-inf"), "min": float("inf")}[kind]
            return self.scalar(value, element)
        assert isinstance(element, IntegerType)
        width = element.width.data
        top = 2 ** (width - 1) - 1 if width > 1 else 1
        low = -top - 1 if width > 1 else 0
        number = {"add": 0, "mul": 1, "max": low, "min": top, "and": -1, "or": 0}[kind]
        if width == 1:
            number &= 1
        return self.scalar(number, element)

    def emit(
        self,
        statement: StatementOp,
        arrays: Sequence[SSAValue],
        accesses: Sequence[Sequence[Linear]],
        dims: Sequence[Linear],
        outside: dict[SSAValue, SSAValue],
    ) -> None:
        """One instance (or one per lane): `arrays` and `accesses` are target, then sources.

        `outside` maps arrays that bodies load from directly to their memrefs.
        """
        across = (
            statement.reduction is not None
            and self.lanes > 0
            and not any(e.varies for e in accesses[0])
        )
        reads = self._reads(statement, arrays, accesses, outside, 1 if across else 0)
        if across:
            term = self._term(statement, reads, dims)
            accumulator = self.load(arrays[0], accesses[0])
            value = self._combine(statement, accumulator, self.horizontal(statement, term))
        else:
            value = self._computed(statement, reads, dims)
        self.store(value, arrays[0], accesses[0])

    def _reads(
        self,
        statement: StatementOp,
        arrays: Sequence[SSAValue],
        accesses: Sequence[Sequence[Linear]],
        outside: dict[SSAValue, SSAValue],
        first: int,
    ) -> dict[SSAValue, SSAValue]:
        """The values of the body's arguments from `first` on."""
        reads = dict(outside)
        args = statement.body.block.args
        for k in range(first, len(args)):
            reads[args[k]] = self.load(arrays[k + 1], accesses[k + 1])
        return reads

    def _computed(
        self, statement: StatementOp, reads: dict[SSAValue, SSAValue], dims: Sequence[Linear]
    ) -> SSAValue:
        fused = self._fused_multiply_add(statement, reads, dims)
        return fused if fused is not None else self._yielded(statement, reads, dims)

    def accumulate(
        self,
        statement: StatementOp,
        arrays: Sequence[SSAValue],
        accesses: Sequence[Sequence[Linear]],
        dims: Sequence[Linear],
        outside: dict[SSAValue, SSAValue],
        accumulator: SSAValue,
    ) -> SSAValue:
        """A reduction's terms combined into a vector, lane by lane; see `emit`."""
        reads = self._reads(statement, arrays, accesses, outside, 1)
        reads[statement.body.block.args[0]] = accumulator
        value = self._computed(statement, reads, dims)
        if self.mask is None:
            return value
        return self.index.add(SelectOp(self.mask, value, accumulator))

    def neutral_lanes(self, statement: StatementOp, target: SSAValue) -> SSAValue:
        """What the lanes of a reduction into `target` start from."""
        assert statement.reduction is not None
        return self.widen(self._neutral(statement.reduction.data, element_type(target)))

    def finish(
        self,
        statement: StatementOp,
        target: SSAValue,
        access: Sequence[Linear],
        accumulators: Sequence[SSAValue],
    ) -> None:
        """Reduce vectors of lanes in a fixed tree and combine them into the target."""
        values = list(accumulators)
        while len(values) > 1:
            half = len(values) // 2
            values = [
                self._combine(statement, values[2 * k], values[2 * k + 1]) for k in range(half)
            ] + values[2 * half :]
        before = self.load(target, access)
        after = self._combine(statement, before, self.horizontal(statement, values[0]))
        self.store(after, target, access)

    def _yielded(
        self, statement: StatementOp, reads: dict[SSAValue, SSAValue], dims: Sequence[Linear]
    ) -> SSAValue:
        terminator = statement.body.block.last_op
        assert isinstance(terminator, YieldOp)
        return self._evaluate(statement, reads, dims)[terminator.value]

    def _term(
        self, statement: StatementOp, reads: dict[SSAValue, SSAValue], dims: Sequence[Linear]
    ) -> SSAValue:
        """The values, one per lane, that a reduction combines into its accumulator."""
        combiner = combining_op(statement)
        accumulator = statement.body.block.args[0]
        term = next(o for o in combiner.operands if o is not accumulator)
        return self.widen(self._evaluate(statement, reads, dims, [combiner])[term])

    def _fused_multiply_add(
        self, statement: StatementOp, reads: dict[SSAValue, SSAValue], dims: Sequence[Linear]
    ) -> SSAValue | None:
        """The accumulator plus or minus products, one rounding each; None for anything else."""
        parts = summed_products(statement) if self.fma else None
        if parts is None:
            return None
        mapping = self._evaluate(statement, reads, dims, parts.combining)
        total = mapping[statement.body.block.args[0]]
        for product in parts.products:
            a, b = (mapping[o] for o in product.op.operands)
            if isinstance(product.op, DotOp):
                total = self.index.add(DotAddOp(*self.alike(a, b, total)))
                continue
            if any(isinstance(v.type, VectorType) for v in (a, b, total)):
                form = FnmaOp if product.negated else vector.FMAOp
                total = self.index.add(form(*self.alike(a, b, total)))
            else:
                a = self.index.add(arith.NegfOp(a)) if product.negated else a
                total = self.index.add(math.FmaOp(a, b, total))
        return total
