"""Normalization layers: `graph.norm` over trailing dims, batch norm as scale and shift."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from xdsl.ir import SSAValue

from ...dialects.graph import NormOp, element_of, shape_of, tensor_of
from .builder import Builder, elements_in
from .rounding import rounds_once
from .rules import UnsupportedUse, rule
from .statistics import moments
from .tensor_types import DTYPES


@rule("aten.layer_norm.default")
def layer_norm(
    b: Builder,
    source: SSAValue,
    shape: Sequence[int],
    weight: SSAValue | None,
    bias: SSAValue | None,
    eps: float,
    *_: object,
) -> SSAValue:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last dims."""
    return _norm(b, "layer", source, weight, bias, len(shape), eps)


@rule("aten.native_layer_norm.default")
@rounds_once
def native_layer_norm(
    b: Builder,
    source: SSAValue,
    shape: Sequence[int],
    weight: SSAValue | None,
    bias: SSAValue | None,
    eps: float,
) -> list[SSAValue]:
    """layer_norm, its mean, and its reciprocal deviation."""
    rank = len(shape_of(source))
    dims = list(range(rank - len(shape), rank))
    variance, center = moments(b, source, dims, 0, True)
    deviation = b.pointwise("rsqrt", b.pointwise("add", variance, eps))
    return [_norm(b, "layer", source, weight, bias, len(shape), eps), center, deviation]


@rule("aten.rms_norm.default")
def rms_norm(
    b: Builder,
    source: SSAValue,
    shape: Sequence[int],
    weight: SSAValue | None,
    eps: float | None,
) -> SSAValue:
    """x / sqrt(mean(x^2) + eps) * weight over the last dims."""
    if eps is None:
        eps = torch.finfo(DTYPES[element_of(source)]).eps
    return _norm(b, "rms", source, weight, None, len(shape), eps)


@rule("aten.group_norm.default")
@rounds_once
def group_norm(
    b: Builder,
    source: SSAValue,
    groups: int,
    weight: SSAValue | None,
    bias: SSAValue | None,
    eps: float,
    *_: object,
) -> SSAValue:
    """Normalization of each group of channels of each sample."""
    shape = shape_of(source)
    grouped = b.reshape(source, [shape[0], groups, elements_in(shape[1:]) // groups])
    value = b.reshape(_norm(b, "layer", grouped, None, None, 1, eps), shape)
    return _scale_and_shift(b, value, weight, bias)


@rule("aten.native_group_norm.default")
@rounds_once
def native_group_norm(
    b: Builder,
    source: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    samples: int,
    _channels: int,
    _elements: int,
    groups: int,
    eps: float,
) -> list[SSAValue]:
    """group_norm, the mean of each group, and its reciprocal deviation."""
    shape = shape_of(source)
    grouped = b.reshape(source, [samples, groups, elements_in(shape) // (samples * groups)])
    variance, center = moments(b, grouped, [2], 0, False)
    deviation = b.pointwise("rsqrt", b.pointwise("add", variance, eps))
    return [group_norm(b, source, groups, weight, bias, eps), center, deviation]


@rule("aten.instance_norm.default")
@rounds_once
def instance_norm(
    b: Builder,
    source: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    mean: SSAValue | None,
    variance: SSAValue | None,
    use_input_stats: bool,
    _momentum: float,
    eps: float,
    *_: object,
) -> SSAValue:
    """Normalization of each channel of each sample, or by running statistics."""
    if use_input_stats:
        return group_norm(b, source, shape_of(source)[1], weight, bias, eps)
    return batch_norm(b, source, weight, bias, mean, variance, False, 0.0, eps)


@rule("aten.batch_norm.default")
@rounds_once
def batch_norm(
    b: Builder,
    source: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    mean: SSAValue | None,
    variance: SSAValue | None,
    training: bool,
    _momentum: float,
    eps: float,
    *_: object,
) -> SSAValue:
    """x * scale + shift with scale = weight / sqrt(var + eps), shift = bias - mean * scale.

    Both are formulas over constants, which `fold-constants` evaluates.
    """
    shape = shape_of(source)
    if len(shape) < 2:
        raise UnsupportedUse(f"batch norm of a tensor of rank {len(shape)}: no channels")
    if mean is None or variance is None:
        over = [d for d in range(len(shape)) if d != 1]
        variance, mean = moments(b, source, over, 0, False)
    elif training:
        raise UnsupportedUse("running statistics of training mode; call model.eval() first")
    scale = b.pointwise("rsqrt", b.pointwise("add", variance, eps))
    if weight is not None:
        scale = b.pointwise("mul", scale, weight)
    shift = b.pointwise("neg", b.pointwise("mul", mean, scale))
    if bias is not None:
        shift = b.pointwise("add", bias, shift)
    return _scale_and_shift(b, source, scale, shift)


@rule("aten._native_batch_norm_legit_no_training.default")
@rounds_once
def batch_norm_no_training(
    b: Builder,
    source: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    mean: SSAValue,
    variance: SSAValue,
    momentum: float,
    eps: float,
) -> list[SSAValue | None]:
    """batch_norm; the saved statistics are empty in evaluation."""
    value = batch_norm(b, source, weight, bias, mean, variance, False, momentum, eps)
    return [value, None, None]


def _norm(
    b: Builder,
    kind: str,
    source: SSAValue,
    weight: SSAValue | None,
    bias: SSAValue | None,
    rank: int,
    eps: float,
) -> SSAValue:
    shape = shape_of(source)
    if weight is None and bias is not None:
        ones = tensor_of(element_of(source), shape[len(shape) - rank :])
        weight = b.full(1.0, ones.element_type, ones.get_shape())
    return b.emit(NormOp(kind, source, weight, bias, rank, eps))


def _scale_and_shift(
    b: Builder, value: SSAValue, scale: SSAValue | None, shift: SSAValue | None
) -> SSAValue:
    rank = len(shape_of(value))
    if scale is not None:
        value = b.pointwise("mul", value, b.per_channel(scale, rank))
    if shift is not None:
        value = b.pointwise("add", value, b.per_channel(shift, rank))
    return value
