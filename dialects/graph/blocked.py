"""`graph` ops on channel-blocked activations: [B, C / L, *spatial, L], L channels side by side.

The last dim is a vector register of channels, whatever the extents of the image. Channels that do
not fill the last block leave lanes of unspecified value, which no op reads into another lane.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import TensorType
from xdsl.ir import SSAValue
from xdsl.irdl import irdl_op_definition, operand_def, prop_def

from .base import GraphOp, Ints, element_of, ints, shape_of, tensor_of


class BlockedWindowOp(GraphOp):
    """Base: sums over windows of an unpadded source, by weights, to channel-blocked results."""

    stride = prop_def(Ints)
    dilation = prop_def(Ints)
    source = operand_def(TensorType)
    weight = operand_def(TensorType)

    def __init__(
        self, source: SSAValue, weight: SSAValue, stride: Sequence[int], dilation: Sequence[int]
    ) -> None:
        shape = self.result_shape(source, weight, stride, dilation)
        super().__init__(
            operands=[source, weight],
            properties={"stride": ints(stride), "dilation": ints(dilation)},
            result_types=[tensor_of(element_of(source), shape)],
        )

    @classmethod
    def kernel_of(cls, weight: SSAValue) -> tuple[int, ...]:
        """The extents of the window."""
        raise NotImplementedError

    @classmethod
    def result_shape(
        cls, source: SSAValue, weight: SSAValue, stride: Sequence[int], dilation: Sequence[int]
    ) -> tuple[int, ...]:
        """[B, blocks, *positions, L]."""
        kernel, image = cls.kernel_of(weight), shape_of(source)
        positions = [
            (n - d * (k - 1) - 1) // s + 1
            for n, k, s, d in zip(image[2:], kernel, stride, dilation, strict=False)
        ]
        return (image[0], shape_of(weight)[0], *positions, shape_of(weight)[-1])

    def expected_shape(self) -> tuple[int, ...] | None:
        steps = [[v.data for v in p] for p in (self.stride, self.dilation)]
        return self.result_shape(self.source, self.weight, *steps)


@irdl_op_definition
class BlockedConvOp(BlockedWindowOp):
    """Cross-correlation: source [B, C, *spatial] (often a view of a blocked tensor), weight
    [O / L, *kernel, C, L], result [B, O / L, *positions, L]."""

    name = "graph.blocked_conv"

    @classmethod
    def kernel_of(cls, weight: SSAValue) -> tuple[int, ...]:
        return shape_of(weight)[1:-2]


@irdl_op_definition
class BlockedDepthwiseOp(BlockedWindowOp):
    """Each channel has a window of its own: source [B, C / L, *spatial, L], weight
    [C / L, *kernel, L], result [B, C / L, *positions, L]."""

    name = "graph.blocked_depthwise"

    @classmethod
    def kernel_of(cls, weight: SSAValue) -> tuple[int, ...]:
        return shape_of(weight)[1:-1]


BLOCKED_OPS: list[type[BlockedWindowOp]] = [BlockedConvOp, BlockedDepthwiseOp]
