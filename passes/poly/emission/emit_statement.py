"""One statement instance, or a vector of instances, as loops-level ops."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects import arith, math, memref, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    VectorType,
    i32,
)
from xdsl.ir import Attribute, Operation, SSAValue
from xdsl.irdl import IRDLOperation

from ....dialects.errors import IllegalScheduleError
from ....dialects.pairs import DotAddOp, DotOp
from ....dialects.poly import IndexOp, ParamOp, StatementOp, YieldOp
from ....dialects.vector import FnmaOp, GatherOp, ReverseOp, ScatterOp
from ....dialects.vector_arith import VECTOR_FORMS, SelectOp
from ..access_patterns import combining_op
from ..affine_maps import row_major_strides
from .index_expr import IndexBuilder, Linear
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


def element_type(array: SSAValue) -> Attribute:
    """The element type of a memref value."""
    assert isinstance(array.type, MemRefType)
    element: Attribute = array.type.element_type
    return element


@dataclass
class StatementEmitter:
    """Emits instances at the end of `index.block`.

    In a vector loop `index.lanes` is its length and `mask` (None: all lanes) says which are alive.
    With `fma`, sums of products round once.
    """

    index: IndexBuilder
    mask: SSAValue | None = None
    fma: bool = True
    linear: dict[SSAValue, Linear] = field(default_factory=dict)

    @property
    def lanes(self) -> int:
        """Vector length; 0 for scalar code."""
        return self.index.lanes

    def _all_lanes(self) -> SSAValue:
        if self.mask is not None:
            return self.mask
        true = self.index.add(arith.ConstantOp.from_int_and_width(1, 1))
        return self.index.splat(true)

    def _scalar(self, value: float, element: Attribute) -> SSAValue:
        """A constant of type `element`."""
        attr: FloatAttr | IntegerAttr
        if isinstance(element, AnyFloat):
            attr = FloatAttr(value, element)
        else:
            assert isinstance(element, IntegerType)
            attr = IntegerAttr(int(value), element)
        return self.index.once(("scalar", value, element), lambda: arith.ConstantOp(attr))

    def _zeros(self, element: Attribute) -> SSAValue:
        return self.index.splat(self._scalar(0, element))

    def _is_contiguous(self, access: Sequence[Linear], step: int = 1) -> bool:
        """Whether neighbouring lanes are `step` elements of the last dim apart, none of others."""
        strides = [e.lane_stride for e in access]
        return bool(strides) and strides[-1] == step and all(s == 0 for s in strides[:-1])

    def _is_backward(self, access: Sequence[Linear]) -> bool:
        """Whether a whole vector of neighbours runs from the last one to the first."""
        return self.mask is None and self._is_contiguous(access, -1)

    def _last_lane(self, array: SSAValue, access: Sequence[Linear]) -> list[SSAValue]:
        """Indices of the element of the last lane of a backward access."""
        *outer, last = (e.uniform_part() for e in access)
        return self.index.place(array, [*outer, last + Linear(1 - self.lanes)])

    def _offsets(
        self, array: SSAValue, access: Sequence[Linear]
    ) -> tuple[list[SSAValue], SSAValue]:
        """Indices of the uniform part, and the flattened offset of each lane from there."""
        assert isinstance(array.type, MemRefType)
        indices = self.index.place(array, [e.uniform_part() for e in access])
        varying = [e.varying_part() for e in access]
        if array in self.index.strides:
            return indices, self._flat_offsets(array, varying)
        offset = Linear()
        for expr, stride in zip(varying, row_major_strides(array.type.get_shape()), strict=True):
            offset = offset + expr.times(stride)
        return indices, self.index.vector(offset)

    def _flat_offsets(self, array: SSAValue, varying: Sequence[Linear]) -> SSAValue:
        """The distance of each lane, by strides that are known at run time only."""
        total = self.index.splat(self.index.constant(0))
        for expr, stride in zip(varying, self.index.strides[array], strict=True):
            if expr.varies:
                term = self.index.add(
                    arith.MuliOp(self.index.vector(expr), self.index.splat(stride))
                )
                total = self.index.add(arith.AddiOp(total, term))
        return total

    def any_lane(self) -> SSAValue:
        """The i1 value of: a lane is alive."""
        assert self.mask is not None
        ones = self.index.splat(self._scalar(1, i32))
        alive = self.index.add(SelectOp(self.mask, ones, self._zeros(i32)))
        kind = vector.CombiningKindAttr(Kind.OR)
        count = vector.ReductionOp.build(
            operands=[alive, []], result_types=[i32], properties={"kind": kind}
        )
        return self.index.add(arith.CmpiOp(self.index.add(count), self._scalar(0, i32), "ne"))

    def load(self, array: SSAValue, access: Sequence[Linear]) -> SSAValue:
        """The element, or one element per lane."""
        if not any(e.varies for e in access):
            return self.index.add(memref.LoadOp.get(array, self.index.place(array, access)))
        element = element_type(array)
        if self._is_contiguous(access):
            indices = self.index.place(array, [e.uniform_part() for e in access])
            type = VectorType(element, [self.lanes])
            if self.mask is None:
                return self.index.add(vector.LoadOp(array, indices, type))
            zeros = self._zeros(element)
            return self.index.add(vector.MaskedLoadOp(array, indices, self.mask, zeros))
        if self._is_backward(access):
            type = VectorType(element, [self.lanes])
            forward = vector.LoadOp(array, self._last_lane(array, access), type)
            return self.index.add(ReverseOp(self.index.add(forward)))
        indices, offsets = self._offsets(array, access)
        return self.index.add(
            GatherOp(array, indices, offsets, self._all_lanes(), self._zeros(element))
        )

    def store(self, value: SSAValue, array: SSAValue, access: Sequence[Linear]) -> None:
        """Write one element, or one per lane."""
        block = self.index.block
        assert block is not None
        if not any(e.varies for e in access):
            if isinstance(value.type, VectorType):
                raise IllegalScheduleError(
                    "a vector loop computes one value per lane for one element; vectorize "
                    "another loop"
                )
            indices = self.index.place(array, access)
            block.add_op(memref.StoreOp.get(value, array, indices))
            return
        value = self._widen(value)
        if self._is_contiguous(access):
            indices = self.index.place(array, [e.uniform_part() for e in access])
            if self.mask is None:
                block.add_op(vector.StoreOp(value, array, indices))
            else:
                block.add_op(vector.MaskedStoreOp(array, indices, self.mask, value))
            return
        if self._is_backward(access):
            reverse = self.index.add(ReverseOp(value))
            block.add_op(vector.StoreOp(reverse, array, self._last_lane(array, access)))
            return
        indices, offsets = self._offsets(array, access)
        block.add_op(ScatterOp(array, indices, offsets, self._all_lanes(), value))

    def _alike(self, *values: SSAValue) -> list[SSAValue]:
        """`values`, all widened where one is a vector."""
        is_vector = any(isinstance(v.type, VectorType) for v in values)
        return [self._widen(v) for v in values] if is_vector else list(values)

    def _widen(self, value: SSAValue) -> SSAValue:
        return value if isinstance(value.type, VectorType) else self.index.splat(value)

    def _indirect_load(self, op: memref.LoadOp, mapping: dict[SSAValue, SSAValue]) -> SSAValue:
        """A load at computed indices: known linear ones keep their form, others are opaque."""
        array = mapping.get(op.memref, op.memref)
        indices = [mapping[i] for i in op.indices]
        if array in self.index.strides:
            return self._indirect_flat_load(array, indices)
        if not any(isinstance(i.type, VectorType) for i in indices):
            return self.index.add(memref.LoadOp.get(array, indices))
        *outer, last = indices
        known = self.linear.get(last)
        element = element_type(array)
        uniform_rows = not any(isinstance(i.type, VectorType) for i in outer)
        if known is not None and known.lane_stride == 1 and uniform_rows:
            at = [*outer, self.index.materialize(known.uniform_part())]
            type = VectorType(element, [self.lanes])
            if self.mask is None:
                return self.index.add(vector.LoadOp(array, at, type))
            return self.index.add(vector.MaskedLoadOp(array, at, self.mask, self._zeros(element)))
        assert isinstance(array.type, MemRefType)
        strides = row_major_strides(array.type.get_shape())
        offsets: SSAValue | None = None
        for value, stride in zip(indices, strides, strict=True):
            term = self._widen(value)
            if stride != 1:
                factor = self.index.splat(self.index.constant(stride))
                term = self.index.add(arith.MuliOp(term, factor))
            offsets = term if offsets is None else self.index.add(arith.AddiOp(offsets, term))
        assert offsets is not None
        origin = [self.index.constant(0) for _ in indices]
        return self.index.add(
            GatherOp(array, origin, offsets, self._all_lanes(), self._zeros(element))
        )

    def _indirect_flat_load(self, array: SSAValue, indices: Sequence[SSAValue]) -> SSAValue:
        """A load at computed indices of an array whose strides are known at run time only.

        Uniform indices give the origin; the last one may be as wide as a vector of neighbours.
        """
        strides = self.index.strides[array]
        zero = self.index.constant(0)
        origin = zero
        spread: SSAValue | None = None
        neighbours: Linear | None = None
        for k, (value, stride) in enumerate(zip(indices, strides, strict=True)):
            known = self.linear.get(value)
            if k == len(indices) - 1 and known is not None and known.lane_stride == 1:
                neighbours, value = known, self.index.materialize(known.uniform_part())
            if isinstance(value.type, VectorType):
                term = self.index.add(arith.MuliOp(value, self.index.splat(stride)))
                spread = term if spread is None else self.index.add(arith.AddiOp(spread, term))
            else:
                term = self.index.add(arith.MuliOp(value, stride))
                origin = self.index.add(arith.AddiOp(origin, term))
        element = element_type(array)
        if spread is not None and neighbours is not None:
            lanes = self.index.vector(neighbours.varying_part())
            spread = self.index.add(arith.AddiOp(spread, lanes))
        if spread is not None:
            return self.index.add(
                GatherOp(array, [origin], spread, self._all_lanes(), self._zeros(element))
            )
        if neighbours is None:
            return self.index.add(memref.LoadOp.get(array, [origin]))
        if self.mask is None:
            type = VectorType(element, [self.lanes])
            return self.index.add(vector.LoadOp(array, [origin], type))
        zeros = self._zeros(element)
        return self.index.add(vector.MaskedLoadOp(array, [origin], self.mask, zeros))

    def _apply(self, op: Operation, operands: list[SSAValue]) -> Operation:
        """`op` on `operands`, widened to vectors where one of them is a vector."""
        types, form, properties = list(op.result_types), type(op), dict(op.properties)
        if any(isinstance(o.type, VectorType) for o in operands):
            operands = [self._widen(o) for o in operands]
            types = [VectorType(t, [self.lanes]) for t in types]
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
            neutral = self._widen(self._neutral(kind, element))
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
            return self._scalar(value, element)
        assert isinstance(element, IntegerType)
        width = element.width.data
        top = 2 ** (width - 1) - 1 if width > 1 else 1
        low = -top - 1 if width > 1 else 0
        number = {"add": 0, "mul": 1, "max": low, "min": top, "and": -1, "or": 0}[kind]
        if width == 1:
            number &= 1
        return self._scalar(number, element)

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
        return self._widen(self._neutral(statement.reduction.data, element_type(target)))

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
        return self._widen(self._evaluate(statement, reads, dims, [combiner])[term])

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
                total = self.index.add(DotAddOp(*self._alike(a, b, total)))
                continue
            if any(isinstance(v.type, VectorType) for v in (a, b, total)):
                form = FnmaOp if product.negated else vector.FMAOp
                total = self.index.add(form(*self._alike(a, b, total)))
            else:
                a = self.index.add(arith.NegfOp(a)) if product.negated else a
                total = self.index.add(math.FmaOp(a, b, total))
        return total
