"""Elements by computed index."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    IntAttr,
    TensorType,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    prop_def,
    var_operand_def,
)

from .base import (
    GraphOp,
    Tensor,
    shape_of,
)


@irdl_op_definition
class EmbeddingOp(GraphOp):
    """Rows of `table` [V, *D] picked by integer `indices` [*I]: [*I, *D]."""

    name = "graph.embedding"
    table = operand_def(TensorType)
    indices = operand_def(TensorType)

    def __init__(self, table: SSAValue, indices: SSAValue, type: Tensor) -> None:
        super().__init__(operands=[table, indices], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.indices), *shape_of(self.table)[1:])


@irdl_op_definition
class GatherOp(GraphOp):
    """torch.gather: result[i] = source[i with i[dim] = indices[i]]."""

    name = "graph.gather"
    dim = prop_def(IntAttr)
    source = operand_def(TensorType)
    indices = operand_def(TensorType)

    def __init__(self, source: SSAValue, indices: SSAValue, dim: int, type: Tensor) -> None:
        super().__init__(
            operands=[source, indices], properties={"dim": IntAttr(dim)}, result_types=[type]
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.indices)


@irdl_op_definition
class IndexOp(GraphOp):
    """source[i0, i1, ...]: integer index tensors, already broadcast to one shape, for leading dims.

    Result shape: index shape followed by the remaining dims of source. Indices are in range.
    """

    name = "graph.index"
    source = operand_def(TensorType)
    indices = var_operand_def(TensorType)

    def __init__(self, source: SSAValue, indices: Sequence[SSAValue], type: Tensor) -> None:
        super().__init__(operands=[source, indices], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.indices[0]), *shape_of(self.source)[len(self.indices) :])
