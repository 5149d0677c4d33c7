"""Rules of graph.conv and graph.pool: sliding windows over padded sources."""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.dialects.builtin import FloatAttr, IntegerAttr, f64, i64
from xdsl.ir import Attribute, SSAValue
from xdsl.ir.affine import AffineConstantExpr, AffineDimExpr, AffineExpr, AffineMap

from ....dialects.graph import ConvOp, PadOp, PoolOp, element_of, shape_of, tensor_of
from ....dialects.graph.blocked import BlockedConvOp, BlockedDepthwiseOp, BlockedWindowOp
from .kernel_builder import KernelBuilder, dims_map
from .reduction import accumulator
from .rule import converts
from .scalar_builder import Number, ScalarBuilder, is_float


def padded(
    b: KernelBuilder, source: SSAValue, low: Sequence[int], high: Sequence[int], number: Number
) -> SSAValue:
    """`source` with its trailing dims padded; `source` itself where nothing is added."""
    if not any(low) and not any(high):
        return source
    shape, element = shape_of(source), element_of(source)
    front = [0] * (len(shape) - len(low))
    low, high = [*front, *low], [*front, *high]
    extents = [n + lo + hi for n, lo, hi in zip(shape, low, high, strict=True)]
    value: Attribute = (
        FloatAttr(float(number), f64) if is_float(element) else IntegerAttr(int(number), i64)
    )
    return b.insert(PadOp(source, low, high, value, tensor_of(element, extents)))


def window_exprs(
    first_out: int, first_kernel: int, stride: Sequence[int], dilation: Sequence[int]
) -> list[AffineExpr]:
    """out * stride + kernel * dilation per spatial dim, for loops numbered from the two firsts."""
    return [
        AffineDimExpr(first_out + d) * step + AffineDimExpr(first_kernel + d) * spread
        for d, (step, spread) in enumerate(zip(stride, dilation, strict=True))
    ]


def multiply_add(s: ScalarBuilder, a: SSAValue, b: SSAValue, acc: SSAValue) -> SSAValue:
    """acc + a * b: the body by which later stages recognise a contraction."""
    return s.add(acc, s.mul(a, b))


def add_bias(b: KernelBuilder, value: SSAValue, bias: SSAValue | None, dim: int) -> SSAValue:
    """`value` with `bias` added along `dim`."""
    if bias is None:
        return value
    shape = shape_of(value)
    reads = [(value, AffineMap.identity(len(shape))), (bias, dims_map(len(shape), [dim]))]
    return b.map(reads, shape, element_of(value), lambda s, x, y: s.add(x, y))


@converts(ConvOp)
def convert_conv(op: ConvOp, b: KernelBuilder) -> SSAValue:
    """Pad, contract over channels and window, add the bias."""
    source = padded(b, op.source, *op.padding_widths, 0)
    groups = op.groups.data
    channels_per_group = shape_of(op.weight)[1]
    if groups > 1 and channels_per_group == 1 and shape_of(op.weight)[0] == groups:
        result = _depthwise(op, source, b)
    elif groups > 1:
        result = _grouped(op, source, b)
    else:
        result = _dense(op, source, b)
    return add_bias(b, result, op.bias, 1)


def _dense(op: ConvOp, source: SSAValue, b: KernelBuilder) -> SSAValue:
    spatial = len(op.stride)
    rank = 2 * spatial + 3  # batch, out channel, out..., in channel, window...
    batch, out_channel, in_channel = AffineDimExpr(0), AffineDimExpr(1), 2 + spatial
    windows = window_exprs(2, in_channel + 1, *_steps(op))
    source_map = AffineMap(rank, 0, (batch, AffineDimExpr(in_channel), *windows))
    weight_map = AffineMap(
        rank, 0, (out_channel, *(AffineDimExpr(d) for d in range(in_channel, rank)))
    )
    return b.reduce(
        [(source, source_map), (op.weight, weight_map)],
        shape_of(op.result),
        dims_map(rank, range(2 + spatial)),
        "p" * (2 + spatial) + "r" * (1 + spatial),
        0,
        multiply_add,
    )


def _depthwise(op: ConvOp, source: SSAValue, b: KernelBuilder) -> SSAValue:
    """Each channel has its own window: no contraction over channels at all."""
    spatial = len(op.stride)
    rank = 2 * spatial + 2  # batch, channel, out..., window...
    windows = window_exprs(2, 2 + spatial, *_steps(op))
    source_map = AffineMap(rank, 0, (AffineDimExpr(0), AffineDimExpr(1), *windows))
    window_dims = (AffineDimExpr(d) for d in range(2 + spatial, rank))
    weight_map = AffineMap(rank, 0, (AffineDimExpr(1), AffineConstantExpr(0), *window_dims))
    return b.reduce(
        [(source, source_map), (op.weight, weight_map)],
        shape_of(op.result),
        dims_map(rank, range(2 + spatial)),
        "p" * (2 + spatial) + "r" * spatial,
        0,
        multiply_add,
    )


def _grouped(op: ConvOp, source: SSAValue, b: KernelBuilder) -> SSAValue:
    """An own loop over groups; source, weight and result are seen as (group, channel in group)."""
    spatial, groups = len(op.stride), op.groups.data
    batch, channels, *extents = shape_of(source)
    outputs, inner, *window = shape_of(op.weight)
    grouped_source = b.reshape(source, [batch, groups, channels // groups, *extents])
    grouped_weight = b.reshape(op.weight, [groups, outputs // groups, inner, *window])
    rank = 2 * spatial + 4  # batch, group, out channel, out..., in channel, window...
    in_channel = 3 + spatial
    windows = window_exprs(3, in_channel + 1, *_steps(op))
    source_map = AffineMap(
        rank, 0, (AffineDimExpr(0), AffineDimExpr(1), AffineDimExpr(in_channel), *windows)
    )
    weight_map = dims_map(rank, [1, 2, *range(in_channel, rank)])
    shape = [batch, groups, outputs // groups, *shape_of(op.result)[2:]]
    result = b.reduce(
        [(grouped_source, source_map), (grouped_weight, weight_map)],
        shape,
        dims_map(rank, range(in_channel)),
        "p" * in_channel + "r" * (1 + spatial),
        0,
        multiply_add,
    )
    return b.reshape(result, shape_of(op.result))


@converts(BlockedConvOp)
def convert_blocked_conv(op: BlockedConvOp, b: KernelBuilder) -> SSAValue:
    """Loops over (batch, block, out..., lane, window..., in channel)."""
    spatial = len(op.stride)
    lane, rank = 2 + spatial, 2 * spatial + 4
    windows = window_exprs(2, lane + 1, *_steps(op))
    source_map = AffineMap(rank, 0, (AffineDimExpr(0), AffineDimExpr(rank - 1), *windows))
    return _blocked(op, b, source_map, dims_map(rank, [1, *range(lane + 1, rank), lane]))


@converts(BlockedDepthwiseOp)
def convert_blocked_depthwise(op: BlockedDepthwiseOp, b: KernelBuilder) -> SSAValue:
    """Loops over (batch, block, out..., lane, window...)."""
    spatial = len(op.stride)
    lane, rank = 2 + spatial, 2 * spatial + 3
    windows = window_exprs(2, lane + 1, *_steps(op))
    front = AffineDimExpr(0), AffineDimExpr(1)
    source_map = AffineMap(rank, 0, (*front, *windows, AffineDimExpr(lane)))
    return _blocked(op, b, source_map, dims_map(rank, [1, *range(lane + 1, rank), lane]))


def _blocked(
    op: BlockedWindowOp, b: KernelBuilder, source_map: AffineMap, weight_map: AffineMap
) -> SSAValue:
    """The sum of products over all loops behind those of the result."""
    results = len(shape_of(op.result))
    return b.reduce(
        [(op.source, source_map), (op.weight, weight_map)],
        shape_of(op.result),
        dims_map(source_map.num_dims, range(results)),
        "p" * results + "r" * (source_map.num_dims - results),
        0,
        multiply_add,
    )


def _steps(op: ConvOp | PoolOp | BlockedWindowOp) -> tuple[list[int], list[int]]:
    return [s.data for s in op.stride], [d.data for d in op.dilation]


@converts(PoolOp)
def convert_pool(op: PoolOp, b: KernelBuilder) -> SSAValue:
    """Pad with the neutral element, then accumulate over the window."""
    element = element_of(op.source)
    init, step = accumulator(op.fn.data, element)
    low, high = [p.data for p in op.padding_low], [p.data for p in op.padding_high]
    source = padded(b, op.source, low, high, init)
    window = [k.data for k in op.kernel]
    shape = shape_of(op.result)
    front = len(shape) - len(window)
    rank = len(shape) + len(window)
    exprs = window_exprs(front, len(shape), *_steps(op))
    source_map = AffineMap(rank, 0, (*(AffineDimExpr(d) for d in range(front)), *exprs))
    # Its only use is to carry the extents of the window loops.
    extents = b.empty(window, element)

    def body(s: ScalarBuilder, x: SSAValue, _window: SSAValue, acc: SSAValue) -> SSAValue:
        return step(s, x, acc)

    return b.reduce(
        [(source, source_map), (extents, dims_map(rank, range(len(shape), rank)))],
        shape,
        dims_map(rank, range(len(shape))),
        "p" * len(shape) + "r" * len(window),
        init,
        body,
    )
