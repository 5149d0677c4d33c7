"""Windows that slide over images: convolutions and pools."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import (
    IntAttr,
    StringAttr,
    TensorType,
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
    Ints,
    Tensor,
    ints,
)


@irdl_op_definition
class ConvOp(GraphOp):
    """Cross-correlation: source [B, C, *spatial], weight [O, C / groups, *kernel], bias [O].

    Padding is with zeros, `padding` before and behind; behind it is `padding_high` where given.
    """

    name = "graph.conv"
    stride = prop_def(Ints)
    padding = prop_def(Ints)
    padding_high = opt_prop_def(Ints)
    dilation = prop_def(Ints)
    groups = prop_def(IntAttr)
    source = operand_def(TensorType)
    weight = operand_def(TensorType)
    bias = opt_operand_def(TensorType)

    def __init__(
        self,
        source: SSAValue,
        weight: SSAValue,
        bias: SSAValue | None,
        stride: Sequence[int],
        padding: Sequence[int],
        dilation: Sequence[int],
        groups: int,
        type: Tensor,
        padding_high: Sequence[int] | None = None,
    ) -> None:
        high = padding if padding_high is None else padding_high
        super().__init__(
            operands=[source, weight, bias],
            properties={
                "stride": ints(stride),
                "padding": ints(padding),
                **({} if list(high) == list(padding) else {"padding_high": ints(high)}),
                "dilation": ints(dilation),
                "groups": IntAttr(groups),
            },
            result_types=[type],
        )

    @property
    def padding_widths(self) -> tuple[list[int], list[int]]:
        """Zeros before and behind, per spatial dim."""
        low = [p.data for p in self.padding]
        return low, [p.data for p in self.padding_high] if self.padding_high else low


@irdl_op_definition
class PoolOp(GraphOp):
    """`fn` max or sum over windows of the trailing dims; padding is neutral.

    Average pooling is `sum` times a constant (or divided by a count tensor).
    """

    name = "graph.pool"
    fn = prop_def(StringAttr)
    kernel = prop_def(Ints)
    stride = prop_def(Ints)
    padding_low = prop_def(Ints)
    padding_high = prop_def(Ints)
    dilation = prop_def(Ints)
    source = operand_def(TensorType)

    def __init__(
        self,
        fn: str,
        source: SSAValue,
        kernel: Sequence[int],
        stride: Sequence[int],
        padding_low: Sequence[int],
        padding_high: Sequence[int],
        dilation: Sequence[int],
        type: Tensor,
    ) -> None:
        super().__init__(
            operands=[source],
            properties={
                "fn": StringAttr(fn),
                "kernel": ints(kernel),
                "stride": ints(stride),
                "padding_low": ints(padding_low),
                "padding_high": ints(padding_high),
                "dilation": ints(dilation),
            },
            result_types=[type],
        )
