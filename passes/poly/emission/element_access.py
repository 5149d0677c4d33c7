"""Elements of arrays at accesses that are linear in loop variables, or at computed indices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from xdsl.dialects import arith, memref, vector
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    MemRefType,
    VectorType,
)
from xdsl.ir import Attribute, SSAValue

from ....dialects.errors import IllegalScheduleError
from ....dialects.vector import GatherOp, ReverseOp, ScatterOp, vector_of
from ..affine_maps import row_major_strides
from ..array_shapes import element_type
from .index_expr import IndexBuilder
from .linear import Linear


@dataclass
class ElementAccess:
    """Loads and stores at the end of `index.block`: of one element, or of one per lane.

    In a vector loop `index.lanes` is its length and `mask` (None: all lanes) says which are alive.
    `linear` holds the form of index values that are linear in loop variables.
    """

    index: IndexBuilder
    mask: SSAValue | None = None
    linear: dict[SSAValue, Linear] = field(default_factory=dict, init=False)

    @property
    def lanes(self) -> int:
        """Vector length; 0 for scalar code."""
        return self.index.lanes

    def _all_lanes(self) -> SSAValue:
        if self.mask is not None:
            return self.mask
        true = self.index.add(arith.ConstantOp.from_int_and_width(1, 1))
        return self.index.splat(true)

    def scalar(self, value: float, element: Attribute) -> SSAValue:
        """A constant of type `element`."""
        attr: FloatAttr | IntegerAttr
        if isinstance(element, AnyFloat):
            attr = FloatAttr(value, element)
        else:
            assert isinstance(element, IntegerType)
            attr = IntegerAttr(int(value), element)
        return self.index.once(("scalar", value, element), lambda: arith.ConstantOp(attr))

    def zeros(self, element: Attribute) -> SSAValue:
        """A vector of zeros."""
        return self.index.splat(self.scalar(0, element))

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

    def load(self, array: SSAValue, access: Sequence[Linear]) -> SSAValue:
        """The element, or one element per lane."""
        if not any(e.varies for e in access):
            return self.index.add(memref.LoadOp.get(array, self.index.place(array, access)))
        element = element_type(array)
        if self._is_contiguous(access):
            indices = self.index.place(array, [e.uniform_part() for e in access])
            type = vector_of(element, self.lanes)
            if self.mask is None:
                return self.index.add(vector.LoadOp(array, indices, type))
            zeros = self.zeros(element)
            return self.index.add(vector.MaskedLoadOp(array, indices, self.mask, zeros))
        if self._is_backward(access):
            type = vector_of(element, self.lanes)
            forward = vector.LoadOp(array, self._last_lane(array, access), type)
            return self.index.add(ReverseOp(self.index.add(forward)))
        indices, offsets = self._offsets(array, access)
        return self.index.add(
            GatherOp(array, indices, offsets, self._all_lanes(), self.zeros(element))
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
        value = self.widen(value)
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

    def alike(self, *values: SSAValue) -> list[SSAValue]:
        """`values`, all widened where one is a vector."""
        is_vector = any(isinstance(v.type, VectorType) for v in values)
        return [self.widen(v) for v in values] if is_vector else list(values)

    def widen(self, value: SSAValue) -> SSAValue:
        """`value`, in every lane where it is a scalar."""
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
            type = vector_of(element, self.lanes)
            if self.mask is None:
                return self.index.add(vector.LoadOp(array, at, type))
            return self.index.add(vector.MaskedLoadOp(array, at, self.mask, self.zeros(element)))
        assert isinstance(array.type, MemRefType)
        strides = row_major_strides(array.type.get_shape())
        offsets: SSAValue | None = None
        for value, stride in zip(indices, strides, strict=True):
            term = self.widen(value)
            if stride != 1:
                factor = self.index.splat(self.index.constant(stride))
                term = self.index.add(arith.MuliOp(term, factor))
            offsets = term if offsets is None else self.index.add(arith.AddiOp(offsets, term))
        assert offsets is not None
        origin = [self.index.constant(0) for _ in indices]
        return self.index.add(
            GatherOp(array, origin, offsets, self._all_lanes(), self.zeros(element))
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
                GatherOp(array, [origin], spread, self._all_lanes(), self.zeros(element))
            )
        if neighbours is None:
            return self.index.add(memref.LoadOp.get(array, [origin]))
        if self.mask is None:
            type = vector_of(element, self.lanes)
            return self.index.add(vector.LoadOp(array, [origin], type))
        zeros = self.zeros(element)
        return self.index.add(vector.MaskedLoadOp(array, [origin], self.mask, zeros))
