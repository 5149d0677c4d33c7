"""Calls of kernels."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    StringAttr,
    SymbolRefAttr,
    TensorType,
)
from xdsl.ir import Attribute, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    opt_prop_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure


@irdl_op_definition
class LaunchOp(IRDLOperation):
    """Call a kernel function on materialized tensors."""

    name = "graph.launch"
    kernel = prop_def(SymbolRefAttr)
    label = opt_prop_def(StringAttr)
    arguments = var_operand_def(TensorType)
    results_ = var_result_def(TensorType)
    traits = traits_def(Pure())

    def __init__(
        self, kernel: str, arguments: Sequence[SSAValue], result_types: Sequence[Attribute]
    ) -> None:
        super().__init__(
            operands=[arguments],
            properties={"kernel": SymbolRefAttr(kernel)},
            result_types=[result_types],
        )
