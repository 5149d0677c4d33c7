"""`graph` ops with loops of their own: sorting, scattering, searching.

Their order of memory accesses depends on data, so each is a kernel of its own that a rule of
`passes/loops/opaque_rules` turns into loops. What sorting and searching answer are positions where
possible: sorted values are a `graph.gather`, which fuses with what reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import BoolAttr, IntAttr, IntegerType, StringAttr, TensorType, i64
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def, var_operand_def
from xdsl.utils.exceptions import VerifyException

from ..sizes import upper_bound
from .base import GraphOp, bounds_of, check_dim, element_of, shape_of, tensor_of

UPDATES = ("set", "add", "mul", "max", "min")


class OpaqueOp(GraphOp):
    """Base: an op that is never fused and has a lowering rule of its own."""

    def index_extent(self, position: int) -> int | None:
        """Operand `position` indexes a dimension of this extent; None where it does not index."""
        return None

    def magnitude(self, position: int) -> float:
        """How large typical values of operand `position` are."""
        return 1.0

    def sample_operand(self, position: int, rng: np.random.Generator) -> npt.NDArray[Any] | None:
        """Random values that operand `position` may have; None where any numbers will do."""
        return None

    @property
    def longest_sum(self) -> int:
        """At most so many terms are added up to one element of the result."""
        return 1


@irdl_op_definition
class ArgsortOp(OpaqueOp):
    """Positions of the first `count` elements along `dim` in sorted order; equal ones keep theirs.

    Where the extent depends on sizes, `count` is at most as much as there is.

    NaN is the largest number, and the two zeros are equal, as in torch.
    """

    name = "graph.argsort"
    dim = prop_def(IntAttr)
    descending = prop_def(BoolAttr)
    count = prop_def(IntAttr)
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, dim: int, descending: bool, count: int) -> None:
        shape = list(shape_of(source))
        shape[dim] = count
        super().__init__(
            operands=[source],
            properties={
                "dim": IntAttr(dim),
                "descending": BoolAttr.from_bool(descending),
                "count": IntAttr(upper_bound(count)),
            },
            result_types=[tensor_of(i64, shape)],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        shape = shape_of(self.source)
        return (*shape[: self.dim.data], self.kept, *shape[self.dim.data + 1 :])

    @property
    def kept(self) -> int:
        """How many positions there are: all, or `count`, where the extent is not known yet."""
        extent = shape_of(self.source)[self.dim.data]
        return extent if upper_bound(extent) <= self.count.data else self.count.data

    def verify_(self) -> None:
        check_dim(self, self.dim, self.source)
        extent = bounds_of(self.source)[self.dim.data]
        if not 0 <= self.count.data <= extent:
            raise VerifyException(f"{self.name}: {self.count.data} of {extent} elements")
        if element_of(self.result) != i64:
            raise VerifyException(f"{self.name}: positions are i64, not {element_of(self.result)}")
        super().verify_()


class UpdateOp(OpaqueOp):
    """Base: a copy of `source` in which elements are updated one after the other.

    `fn` set replaces an element, the others combine it with the update; NaN wins max and min. Where
    several updates meet, they are made in row-major order of the indices, so results do not depend
    on threads. An index outside of `source` updates nothing.
    """

    fn = prop_def(StringAttr)
    source = operand_def(TensorType)
    updates = operand_def(TensorType)
    indices = var_operand_def(TensorType)

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)

    def verify_(self) -> None:
        if self.fn.data not in UPDATES:
            raise VerifyException(f"{self.name}: no function {self.fn.data!r}")
        elements = {element_of(v) for v in (self.source, self.updates, self.result)}
        if len(elements) != 1:
            raise VerifyException(f"{self.name}: source, updates and result differ in element type")
        for value in self.indices:
            if not isinstance(element_of(value), IntegerType):
                raise VerifyException(f"{self.name}: an index has type {element_of(value)}")
        super().verify_()


@irdl_op_definition
class ScatterOp(UpdateOp):
    """torch.scatter: source[i with i[dim] = indices[i]] is updated by updates[i].

    The one index tensor may be shorter than `source` in any dim; `updates` has its shape.
    """

    name = "graph.scatter"
    dim = prop_def(IntAttr)

    def __init__(
        self, fn: str, source: SSAValue, updates: SSAValue, indices: SSAValue, dim: int
    ) -> None:
        super().__init__(
            operands=[source, updates, [indices]],
            properties={"fn": StringAttr(fn), "dim": IntAttr(dim)},
            result_types=[source.type],
        )

    def index_extent(self, position: int) -> int | None:
        return shape_of(self.source)[self.dim.data] if position == 2 else None

    @property
    def longest_sum(self) -> int:
        return 1 + bounds_of(self.indices[0])[self.dim.data]

    def verify_(self) -> None:
        check_dim(self, self.dim, self.source)
        if len(self.indices) != 1:
            raise VerifyException(f"{self.name}: expected one index, got {len(self.indices)}")
        target, shape = shape_of(self.source), shape_of(self.indices[0])
        if shape != shape_of(self.updates) or len(shape) != len(target):
            raise VerifyException(
                f"{self.name}: indices {shape} and updates {shape_of(self.updates)} do not fit "
                f"source {target}"
            )
        if any(
            n > m for d, (n, m) in enumerate(zip(shape, target, strict=True)) if d != self.dim.data
        ):
            raise VerifyException(f"{self.name}: indices {shape} are larger than source {target}")
        super().verify_()


@irdl_op_definition
class IndexPutOp(UpdateOp):
    """source[i0, i1, ...] is updated: index tensors of one shape for the leading dims of `source`.

    `updates` has the index shape followed by the remaining dims of `source`. A negative index
    counts from the end.
    """

    name = "graph.index_put"

    def __init__(
        self, fn: str, source: SSAValue, updates: SSAValue, indices: Sequence[SSAValue]
    ) -> None:
        super().__init__(
            operands=[source, updates, indices],
            properties={"fn": StringAttr(fn)},
            result_types=[source.type],
        )

    def index_extent(self, position: int) -> int | None:
        return shape_of(self.source)[position - 2] if position >= 2 else None

    @property
    def longest_sum(self) -> int:
        return 1 + prod(bounds_of(self.indices[0]))

    def verify_(self) -> None:
        target = shape_of(self.source)
        if not 1 <= len(self.indices) <= len(target):
            raise VerifyException(f"{self.name}: {len(self.indices)} indices for source {target}")
        shapes = {shape_of(v) for v in self.indices}
        if len(shapes) != 1:
            raise VerifyException(f"{self.name}: the indices differ in shape")
        expected = (*shapes.pop(), *target[len(self.indices) :])
        if shape_of(self.updates) != expected:
            raise VerifyException(
                f"{self.name}: expected updates of shape {expected}, got {shape_of(self.updates)}"
            )
        super().verify_()


@irdl_op_definition
class SearchsortedOp(OpaqueOp):
    """Where each of `values` [B..., M] belongs in the ascending rows of `sorted` [B..., N] or [N].

    The first position whose element is not less than the value; where `right`, the first whose
    element is greater. NaN belongs at the end.
    """

    name = "graph.searchsorted"
    right = prop_def(BoolAttr)
    sorted = operand_def(TensorType)
    values = operand_def(TensorType)

    def __init__(self, sorted: SSAValue, values: SSAValue, right: bool) -> None:
        super().__init__(
            operands=[sorted, values],
            properties={"right": BoolAttr.from_bool(right)},
            result_types=[tensor_of(i64, shape_of(values))],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.values)

    def verify_(self) -> None:
        rows, values = shape_of(self.sorted), shape_of(self.values)
        if len(rows) != 1 and rows[:-1] != values[:-1]:
            raise VerifyException(f"{self.name}: rows {rows} do not fit values {values}")
        if element_of(self.sorted) != element_of(self.values):
            raise VerifyException(f"{self.name}: rows and values differ in element type")
        super().verify_()


OPAQUE_OPS: list[type[OpaqueOp]] = [ArgsortOp, ScatterOp, IndexPutOp, SearchsortedOp]
