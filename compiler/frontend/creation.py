"""Operators that make tensors from numbers: constants, ranges and copies of shapes."""

from __future__ import annotations

import torch
from xdsl.dialects.builtin import f32, f64, i64
from xdsl.ir import SSAValue

from ...dialects.sizes import has_symbols
from .builder import Builder, Scalar
from .rules import rule
from .tensor_types import DTYPES, FLOATS, to_numpy


@rule("aten.full.default", "aten.full_like.default")
def full(b: Builder, _like: object, value: Scalar, *_: object) -> SSAValue:
    """`value` everywhere."""
    return _filled(b, value)


@rule("aten.new_full.default")
def new_full(b: Builder, _like: SSAValue, _size: object, value: Scalar, *_: object) -> SSAValue:
    """`value` everywhere, in the element type of another tensor by default."""
    return _filled(b, value)


@rule("aten.fill.Scalar")
def fill(b: Builder, _like: SSAValue, value: Scalar) -> SSAValue:
    """`value` everywhere."""
    return _filled(b, value)


@rule("aten.scalar_tensor.default")
def scalar_tensor(b: Builder, value: Scalar, *_: object) -> SSAValue:
    """A rank-0 tensor."""
    return _filled(b, value)


@rule(
    "aten.zeros.default",
    "aten.zeros_like.default",
    "aten.new_zeros.default",
    "aten.empty.memory_format",
    "aten.empty_like.default",
    "aten.new_empty.default",
)
def zeros(b: Builder, *_: object) -> SSAValue:
    """Zeros; also for memory that torch leaves as it is."""
    return _filled(b, 0)


@rule("aten.ones.default", "aten.ones_like.default", "aten.new_ones.default")
def ones(b: Builder, *_: object) -> SSAValue:
    """Ones."""
    return _filled(b, 1)


@rule("aten.arange.default")
def arange(b: Builder, end: Scalar, *_: object) -> SSAValue:
    """0, 1, ... below `end`."""
    return arange_step(b, 0, end, 1)


@rule("aten.arange.start")
def arange_start(b: Builder, start: Scalar, end: Scalar, *_: object) -> SSAValue:
    """start, start + 1, ... below `end`."""
    return arange_step(b, start, end, 1)


@rule("aten.arange.start_step")
def arange_step(b: Builder, start: Scalar, end: Scalar, step: Scalar, *_: object) -> SSAValue:
    """start, start + step, ...; fractions are computed by torch once, here."""
    element = b.out_element
    extent = b.shape[0]
    if element not in FLOATS:
        first = int(start) if isinstance(start, float) else start
        return b.iota(extent, element, first, int(step))
    if has_symbols([extent]):
        return arange_float(b, extent, start, step)
    dtype = DTYPES[element]
    return b.constant("arange", to_numpy(torch.arange(start, end, step, dtype=dtype)))


def arange_float(b: Builder, extent: int, start: Scalar, step: Scalar) -> SSAValue:
    """start + i * step as torch computes it, for as many i as there are in the call."""
    element = f64 if b.out_element == f64 else f32
    positions = b.cast(b.iota(extent, i64), element)
    steps = b.pointwise("mul", positions, float(step))
    return b.cast(b.pointwise("add", steps, start), b.out_element)


@rule("aten.linspace.default")
def linspace(b: Builder, start: Scalar, end: Scalar, steps: int, *_: object) -> SSAValue:
    """Evenly spaced numbers, computed by torch once, here."""
    dtype = DTYPES[b.out_element]
    return b.constant("linspace", to_numpy(torch.linspace(start, end, steps, dtype=dtype)))


@rule("aten.eye.default", "aten.eye.m")
def eye(b: Builder, *_: object) -> SSAValue:
    """Ones on the diagonal."""
    rows, columns = b.shape
    return b.constant("eye", to_numpy(torch.eye(rows, columns, dtype=DTYPES[b.out_element])))


@rule(
    "aten.to.dtype",
    "aten.to.dtype_layout",
    "aten.to.device",
    "aten.to.other",
    "aten._to_copy.default",
    "aten.type_as.default",
)
def to(b: Builder, source: SSAValue, *_: object) -> SSAValue:
    """Another element type; devices and layouts mean nothing here."""
    return b.cast(source, b.out_element)


def _filled(b: Builder, value: Scalar) -> SSAValue:
    return b.full(value, b.out_element, b.shape)
