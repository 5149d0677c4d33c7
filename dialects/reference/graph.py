"""The numpy meaning of the `graph` dialect: `evaluate` runs a function op by op.

Floating point is computed in one chosen dtype (float64 for the oracle, or each op's own type, which
is float32 for narrow floats, rounded once per op), integers and booleans exactly.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from xdsl.dialects.builtin import (
    AnyFloat,
    FloatAttr,
    IntegerAttr,
    IntegerType,
    ModuleOp,
    TensorType,
)
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Operation, SSAValue

from ..errors import LoweringError
from ..graph import (
    AttentionOp,
    CastOp,
    CatOp,
    ConvOp,
    EmbeddingOp,
    FullOp,
    GatherOp,
    IndexOp,
    IotaOp,
    LaunchOp,
    LinearOp,
    MatmulOp,
    NormOp,
    PadOp,
    PointwiseOp,
    PoolOp,
    ReduceOp,
    ReshapeOp,
    SoftmaxOp,
    ViewOp,
    WeightOp,
    shape_of,
)
from ..graph.blocked import BlockedConvOp, BlockedDepthwiseOp
from ..graph.control import ControlOp
from ..scalar import FUNCTIONS
from .control import run_control
from .number_types import FLOATS, integer_dtype, widened
from .opaque import OPAQUE_MEANINGS
from .views import apply_map
from .windows import convolve, pool

Array = npt.NDArray[Any]
Meaning = Callable[..., Array]
M = TypeVar("M", bound=Meaning)

REDUCTIONS: dict[str, Callable[..., Any]] = {
    "sum": np.sum,
    "prod": np.prod,
    "max": np.max,
    "min": np.min,
    "any": np.any,
    "all": np.all,
    "maxnum": np.fmax.reduce,
}
MEANINGS: dict[type[Operation], Meaning] = {}


def evaluate(
    source: ModuleOp | FuncOp,
    weights: Mapping[str, npt.NDArray[np.generic]],
    inputs: Sequence[npt.ArrayLike],
    dtype: npt.DTypeLike | None = np.float64,
) -> list[Array]:
    """Results of `main` (or of a function) for `inputs`; floats in `dtype`, None for their own."""
    function = _function(source, "main") if isinstance(source, ModuleOp) else source
    return Evaluator(weights, dtype).call(function, inputs)


class Evaluator:
    """What op meanings need besides their operands: the weights and the floating dtype."""

    def __init__(
        self, weights: Mapping[str, npt.NDArray[np.generic]], dtype: npt.DTypeLike | None
    ) -> None:
        self.weights = weights
        self.dtype = None if dtype is None else np.dtype(dtype)

    def dtype_of(self, type: Attribute) -> np.dtype[Any]:
        """The numpy type in which values of a tensor type are computed."""
        assert isinstance(type, TensorType)
        element = type.element_type
        if isinstance(element, AnyFloat):
            return self.dtype or FLOATS[element]
        assert isinstance(element, IntegerType)
        return integer_dtype(element)

    def call(self, function: FuncOp, inputs: Sequence[npt.ArrayLike]) -> list[Array]:
        """Results of `function` for `inputs`."""
        block = function.body.block
        values: dict[SSAValue, Array] = {}
        for argument, given in zip(block.args, inputs, strict=True):
            array = np.asarray(given).astype(self.dtype_of(argument.type), copy=False)
            if array.shape != shape_of(argument):
                raise LoweringError(
                    f"evaluate @{function.sym_name.data}: argument {argument.index} has shape "
                    f"{array.shape}, expected {shape_of(argument)}"
                )
            values[argument] = array
        with np.errstate(all="ignore"):
            for op in block.ops:
                operands = [values[operand] for operand in op.operands]
                if isinstance(op, ReturnOp):
                    return operands
                for result, array in zip(op.results, self.run(op, operands), strict=True):
                    values[result] = array
        raise LoweringError(f"evaluate @{function.sym_name.data}: no func.return at the end")

    def run(self, op: Operation, operands: Sequence[Array]) -> list[Array]:
        """Results of one op."""
        if isinstance(op, LaunchOp):
            return self.call(_named(op, op.kernel.root_reference.data), operands)
        if isinstance(op, ControlOp):
            return run_control(op, operands, lambda name, xs: self.call(_named(op, name), xs))
        operands = [widened(operand) for operand in operands]
        if type(op) in OPAQUE_MEANINGS:
            value = np.asarray(OPAQUE_MEANINGS[type(op)](op, *operands))
        elif type(op) in MEANINGS:
            value = np.asarray(MEANINGS[type(op)](self, op, *operands))
        else:
            raise LoweringError(f"evaluate: {op.name} is no graph op; it has no meaning here")
        (result,) = op.results
        if value.shape != shape_of(result):
            raise LoweringError(
                f"evaluate: {op.name} computes shape {value.shape}, its type says {result.type}"
            )
        return [value.astype(self.dtype_of(result.type), copy=False)]


def _function(module: ModuleOp, name: str) -> FuncOp:
    for op in module.body.block.ops:
        if isinstance(op, FuncOp) and op.sym_name.data == name:
            return op
    raise LoweringError(f"evaluate: the module has no function @{name}")


def _named(op: Operation, name: str) -> FuncOp:
    """The function `name` of the module that `op` is in."""
    parent = op.parent_op()
    while parent is not None and not isinstance(parent, ModuleOp):
        parent = parent.parent_op()
    assert isinstance(parent, ModuleOp)
    return _function(parent, name)


def _meaning(kind: type[Operation]) -> Callable[[M], M]:
    def register(function: M) -> M:
        MEANINGS[kind] = function
        return function

    return register


def attribute_value(value: Attribute) -> float | int:
    """The number in a float or integer attribute."""
    assert isinstance(value, (FloatAttr, IntegerAttr))
    number: float | int = value.value.data
    return number


@_meaning(WeightOp)
def _weight(e: Evaluator, op: WeightOp) -> Array:
    return np.asarray(e.weights[op.symbol.root_reference.data])


@_meaning(FullOp)
def _full(e: Evaluator, op: FullOp) -> Array:
    return np.full(shape_of(op.result), attribute_value(op.value), e.dtype_of(op.result.type))


@_meaning(IotaOp)
def _iota(e: Evaluator, op: IotaOp) -> Array:
    count = np.arange(shape_of(op.result)[0], dtype=np.int64)
    value: Array = op.start.data + op.step.data * count
    return value


@_meaning(PointwiseOp)
def _pointwise(e: Evaluator, op: PointwiseOp, *operands: Array) -> Array:
    return np.asarray(FUNCTIONS[op.fn.data].meaning(*operands))


@_meaning(CastOp)
def _cast(e: Evaluator, op: CastOp, source: Array) -> Array:
    dtype = e.dtype_of(op.result.type)
    if dtype.kind == "b":
        return np.asarray(source != 0)
    return source.astype(dtype)


@_meaning(ViewOp)
def _view(e: Evaluator, op: ViewOp, source: Array) -> Array:
    return apply_map(op.map.data, source, shape_of(op.result))


@_meaning(ReshapeOp)
def _reshape(e: Evaluator, op: ReshapeOp, source: Array) -> Array:
    return source.reshape(shape_of(op.result))


@_meaning(CatOp)
def _cat(e: Evaluator, op: CatOp, *operands: Array) -> Array:
    return np.concatenate(operands, axis=op.dim.data)


@_meaning(PadOp)
def _pad(e: Evaluator, op: PadOp, source: Array) -> Array:
    width = [(low.data, high.data) for low, high in zip(op.low, op.high, strict=True)]
    return np.pad(source, width, constant_values=attribute_value(op.value))


@_meaning(ReduceOp)
def _reduce(e: Evaluator, op: ReduceOp, source: Array) -> Array:
    return np.asarray(REDUCTIONS[op.fn.data](source, axis=tuple(d.data for d in op.dims)))


@_meaning(SoftmaxOp)
def _softmax(e: Evaluator, op: SoftmaxOp, source: Array) -> Array:
    axis = op.dim.data
    shifted = source - source.max(axis=axis, keepdims=True)
    total = np.exp(shifted).sum(axis=axis, keepdims=True)
    return np.asarray(shifted - np.log(total) if op.log.value.data else np.exp(shifted) / total)


@_meaning(NormOp)
def _norm(e: Evaluator, op: NormOp, source: Array, *rest: Array) -> Array:
    axes = tuple(range(source.ndim - op.rank.data, source.ndim))
    eps = source.dtype.type(op.eps.value.data)
    if op.kind.data == "layer":
        source = source - source.mean(axis=axes, keepdims=True)
    value = source / np.sqrt((source * source).mean(axis=axes, keepdims=True) + eps)
    operands = list(rest)
    if op.weight is not None:
        value = value * operands.pop(0)
    if op.bias is not None:
        value = value + operands.pop(0)
    return np.asarray(value)


@_meaning(LinearOp)
def _linear(e: Evaluator, op: LinearOp, source: Array, weight: Array, *bias: Array) -> Array:
    value = source @ weight.T
    return value + bias[0] if bias else value


@_meaning(MatmulOp)
def _matmul(e: Evaluator, op: MatmulOp, lhs: Array, rhs: Array) -> Array:
    return np.asarray(lhs @ rhs)


@_meaning(ConvOp)
def _conv(e: Evaluator, op: ConvOp, source: Array, weight: Array, *bias: Array) -> Array:
    value = convolve(
        source,
        weight,
        [v.data for v in op.stride],
        list(zip(*op.padding_widths, strict=True)),
        [v.data for v in op.dilation],
        op.groups.data,
    )
    if not bias:
        return value
    return value + bias[0].reshape(-1, *[1] * (value.ndim - 2))


@_meaning(BlockedConvOp)
def _blocked_conv(e: Evaluator, op: BlockedConvOp, source: Array, weight: Array) -> Array:
    rank = len(op.stride)
    plain = np.moveaxis(weight, (-1, -2), (1, 2))
    plain = plain.reshape(-1, *plain.shape[2:])
    value = convolve(source, plain, *_steps(op), 1)
    blocked = value.reshape(value.shape[0], *weight.shape[:1], weight.shape[-1], *value.shape[2:])
    return np.ascontiguousarray(np.moveaxis(blocked, 2, 2 + rank))


@_meaning(BlockedDepthwiseOp)
def _blocked_depthwise(e: Evaluator, op: BlockedDepthwiseOp, source: Array, weight: Array) -> Array:
    # as a depthwise convolution of blocks * lanes channels
    batch, blocks, *image, lanes = source.shape
    plain = np.moveaxis(source, -1, 2).reshape(batch, blocks * lanes, *image)
    kernels = np.moveaxis(weight, -1, 1).reshape(blocks * lanes, 1, *weight.shape[1:-1])
    value = convolve(plain, kernels, *_steps(op), blocks * lanes)
    blocked = value.reshape(batch, blocks, lanes, *value.shape[2:])
    return np.ascontiguousarray(np.moveaxis(blocked, 2, -1))


def _steps(
    op: BlockedConvOp | BlockedDepthwiseOp,
) -> tuple[list[int], list[tuple[int, int]], list[int]]:
    """Stride, no padding, dilation."""
    return [s.data for s in op.stride], [(0, 0)] * len(op.stride), [d.data for d in op.dilation]


@_meaning(PoolOp)
def _pool(e: Evaluator, op: PoolOp, source: Array) -> Array:
    return pool(
        op.fn.data,
        source,
        [v.data for v in op.kernel],
        [v.data for v in op.stride],
        [v.data for v in op.padding_low],
        [v.data for v in op.padding_high],
        [v.data for v in op.dilation],
    )


@_meaning(AttentionOp)
def _attention(
    e: Evaluator, op: AttentionOp, query: Array, key: Array, value: Array, *mask: Array
) -> Array:
    scores = query @ np.swapaxes(key, -1, -2) * query.dtype.type(op.scale.value.data)
    if mask and mask[0].dtype == bool:
        scores = np.where(mask[0], scores, -np.inf)
    elif mask:
        scores = scores + mask[0]
    if op.causal.value.data:
        scores = np.where(np.tri(*scores.shape[-2:]) != 0, scores, -np.inf)
    top = scores.max(axis=-1, keepdims=True)
    share = np.exp(scores - np.where(np.isneginf(top), 0, top))
    total = share.sum(axis=-1, keepdims=True)
    if op.nan_if_hidden is None:
        # a query that may look at nothing gives zeros, as torch's safe softmax does
        total = np.where(np.isneginf(top), 1, total)
    return np.asarray(share / total @ value)


@_meaning(EmbeddingOp)
def _embedding(e: Evaluator, op: EmbeddingOp, table: Array, indices: Array) -> Array:
    return table[indices]


@_meaning(GatherOp)
def _gather(e: Evaluator, op: GatherOp, source: Array, indices: Array) -> Array:
    where: list[Array] = list(np.indices(indices.shape, sparse=True))
    where[op.dim.data] = indices
    return source[tuple(where)]


@_meaning(IndexOp)
def _index(e: Evaluator, op: IndexOp, source: Array, *indices: Array) -> Array:
    return source[tuple(indices)]
