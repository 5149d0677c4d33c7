"""`graph` ops that give sizes which are known at run time only as values."""

from __future__ import annotations

from xdsl.dialects.builtin import IndexType, StringAttr, TensorType, i64
from xdsl.irdl import IRDLOperation, irdl_op_definition, prop_def, result_def, traits_def
from xdsl.traits import Pure

from ..sizes import Size
from .base import GraphOp


@irdl_op_definition
class SizeOp(GraphOp):
    """A size of the call as a rank-0 tensor of i64."""

    name = "graph.size"
    size = prop_def(StringAttr)

    def __init__(self, size: object) -> None:
        super().__init__(
            properties={"size": StringAttr(str(size))}, result_types=[TensorType(i64, [])]
        )

    @property
    def value(self) -> int:
        """What it is."""
        value: int = Size.parse(self.size.data)
        return value


@irdl_op_definition
class SizeIndexOp(IRDLOperation):
    """A size of the call as an index, in the body of a `linalg.generic`."""

    name = "graph.size_index"
    size = prop_def(StringAttr)
    result = result_def(IndexType)
    traits = traits_def(Pure())

    def __init__(self, size: object) -> None:
        super().__init__(properties={"size": StringAttr(str(size))}, result_types=[IndexType()])

    @property
    def value(self) -> int:
        """What it is."""
        value: int = Size.parse(self.size.data)
        return value
