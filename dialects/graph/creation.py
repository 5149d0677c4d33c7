"""Tensors out of nothing: weights, constants, counting."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    SymbolRefAttr,
    f64,
)
from xdsl.ir import Attribute
from xdsl.irdl import (
    irdl_op_definition,
    prop_def,
)

from ..integers import wrapped
from .base import (
    GraphOp,
    Tensor,
)


@irdl_op_definition
class WeightOp(GraphOp):
    """The array stored under a symbol of the weight store."""

    name = "graph.weight"
    symbol = prop_def(SymbolRefAttr)

    def __init__(self, symbol: str, type: Tensor) -> None:
        super().__init__(properties={"symbol": SymbolRefAttr(symbol)}, result_types=[type])


@irdl_op_definition
class FullOp(GraphOp):
    """A tensor with every element equal to `value` (which may be inf or nan)."""

    name = "graph.full"
    value = prop_def(Attribute)

    def __init__(self, value: float | int | bool, type: Tensor) -> None:
        element = type.element_type
        attr: Attribute
        if isinstance(element, AnyFloat):
            attr = FloatAttr(float(value), f64)
        else:
            assert isinstance(element, IntegerType)
            attr = IntegerAttr(wrapped(int(value), element), 64)
        super().__init__(properties={"value": attr}, result_types=[type])


@irdl_op_definition
class IotaOp(GraphOp):
    """start + step * i along the only dimension."""

    name = "graph.iota"
    start = prop_def(IntAttr)
    step = prop_def(IntAttr)

    def __init__(self, start: int, step: int, type: Tensor) -> None:
        super().__init__(
            properties={"start": IntAttr(start), "step": IntAttr(step)}, result_types=[type]
        )
