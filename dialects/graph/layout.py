"""The same elements elsewhere: views, reshapes, concatenation, padding."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    AffineMapAttr,
    IntAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from .base import (
    GraphOp,
    Ints,
    Tensor,
    ints,
    shape_of,
)


@irdl_op_definition
class ViewOp(GraphOp):
    """Elements picked by an affine map: result[i] = source[map(i)]. Costs nothing by itself.

    Covers permute, slice, expand, flip, select, squeeze, unsqueeze, unfold; `map` may use floordiv
    and mod.
    """

    name = "graph.view"
    map = prop_def(AffineMapAttr)
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, map: AffineMapAttr, type: Tensor) -> None:
        super().__init__(operands=[source], properties={"map": map}, result_types=[type])

    def verify_(self) -> None:
        map = self.map.data
        if map.num_dims != len(shape_of(self.result)) or len(map.results) != len(
            shape_of(self.source)
        ):
            raise VerifyException(
                f"graph.view: map {map} does not take rank {len(shape_of(self.result))} "
                f"to rank {len(shape_of(self.source))}"
            )


@irdl_op_definition
class ReshapeOp(GraphOp):
    """The same elements in row-major order under another shape."""

    name = "graph.reshape"
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, type: Tensor) -> None:
        super().__init__(operands=[source], result_types=[type])

    def verify_(self) -> None:
        before, after = 1, 1
        for extent in shape_of(self.source):
            before *= extent
        for extent in shape_of(self.result):
            after *= extent
        if before != after:
            raise VerifyException(f"graph.reshape: {before} elements do not fill {after}")


@irdl_op_definition
class CatOp(GraphOp):
    """Operands joined along `dim`."""

    name = "graph.cat"
    dim = prop_def(IntAttr)
    operands_ = var_operand_def(TensorType)

    def __init__(self, operands: Sequence[SSAValue], dim: int, type: Tensor) -> None:
        super().__init__(operands=[operands], properties={"dim": IntAttr(dim)}, result_types=[type])


@irdl_op_definition
class PadOp(GraphOp):
    """`low[d]` and `high[d]` (>= 0) elements equal to `value` around each dimension."""

    name = "graph.pad"
    low = prop_def(Ints)
    high = prop_def(Ints)
    value = prop_def(Attribute)
    source = operand_def(TensorType)

    def __init__(
        self,
        source: SSAValue,
        low: Sequence[int],
        high: Sequence[int],
        value: Attribute,
        type: Tensor,
    ) -> None:
        super().__init__(
            operands=[source],
            properties={"low": ints(low), "high": ints(high), "value": value},
            result_types=[type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return tuple(
            n + lo.data + hi.data
            for n, lo, hi in zip(shape_of(self.source), self.low, self.high, strict=True)
        )
