"""Places in memory as linear forms of index values, so that distances between them are numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xdsl.dialects import arith
from xdsl.dialects.builtin import IndexType, IntegerAttr, MemRefType
from xdsl.ir import Operation, SSAValue

from ...dialects.constants import integer_of
from ..poly.affine_maps import row_major_strides

Add = Callable[[Operation], object]


@dataclass(frozen=True)
class LinearIndex:
    """A sum of values times factors, and a constant."""

    terms: frozenset[tuple[SSAValue, int]] = frozenset()
    constant: int = 0

    @staticmethod
    def of(index: SSAValue) -> LinearIndex:
        """`index` in terms of values that are no sums themselves."""
        constant = integer_of(index)
        if constant is not None:
            return LinearIndex(constant=constant)
        op = index.owner
        if isinstance(op, arith.AddiOp):
            return LinearIndex.of(op.lhs).plus(LinearIndex.of(op.rhs))
        if isinstance(op, arith.MuliOp) and (factor := integer_of(op.rhs)) is not None:
            return LinearIndex().plus(LinearIndex.of(op.lhs), factor)
        return LinearIndex(frozenset({(index, 1)}))

    def plus(self, other: LinearIndex, factor: int = 1) -> LinearIndex:
        """This and `factor` times `other`."""
        total = dict(self.terms)
        for value, count in other.terms:
            total[value] = total.get(value, 0) + factor * count
        terms = frozenset((value, count) for value, count in total.items() if count)
        return LinearIndex(terms, self.constant + factor * other.constant)

    def factor(self, value: SSAValue) -> int:
        """How often `value` is in it."""
        return dict(self.terms).get(value, 0)

    def at(self, variable: SSAValue, number: int) -> LinearIndex:
        """The sum where `variable` is `number`."""
        factor = self.factor(variable)
        return self.plus(LinearIndex(frozenset({(variable, 1)}), -number), -factor)

    def materialize(self, add: Add) -> SSAValue:
        """The index as a value; `add` places the ops that compute it."""

        def number(n: int) -> SSAValue:
            constant = arith.ConstantOp(IntegerAttr(n, IndexType()))
            add(constant)
            return constant.result

        total: SSAValue | None = None
        for value, count in sorted(self.terms, key=lambda term: term[1]):
            part: arith.MuliOp | arith.AddiOp
            if count != 1:
                add(part := arith.MuliOp(value, number(count)))
                value = part.result
            if total is not None:
                add(part := arith.AddiOp(total, value))
                value = part.result
            total = value
        if total is None or self.constant == 0:
            return number(self.constant) if total is None else total
        add(part := arith.AddiOp(total, number(self.constant)))
        return part.result


@dataclass(frozen=True)
class Place:
    """An element of a row-major array of known extents: one linear form per dim of its index."""

    base: SSAValue
    index: tuple[LinearIndex, ...]

    @staticmethod
    def of(base: SSAValue, indices: Sequence[SSAValue]) -> Place | None:
        """base[indices]; None where an extent is not known."""
        assert isinstance(base.type, MemRefType)
        if not base.type.has_static_shape():
            return None
        return Place(base, tuple(LinearIndex.of(index) for index in indices))

    @property
    def flat(self) -> LinearIndex:
        """The number of the element in memory."""
        assert isinstance(self.base.type, MemRefType)
        total = LinearIndex()
        strides = row_major_strides(self.base.type.get_shape())
        for part, stride in zip(self.index, strides, strict=True):
            total = total.plus(part, stride)
        return total

    def at(self, variable: SSAValue, number: int) -> Place:
        """The place where `variable` is `number`."""
        return Place(self.base, tuple(part.at(variable, number) for part in self.index))

    def distance_to(self, other: Place) -> int | None:
        """Elements from here to `other`; None where that is no constant."""
        difference = other.flat.plus(self.flat, -1)
        return None if difference.terms or other.base is not self.base else difference.constant
