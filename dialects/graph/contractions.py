"""Sums of products: linear layers, matrix products, attention."""

from __future__ import annotations

from xdsl.dialects.builtin import (
    BoolAttr,
    FloatAttr,
    TensorType,
    UnitAttr,
    f64,
)
from xdsl.ir import SSAValue
from xdsl.irdl import (
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
)

from .base import (
    GraphOp,
    Tensor,
    shape_of,
)


@irdl_op_definition
class LinearOp(GraphOp):
    """source @ weight^T + bias: source [..., K], weight [N, K], bias [N]."""

    name = "graph.linear"
    source = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)

    def __init__(
        self, source: SSAValue, weight: SSAValue, bias: SSAValue | None, type: Tensor
    ) -> None:
        super().__init__(operands=[source, weight, bias], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.source)[:-1], shape_of(self.weight)[0])


@irdl_op_definition
class MatmulOp(GraphOp):
    """[batch..., M, K] @ [batch..., K, N] with equal batch dims (views broadcast them before)."""

    name = "graph.matmul"
    lhs = operand_def(TensorType)
    rhs = operand_def(TensorType)

    def __init__(self, lhs: SSAValue, rhs: SSAValue, type: Tensor) -> None:
        super().__init__(operands=[lhs, rhs], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.lhs)[:-1], shape_of(self.rhs)[-1])


@irdl_op_definition
class AttentionOp(GraphOp):
    """softmax(scale * q k^T + mask) v: q [B..., Lq, D], k [B..., Lk, D], v [B..., Lk, E].

    An i1 mask keeps where true, a float mask is added; it has shape [B..., Lq, Lk] (views broadcast
    it before). `causal` keeps key j for query i where j <= i. Batch dims are equal.
    A query that keeps no key gives zeros, or NaN with `nan_if_hidden`, as a softmax does.
    """

    name = "graph.attention"
    scale = prop_def(FloatAttr)
    causal = prop_def(BoolAttr)
    nan_if_hidden = opt_prop_def(UnitAttr)
    query = operand_def(TensorType)
    key = operand_def(TensorType)
    value = operand_def(TensorType)
    mask = opt_operand_def(TensorType)

    def __init__(
        self,
        query: SSAValue,
        key: SSAValue,
        value: SSAValue,
        mask: SSAValue | None,
        scale: float,
        causal: bool,
        type: Tensor,
        nan_if_hidden: bool = False,
    ) -> None:
        super().__init__(
            operands=[query, key, value, mask],
            properties={
                "scale": FloatAttr(scale, f64),
                "causal": BoolAttr.from_bool(causal),
                "nan_if_hidden": UnitAttr() if nan_if_hidden else None,
            },
            result_types=[type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.query)[:-1], shape_of(self.value)[-1])
