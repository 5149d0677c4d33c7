"""`graph` dialect: a model as named tensor ops on static, row-major tensors.

Rank-0 tensors stand for Python scalars. Every op may carry a `loc` string attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from xdsl.dialects.builtin import (
    AffineMapAttr,
    AnyFloat,
    BoolAttr,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    SymbolRefAttr,
    TensorType,
    f64,
    i1,
)
from xdsl.ir import Attribute, Dialect, SSAValue
from xdsl.irdl import (
    AttrSizedOperandSegments,
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    opt_operand_def,
    opt_prop_def,
    prop_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.traits import Pure
from xdsl.utils.exceptions import VerifyException

from .graph_blocked import BLOCKED_OPS
from .graph_control import CONTROL_OPS
from .graph_op import GraphOp as GraphOp
from .graph_op import Ints as Ints
from .graph_op import SizesAttr as SizesAttr
from .graph_op import Tensor as Tensor
from .graph_op import bounds_of as bounds_of
from .graph_op import check_dim as check_dim
from .graph_op import element_of as element_of
from .graph_op import extents_of_type as extents_of_type
from .graph_op import ints as ints
from .graph_op import is_dynamic as is_dynamic
from .graph_op import shape_of as shape_of
from .graph_op import tensor_of as tensor_of
from .graph_opaque import OPAQUE_OPS
from .graph_sizes import SizeIndexOp as SizeIndexOp
from .graph_sizes import SizeOp as SizeOp
from .graph_winograd import WinogradConvOp
from .integers import wrapped
from .scalar import FUNCTIONS


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


@irdl_op_definition
class PointwiseOp(GraphOp):
    """`fn` of `dialects/scalar.py` elementwise, operands broadcast as in NumPy."""

    name = "graph.pointwise"
    fn = prop_def(StringAttr)
    operands_ = var_operand_def(TensorType)

    def __init__(self, fn: str, operands: Sequence[SSAValue], type: Tensor) -> None:
        super().__init__(
            operands=[operands], properties={"fn": StringAttr(fn)}, result_types=[type]
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return broadcast_shapes([shape_of(v) for v in self.operands_])

    def verify_(self) -> None:
        function = FUNCTIONS.get(self.fn.data)
        if function is None:
            raise VerifyException(f"graph.pointwise: no scalar function {self.fn.data!r}")
        if len(self.operands_) != function.arity:
            raise VerifyException(
                f"graph.pointwise {self.fn.data}: expected {function.arity} operands, "
                f"got {len(self.operands_)}"
            )
        data = self.operands_[1:] if self.fn.data == "where" else self.operands_
        if len({element_of(v) for v in data}) != 1:
            raise VerifyException(f"graph.pointwise {self.fn.data}: operand types differ")
        want = i1 if function.result == "bool" else element_of(data[0])
        if element_of(self.result) != want:
            raise VerifyException(
                f"graph.pointwise {self.fn.data}: expected element type {want}, "
                f"got {element_of(self.result)}"
            )
        super().verify_()


@irdl_op_definition
class CastOp(GraphOp):
    """Convert the element type as torch does: float to int truncates, to i1 is `!= 0`."""

    name = "graph.cast"
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, type: Tensor) -> None:
        super().__init__(operands=[source], result_types=[type])

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)


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


@irdl_op_definition
class ReduceOp(GraphOp):
    """`fn` in {sum, prod, max, min, any, all} over `dims`, which disappear."""

    name = "graph.reduce"
    fn = prop_def(StringAttr)
    dims = prop_def(Ints)
    source = operand_def(TensorType)
    FUNCTIONS: ClassVar = ("sum", "prod", "max", "min", "any", "all")

    def __init__(self, fn: str, source: SSAValue, dims: Sequence[int], type: Tensor) -> None:
        super().__init__(
            operands=[source],
            properties={"fn": StringAttr(fn), "dims": ints(sorted(dims))},
            result_types=[type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        gone = {d.data for d in self.dims}
        return tuple(n for d, n in enumerate(shape_of(self.source)) if d not in gone)


@irdl_op_definition
class ScanOp(GraphOp):
    """Running `fn` in {sum, prod, max, min, logaddexp} of elements 0..i along `dim`."""

    name = "graph.scan"
    fn = prop_def(StringAttr)
    dim = prop_def(IntAttr)
    source = operand_def(TensorType)
    FUNCTIONS: ClassVar = ("sum", "prod", "max", "min", "logaddexp")

    def __init__(self, fn: str, source: SSAValue, dim: int) -> None:
        super().__init__(
            operands=[source],
            properties={"fn": StringAttr(fn), "dim": IntAttr(dim)},
            result_types=[source.type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return shape_of(self.source)

    def verify_(self) -> None:
        if self.fn.data not in self.FUNCTIONS:
            raise VerifyException(f"graph.scan: no function {self.fn.data!r}")
        check_dim(self, self.dim, self.source)
        if element_of(self.result) != element_of(self.source):
            raise VerifyException("graph.scan: the result has another element type")
        super().verify_()


@irdl_op_definition
class SoftmaxOp(GraphOp):
    """exp(x - max) / sum along `dim`; its logarithm where `log`."""

    name = "graph.softmax"
    dim = prop_def(IntAttr)
    log = prop_def(BoolAttr)
    source = operand_def(TensorType)

    def __init__(self, source: SSAValue, dim: int, log: bool = False) -> None:
        super().__init__(
            operands=[source],
            properties={"dim": IntAttr(dim), "log": BoolAttr.from_bool(log)},
            result_types=[source.type],
        )


@irdl_op_definition
class NormOp(GraphOp):
    """Normalize over the last `rank` dims (`kind` layer or rms), then scale and shift.

    layer: (x - mean) / sqrt(var + eps) * weight + bias;  rms: x / sqrt(mean(x^2) + eps) * weight.
    """

    name = "graph.norm"
    kind = prop_def(StringAttr)
    rank = prop_def(IntAttr)
    eps = prop_def(FloatAttr)
    source = operand_def(TensorType)
    weight = opt_operand_def(TensorType)
    bias = opt_operand_def(TensorType)

    irdl_options = (AttrSizedOperandSegments(as_property=True),)

    def __init__(
        self,
        kind: str,
        source: SSAValue,
        weight: SSAValue | None,
        bias: SSAValue | None,
        rank: int,
        eps: float,
    ) -> None:
        super().__init__(
            operands=[source, weight, bias],
            properties={
                "kind": StringAttr(kind),
                "rank": IntAttr(rank),
                "eps": FloatAttr(eps, f64),
            },
            result_types=[source.type],
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


@irdl_op_definition
class AttentionOp(GraphOp):
    """softmax(scale * q k^T + mask) v: q [B..., Lq, D], k [B..., Lk, D], v [B..., Lk, E].

    An i1 mask keeps where true, a float mask is added; it has shape [B..., Lq, Lk] (views broadcast
    it before). `causal` keeps key j for query i where j <= i. Batch dims are equal.
    A query that keeps no key gives zeros.
    """

    name = "graph.attention"
    scale = prop_def(FloatAttr)
    causal = prop_def(BoolAttr)
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
    ) -> None:
        super().__init__(
            operands=[query, key, value, mask],
            properties={"scale": FloatAttr(scale, f64), "causal": BoolAttr.from_bool(causal)},
            result_types=[type],
        )

    def expected_shape(self) -> tuple[int, ...] | None:
        return (*shape_of(self.query)[:-1], shape_of(self.value)[-1])


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


def broadcast_shapes(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """NumPy broadcasting of `shapes`; VerifyException where they do not fit."""
    rank = max((len(s) for s in shapes), default=0)
    result = [1] * rank
    for shape in shapes:
        for d, extent in enumerate(shape, start=rank - len(shape)):
            if extent != 1 and result[d] not in (1, extent):
                raise VerifyException(f"shapes {shapes} do not broadcast")
            if extent != 1:
                result[d] = extent
    return tuple(result)


Graph = Dialect(
    "graph",
    [
        WeightOp,
        FullOp,
        IotaOp,
        PointwiseOp,
        CastOp,
        ViewOp,
        ReshapeOp,
        CatOp,
        PadOp,
        ReduceOp,
        ScanOp,
        SoftmaxOp,
        NormOp,
        LinearOp,
        MatmulOp,
        ConvOp,
        PoolOp,
        AttentionOp,
        EmbeddingOp,
        GatherOp,
        IndexOp,
        *BLOCKED_OPS,
        *OPAQUE_OPS,
        WinogradConvOp,
        SizeOp,
        SizeIndexOp,
        *CONTROL_OPS,
        LaunchOp,
    ],
    [SizesAttr],
)
